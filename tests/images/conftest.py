"""What all tests of the images share; they need Docker, and what `make images` has built."""

import pytest

from tests.helpers_images import STAGES, Image


@pytest.fixture(params=STAGES)
def image(request: pytest.FixtureRequest) -> Image:
    """The image of each stage."""
    return Image(request.param)
