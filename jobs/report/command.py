"""``marquee report``: the review of a period, as a page, a workbook, or both."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from marquee.errors import ConfigError
from marquee.mart.settings import ReaderSettings
from marquee.report.console import say
from marquee.report.files import write_file
from marquee.report.review.answers import Review, read_review
from marquee.runs.arguments import mart_given
from marquee.settings.loading import load_settings
from marquee.settings.names import check_names

DEFAULT = Path("review.html")


def run(given: argparse.Namespace) -> int:
    """Write the review to the files of ``--out``."""
    files: list[Path] = given.out or [DEFAULT]
    writers = [(file, _writer_of(file)) for file in files]
    check_names()
    review = read_review(load_settings(ReaderSettings, **mart_given(given)).mart, given.period)
    for file, write in writers:
        write_file(file, write(review))
        say(f"Wrote {file}: the review of {review.period}")
    return 0


def page_of(review: Review) -> bytes:
    """Return a review as an HTML page."""
    from marquee.report.review.page import review_page  # noqa: PLC0415 - only what is written is imported

    return review_page(review).encode()


def workbook_of(review: Review) -> bytes:
    """Return a review as a workbook."""
    from marquee.report.review.workbook import review_workbook  # noqa: PLC0415 - as above

    return review_workbook(review)


WRITERS: Mapping[str, Callable[[Review], bytes]] = {".html": page_of, ".htm": page_of, ".xlsx": workbook_of}
"""The function that writes a review, by the ending of the file."""


def _writer_of(file: Path) -> Callable[[Review], bytes]:
    found = WRITERS.get(file.suffix.lower())
    if found is None:
        message = f"--out {file}: unknown ending {file.suffix!r}. Use .html for a page, or .xlsx for a workbook"
        raise ConfigError(message)
    return found
