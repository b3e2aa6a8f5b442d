"""What holds of every mart, tested on MySQL: the tests of the views and questions that ask for a mart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.helpers_mart import Kiosk
from tests.mariadb_server import MariaDB, mysql_database
from tests.suites import suite_of
from tests.unit import test_mart_views


@pytest.fixture(scope="module")
def new_kiosk(mariadb: MariaDB) -> Iterator[Callable[[], Kiosk]]:
    """Names an empty database for a mart, a new one each time."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(mysql_database(mariadb))


globals().update(suite_of({"new_kiosk", "watched", "ended", "counted"}, test_mart_views))
