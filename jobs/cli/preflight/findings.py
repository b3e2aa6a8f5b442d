"""What checks find, and how they are run."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from marquee.errors import DONE, MarqueeError, worst
from marquee.settings.loading import WrongSettingsError
from marquee.system_errors import explain


class Verdict(StrEnum):
    """What a finding means."""

    OK = "ok"
    WEAK = "weak"
    FAILED = "failed"

    @property
    def level(self) -> int:
        """The level at which such a finding is logged."""
        return {Verdict.OK: logging.INFO, Verdict.WEAK: logging.WARNING, Verdict.FAILED: logging.ERROR}[self]


@dataclass(frozen=True)
class Finding:
    """What a check found, in words: where it is not ``ok``, what to do too."""

    check: str
    verdict: Verdict
    words: str
    exit_code: int = DONE


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: the name of a finding that an error makes.
        make: yields its findings; an error that it raises ends it, and is a finding too.
        after: the check without which this one says nothing new: if that failed, or was left out, so is this one.
    """

    name: str
    make: Callable[[], Iterator[Finding]]
    after: str = ""


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Make every check, whatever the others found; what is wrong is said once, however many checks meet it."""
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
    """Return the findings that an error makes: one, or one for each wrong setting."""
    texts = error.lines if isinstance(error, WrongSettingsError) else (str(error),)
    return [Finding(check, Verdict.FAILED, " ".join(text.split()), error.exit_code) for text in texts]


def exit_code_of(findings: Sequence[Finding]) -> int:
    """Return the exit code that most needs a person, 0 if nothing failed."""
    return worst([one.exit_code for one in findings])


def summary_of(findings: Sequence[Finding]) -> str:
    """Return one line on all findings."""
    failed, weak = ([one for one in findings if one.verdict is verdict] for verdict in (Verdict.FAILED, Verdict.WEAK))
    if failed:
        return f"{len(failed)} of {len(findings)} findings failed: the stages cannot all work here."
    if weak:
        return f"All stages can work here; {len(weak)} of {len(findings)} findings are weak."
    return "All stages can work here."
