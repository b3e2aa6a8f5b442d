"""Tests of every kind of mart, run on MySQL: the tests of views and questions that use the fixture of a mart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.helpers_mart import Kiosk
from tests.mariadb_server import SqlServer, mysql_database
from tests.suites import suite_with
from tests.unit import (
    test_mart_answers,
    test_mart_trends,
    test_mart_views,
    test_mart_views_launch,
    test_mart_views_seasons,
    test_review,
)


@pytest.fixture(scope="module")
def new_kiosk(sql_server: SqlServer) -> Iterator[Callable[[], Kiosk]]:
    """Returns a new empty database for a mart at each call."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(mysql_database(sql_server))


FIXTURES = {
    "new_kiosk",
    "watched",
    "ended",
    "counted",
    "doubted",
    "weekly",
    "seldom",
    "left",
    "stopped",
    "reviewed",
    "review",
    "page",
}

MODULES = (
    test_mart_views,
    test_mart_trends,
    test_mart_answers,
    test_mart_views_seasons,
    test_mart_views_launch,
    test_review,
)
globals().update(suite_with(FIXTURES, *MODULES))
