"""Fixtures of the tests of a release, which need the result of `make release`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers_images import STAGES
from tests.release.made import VERSION, Shipped
from tools.release.contents import open_image


@pytest.fixture(scope="session")
def folder() -> Path:
    """The folder of the release."""
    found = Path(__file__).parents[2] / "dist" / "release" / VERSION
    assert found.is_dir(), f"{found} is not there: run `make release`"
    return found


@pytest.fixture(scope="session", params=STAGES)
def shipped(request: pytest.FixtureRequest, folder: Path) -> Iterator[Shipped]:
    """Each image of the release."""
    with open_image(folder / f"{request.param}-{VERSION}.oci.tar") as contents:
        yield Shipped(request.param, contents)
