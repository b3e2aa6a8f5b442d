"""Tests of every kind of mart, run on MySQL: the tests of views and questions that use the fixture of a mart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.helpers_mart import Kiosk
from tests.mariadb_server import MariaDB, mysql_database
from tests.suites import suite_with
from tests.unit import test_mart_views


@pytest.fixture(scope="module")
def new_kiosk(mariadb: MariaDB) -> Iterator[Callable[[], Kiosk]]:
    """Returns a new empty database for a mart at each call."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(mysql_database(mariadb))


globals().update(suite_with({"new_kiosk", "watched", "ended", "counted"}, test_mart_views))
