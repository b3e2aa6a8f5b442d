"""Fixtures of all tests of images, which need Docker and the result of `make images`."""

import pytest

from tests.helpers_images import STAGES, Image


@pytest.fixture(params=STAGES)
def image(request: pytest.FixtureRequest) -> Image:
    """The image of each stage."""
    return Image(request.param)
