"""Runs checks and collects their findings."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from marquee.errors import DONE, MarqueeError, worst
from marquee.settings.loading import WrongSettingsError
from marquee.system_errors import explain


class Verdict(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WEAK = "weak"
    FAILED = "failed"

    @property
    def level(self) -> int:
        """Log level of the finding."""
        return {Verdict.OK: logging.INFO, Verdict.WEAK: logging.WARNING, Verdict.FAILED: logging.ERROR}[self]


@dataclass(frozen=True)
class Finding:
    """Result of a check, in words; unless it is ``ok``, with what to do."""

    check: str
    verdict: Verdict
    words: str
    exit_code: int = DONE


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: name of the finding if the check raises an error.
        make: function that yields the findings. An error that it raises becomes a finding.
        after: check that this one depends on. If that check failed or was skipped, this one is skipped.
    """

    name: str
    make: Callable[[], Iterator[Finding]]
    after: str = ""


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Run every check, also after failures; a failure that several checks find is reported once."""
    findings: list[Finding] = []
    unmet: set[str] = set()
    for check in checks:
        if check.after in unmet:
            unmet.add(check.name)
            continue
        said = {one.words for one in findings if one.verdict is Verdict.FAILED}
        found = list(_findings_of(check))
        unmet |= {one.check for one in found if one.verdict is Verdict.FAILED}
        findings += [one for one in found if one.words not in said]
    return findings


def _findings_of(check: Check) -> Iterator[Finding]:
    try:
        yield from check.make()
    except Exception as error:
        known = error if isinstance(error, MarqueeError) else explain(error)
        if known is None:
            raise
        yield from failures(check.name, known)


def failures(check: str, error: MarqueeError) -> list[Finding]:
    """Return the findings of an error: one, or one for each wrong setting."""
    texts = error.lines if isinstance(error, WrongSettingsError) else (str(error),)
    return [Finding(check, Verdict.FAILED, " ".join(text.split()), error.exit_code) for text in texts]


def exit_code_of(findings: Sequence[Finding]) -> int:
    """Return the most severe exit code, 0 if nothing failed."""
    return worst([one.exit_code for one in findings])


def summary_of(findings: Sequence[Finding]) -> str:
    """Return a summary of all findings in one line."""
    failed, weak = ([one for one in findings if one.verdict is verdict] for verdict in (Verdict.FAILED, Verdict.WEAK))
    if failed:
        return f"{len(failed)} of {len(findings)} findings failed: some stages cannot run here."
    if weak:
        return f"All stages can run here; {len(weak)} of {len(findings)} findings are weak."
    return "All stages can run here."
