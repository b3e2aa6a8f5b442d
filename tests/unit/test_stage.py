"""The life of a run: pending, done, stale, failed, forced, lost, and what a failure reveals."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from marquee.calendar import EVER, HOUR, Period, Span, day, hour
from marquee.errors import BadInputError, LostRaceError, MarqueeError, worst
from marquee.lake.files import read_output
from marquee.lake.keys import failed_key, success_key
from marquee.lake.manifest import Marker, Result
from marquee.lake.markers import Markers
from marquee.runs.stage import Report, RunContext, State, Target, merge, plan_stage, run_stage, state_of
from marquee.runs.status import read_states
from marquee.storage.local import LocalStore
from tests.sample_stages import SECRET, TOTALS, WORDS, Ticking, TotalsStage, WordsStage

ONE, TWO = hour("2026-01-05T13"), hour("2026-01-05T14")


@pytest.fixture
def raw(tmp_path: Path) -> LocalStore:
    """A store with files of two hours: 'a b', and 'c'."""
    store = LocalStore(tmp_path / "raw")
    store.put(f"{ONE}/file", b"a\nb\n")
    store.put(f"{TWO}/file", b"c\n")
    return store


@pytest.fixture
def words(lake: LocalStore, raw: LocalStore) -> WordsStage:
    """A stage that counts the words of the two hours."""
    return WordsStage(lake, raw)


def run(stage: WordsStage | TotalsStage, lake: LocalStore, span: Span = EVER, *, force: bool = False) -> Report:
    """Run the stage as a separate process would, with fresh markers."""
    markers = Markers(lake)
    if isinstance(stage, TotalsStage):
        stage = TotalsStage(markers)
    return run_stage(stage, markers, span, force=force, clock=Ticking())


def states(stage: WordsStage, lake: LocalStore) -> list[State]:
    """Return the states of the two hours, with fresh markers."""
    markers = Markers(lake)
    return [state_of(stage, stage.target(period), markers) for period in (ONE, TWO)]


def rows(lake: LocalStore, marker: Marker) -> dict[str, int]:
    """Return the counted words of a run."""
    (output,) = marker.of(WORDS) or marker.of(TOTALS)
    return {row["word"]: row["times"] for row in read_output(lake, output).to_pylist()}


def test_pending_periods_are_made_once(words: WordsStage, lake: LocalStore) -> None:
    """Pending hours are made in order, and a second run makes nothing."""
    assert states(words, lake) == [State.PENDING, State.PENDING]
    report = run(words, lake)
    assert [marker.period for marker in report.made] == [str(ONE), str(TWO)]
    assert [rows(lake, marker) for marker in report.made] == [{"a": 1, "b": 1}, {"c": 1}]
    assert (report.failed, report.exit_code) == ((), 0)
    assert states(words, lake) == [State.DONE, State.DONE]
    assert run(words, lake) == Report(unchanged=2)


def test_marker_tells_what_was_read_and_made(words: WordsStage, lake: LocalStore) -> None:
    """A marker has the inputs, the outputs with their rows, the counts, the parameters and the times."""
    marker = run(words, lake).made[0]
    assert [(one.name, one.size) for one in marker.inputs] == [(f"{ONE}/file", 4)]
    assert {(one.dataset, one.rows) for one in marker.outputs} == {("words", 2), ("initials", 2)}
    assert all(one.key.startswith(f"data/words/{ONE}/run={marker.run_id}/") for one in marker.outputs)
    assert (marker.counts, marker.parameters, marker.generation) == ({"words_in": 2}, {"lower": False}, 1)
    assert marker.cpu_seconds is not None
    assert 0 <= marker.cpu_seconds < 10
    assert (marker.started_at, marker.finished_at) == ("2026-01-07T12:00:01.000+00:00", "2026-01-07T12:00:02.000+00:00")
    assert Markers(lake).of("words")[ONE] == marker


def test_changed_input_makes_the_next_generation(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A late file makes its own hour stale, and the next run replaces it."""
    run(words, lake)
    raw.put(f"{ONE}/late", b"a\n")
    assert states(words, lake) == [State.STALE, State.DONE]
    report = run(words, lake)
    assert ([(marker.period, marker.generation) for marker in report.made], report.unchanged) == ([(str(ONE), 2)], 1)
    assert rows(lake, report.made[0]) == {"a": 2, "b": 1}


def test_changed_parameter_makes_every_period_stale(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A changed parameter or a changed version of the definition makes every period stale."""
    run(words, lake)
    assert states(WordsStage(lake, raw, lower=True), lake) == [State.STALE, State.STALE]
    words.definition_version = "2"
    assert states(words, lake) == [State.STALE, State.STALE]


def test_plan_is_what_a_run_would_make(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """The plan lists pending, stale and failed periods, or all by force, and makes nothing."""
    assert plan_stage(words, Markers(lake)) == [ONE, TWO]
    assert plan_stage(words, Markers(lake), Span.of(TWO, TWO)) == [TWO]
    assert list(lake.list()) == []
    raw.put(f"{TWO}/file", b"bad!\n")
    run(words, lake)
    assert plan_stage(words, Markers(lake)) == [TWO]
    raw.put(f"{ONE}/late", b"a\n")
    assert plan_stage(words, Markers(lake)) == [ONE, TWO]
    raw.put(f"{TWO}/file", b"good\n")
    run(words, lake)
    assert plan_stage(words, Markers(lake)) == []
    assert plan_stage(words, Markers(lake), force=True) == [ONE, TWO]


def test_span_limits_what_is_made(words: WordsStage, lake: LocalStore) -> None:
    """Only periods that the span touches are made."""
    report = run(words, lake, Span.of(TWO, TWO))
    assert [marker.period for marker in report.made] == [str(TWO)]
    assert states(words, lake) == [State.PENDING, State.DONE]


def test_failing_period_does_not_stop_the_others(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A failing hour does not stop the next one; its failure marker has the reason, and the exit code is 65."""
    raw.put(f"{ONE}/file", b"bad!\n")
    report = run(words, lake)
    assert [marker.period for marker in report.made] == [str(TWO)]
    assert (report.failed, report.exit_code) == (((ONE, 65),), 65)
    assert states(words, lake) == [State.FAILED, State.DONE]
    failure = Markers(lake).failures("words")[ONE]
    assert (failure.kind, failure.exit_code, failure.generation) == ("bad input", 65, 1)
    assert failure.reason == "2026-01-05T13 has the word 'bad!': expected good ones"


def hours_of(raw: LocalStore, *texts: bytes) -> list[Period]:
    """Write a file into each hour from ONE on, and return the hours."""
    hours = list(ONE.until(ONE.start + len(texts) * HOUR))
    for period, text in zip(hours, texts, strict=True):
        raw.put(f"{period}/file", text)
    return hours


def test_rest_is_not_tried_after_three_in_a_row_that_are_to_be_tried_again(
    words: WordsStage, raw: LocalStore, lake: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """After three failures with code 75 in a row the other periods are not tried, and the next run tries them."""
    words.gives_up_after = 3
    hours = hours_of(raw, b"a", b"later!", b"later!", b"later!", b"b", b"c")
    report = run(words, lake)
    assert [marker.period for marker in report.made] == [str(hours[0])]
    assert (report.failed, report.exit_code) == (tuple((period, 75) for period in hours[1:4]), 75)
    note = "3 periods in a row failed, so the remaining 2 were not tried; run it again later"
    assert report.note == note
    assert caplog.messages[-1] == f"words: {note}: {hours[4]} to {hours[5]}"
    assert sorted(Markers(lake).failures("words")) == hours[1:4]
    assert plan_stage(words, Markers(lake)) == hours[1:]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param((b"later!", b"later!", b"a", b"later!", b"later!", b"b"), id="one succeeds"),
        pytest.param((b"later!", b"later!", b"bad!", b"later!", b"later!", b"b"), id="one is bad input"),
        pytest.param((b"bad!", b"bad!", b"bad!", b"bad!", b"bad!", b"b"), id="all are bad input"),
        pytest.param((b"a", b"b", b"c", b"later!", b"later!", b"later!"), id="none is left"),
    ],
)
def test_every_period_is_tried_while_others_are_answered(
    words: WordsStage, raw: LocalStore, lake: LocalStore, texts: tuple[bytes, ...]
) -> None:
    """A stage tries every period if successes or other failures come between the failures with code 75."""
    words.gives_up_after = 3
    hours_of(raw, *texts)
    report = run(words, lake)
    assert (report.changed + len(report.failed), report.note) == (6, "")


def test_stage_that_does_not_give_up_tries_every_period(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A stage without a limit tries every period, also if all fail with code 75."""
    hours = hours_of(raw, *[b"later!"] * 5)
    assert run(words, lake).failed == tuple((period, 75) for period in hours)


def test_success_clears_the_failure(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """Each run tries a failed hour again, and a success deletes its failure marker."""
    raw.put(f"{ONE}/file", b"bad!\n")
    assert [run(words, lake).exit_code for _ in range(2)] == [65, 65]
    raw.put(f"{ONE}/file", b"good\n")
    assert [(marker.period, marker.generation) for marker in run(words, lake).made] == [(str(ONE), 1)]
    assert states(words, lake) == [State.DONE, State.DONE]
    assert lake.head(failed_key("words", ONE)) is None


def test_failed_rerun_leaves_the_result_that_stands(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A failed rerun leaves the earlier result in place, and the hour counts as failed."""
    (first, _) = run(words, lake).made
    raw.put(f"{ONE}/late", b"bad!\n")
    assert run(words, lake).exit_code == 65
    markers = Markers(lake)
    assert markers.of("words")[ONE] == first
    assert rows(lake, first) == {"a": 1, "b": 1}
    assert markers.failures("words")[ONE].generation == 2
    assert states(words, lake) == [State.FAILED, State.DONE]


def test_same_process_sees_its_own_successes_and_failures(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """The markers of a process follow the successes and failures of its own run."""
    markers = Markers(lake)
    raw.put(f"{ONE}/file", b"bad!\n")
    run_stage(words, markers, clock=Ticking())
    assert (list(markers.of("words")), list(markers.failures("words"))) == ([TWO], [ONE])
    raw.put(f"{ONE}/file", b"good\n")
    run_stage(words, markers, clock=Ticking())
    assert sorted(markers.of("words")) == [ONE, TWO]
    assert (markers.failures("words"), markers.settled("words")) == ({}, {})


def test_forced_rerun_with_the_same_bytes_leaves_downstream_alone(words: WordsStage, lake: LocalStore) -> None:
    """A forced rerun with the same content leaves a dependent day done."""
    run(words, lake)
    totals = TotalsStage(Markers(lake))
    (first,) = run(totals, lake).made
    assert rows(lake, first) == {"a": 1, "b": 1, "c": 1}
    before = [marker.as_input(WORDS) for marker in Markers(lake).of("words").values()]
    report = run(words, lake, force=True)
    assert [marker.generation for marker in report.made] == [2, 2]
    assert [marker.as_input(WORDS) for marker in report.made] == before
    assert run(totals, lake) == Report(unchanged=1)


def test_restated_hour_flows_downstream(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A late file that changes an hour makes the dependent day stale."""
    run(words, lake)
    totals = TotalsStage(Markers(lake))
    run(totals, lake)
    raw.put(f"{TWO}/late", b"a\n")
    run(words, lake)
    (second,) = run(totals, lake).made
    assert (second.generation, rows(lake, second)) == (2, {"a": 2, "b": 1, "c": 1})


def test_dataset_that_stays_the_same_stops_the_flow(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A rewritten file with the same words restates the hour, but not the stage that depends on the words."""
    run(words, lake)
    run(TotalsStage(Markers(lake)), lake)
    raw.put(f"{ONE}/file", b"b\na\n")
    assert [marker.period for marker in run(words, lake).made] == [str(ONE)]
    assert run(TotalsStage(Markers(lake)), lake) == Report(unchanged=1)


def test_text_of_an_unknown_error_stays_out_of_marker_and_log(
    words: WordsStage, raw: LocalStore, lake: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Marker and log name the class and place of an unknown error, and only the debug log has its traceback."""
    caplog.set_level(logging.DEBUG)
    raw.put(f"{ONE}/file", b"boom!\n")
    assert run(words, lake).exit_code == 70
    marker = lake.get(failed_key("words", ONE)).decode()
    shown = "\n".join(str(vars(record)) for record in caplog.records if record.levelno >= logging.INFO)
    assert "builtins.RuntimeError at side_by_side.py:" in marker
    assert "builtins.RuntimeError at side_by_side.py:" in shown
    assert SECRET not in marker + shown
    assert any(record.exc_info for record in caplog.records if record.levelno == logging.DEBUG)


def test_closing_line_has_the_counts(words: WordsStage, lake: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    """The log of a published period has its counts and its seconds."""
    caplog.set_level(logging.INFO)
    run(words, lake, Span.of(ONE, ONE))
    (record,) = caplog.records
    assert record.getMessage() == "words 2026-01-05T13 published"
    # Started at the first tick, finished at the second, logged at the third.
    assert vars(record).items() >= {"stage": "words", "period": str(ONE), "words_in": 2, "seconds": 2.0}.items()


def test_race_is_lost_to_the_run_that_published_first(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A run that publishes second ends with code 76, leaves no failure marker, and takes the winner's marker."""
    markers = Markers(lake)

    class Overtaken(WordsStage):
        """A stage that is overtaken by another run while it makes the first hour."""

        def make(self, target: Target, context: RunContext) -> Result:
            if target.period == ONE:
                self.winner = run(words, lake, Span.of(ONE, ONE)).made[0]
            return super().make(target, context)

    ours = Overtaken(lake, raw)
    report = run_stage(ours, markers, clock=Ticking())
    assert (report.failed, report.exit_code) == (((ONE, LostRaceError.exit_code),), 76)
    assert [marker.period for marker in report.made] == [str(TWO)]
    assert Markers(lake).of("words")[ONE] == ours.winner
    assert markers.of("words")[ONE] == ours.winner
    assert lake.head(failed_key("words", ONE)) is None
    assert lake.head(success_key("words", ONE)) is not None


def test_advance_hears_of_every_period(words: WordsStage, lake: LocalStore) -> None:
    """The progress callback is called before the first period and after each one, also for done ones."""
    run(words, lake, Span.of(ONE, ONE))
    heard: list[tuple[int, int, str]] = []
    run_stage(words, Markers(lake), advance=lambda *told: heard.append(told))
    assert heard == [(0, 2, ""), (1, 2, str(ONE)), (2, 2, str(TWO))]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([75, 75], 75, id="all try again"),
        pytest.param([75, 76], 76, id="lost before try again"),
        pytest.param([76, 65, 75], 65, id="bad input before lost"),
        pytest.param([65, 70], 70, id="internal before bad input"),
        pytest.param([70, 78, 65, 75, 76], 78, id="configuration before all"),
    ],
)
def test_exit_code_is_that_which_most_needs_a_person(codes: list[int], expected: int) -> None:
    """The gravest exit code counts, both of several failed periods and of merged reports."""
    failed = tuple((day("2026-01-05"), code) for code in codes)
    assert Report(failed=failed).exit_code == expected
    assert merge(Report(failed=(one,)) for one in failed).exit_code == expected


def test_every_error_of_ours_has_a_place_in_that_order() -> None:
    """Each class of error has a place in the order of exit codes, so that no error ends a run with 0."""
    found, listed = [MarqueeError], []
    while found:
        listed.append(found.pop())
        found += listed[-1].__subclasses__()
    assert BadInputError in listed
    assert [error for error in listed if worst([error.exit_code]) != error.exit_code] == []


def test_damaged_marker_fails_its_period_alone(words: WordsStage, raw: LocalStore, lake: LocalStore) -> None:
    """A period whose marker is damaged fails with 70 and is left as it is, while the others are made."""
    run(words, lake)
    lake.put(success_key("words", ONE), b"{")
    raw.put(f"{TWO}/late", b"c\n")
    assert states(words, lake) == [State.FAILED, State.STALE]
    report = run(words, lake)
    assert ([marker.period for marker in report.made], report.failed) == ([str(TWO)], ((ONE, 70),))
    assert (report.exit_code, lake.get(success_key("words", ONE))) == (70, b"{")
    markers = Markers(lake)
    (status, _) = read_states(words, markers, words.periods(EVER))
    assert status.state is State.FAILED
    assert status.reason == markers.damaged("words")[ONE].reason


def test_damaged_marker_is_replaced_with_force(words: WordsStage, lake: LocalStore) -> None:
    """With force, a period whose marker is damaged is made again, and its failure is cleared."""
    first = run(words, lake).made[0]
    lake.put(success_key("words", ONE), b"{")
    run(words, lake)
    report = run(words, lake, Span.of(ONE, ONE), force=True)
    assert ([rows(lake, marker) for marker in report.made], report.failed) == ([rows(lake, first)], ())
    assert states(words, lake) == [State.DONE, State.DONE]
    assert lake.head(failed_key("words", ONE)) is None


def test_damaged_marker_that_another_run_replaced_is_left_alone(words: WordsStage, lake: LocalStore) -> None:
    """A forced run over a damaged marker loses to a run that has replaced it meanwhile, and takes that for done."""
    run(words, lake)
    lake.put(success_key("words", ONE), b"{")
    markers = Markers(lake)
    markers.damaged("words")
    (winner,) = run(words, lake, Span.of(ONE, ONE), force=True).made
    report = run_stage(words, markers, Span.of(ONE, ONE), force=True, clock=Ticking())
    assert (report.made, report.failed, report.unchanged) == ((), (), 1)
    assert Markers(lake).of("words")[ONE].run_id == winner.run_id


@pytest.mark.parametrize(
    ("damage", "generation"),
    [
        pytest.param(lambda text: text.replace(b'"words"', b'"x"'), 3, id="edited"),
        pytest.param(lambda text: text[:-40], 3, id="cut short"),
        pytest.param(lambda _: b"{", 1, id="nothing left"),
    ],
)
def test_generations_continue_after_damage(
    words: WordsStage, lake: LocalStore, damage: Callable[[bytes], bytes], generation: int
) -> None:
    """The generation that a damaged marker still shows is followed by the next, so that a mart finds it newer."""
    for _ in range(2):
        run(words, lake, Span.of(ONE, ONE), force=True)
    key = success_key("words", ONE)
    lake.put(key, damage(lake.get(key)))
    assert [one.generation for one in run(words, lake, Span.of(ONE, ONE), force=True).made] == [generation]


def test_restored_marker_is_done_again(words: WordsStage, lake: LocalStore) -> None:
    """A damaged marker that is restored makes its period done, and the next run clears the failure."""
    run(words, lake)
    whole = lake.get(success_key("words", ONE))
    lake.put(success_key("words", ONE), whole[:-40])
    run(words, lake)
    lake.put(success_key("words", ONE), whole)
    assert (states(words, lake), run(words, lake)) == ([State.DONE, State.DONE], Report(unchanged=2))
    assert lake.head(failed_key("words", ONE)) is None


@pytest.mark.parametrize("text", [b"a\n", b"a\nlate\n"])
def test_damaged_failure_marker_is_cleared(words: WordsStage, raw: LocalStore, lake: LocalStore, text: bytes) -> None:
    """A run clears a damaged failure marker, whether its period is done or has to be made."""
    raw.put(f"{ONE}/file", b"a\n")
    run(words, lake)
    raw.put(f"{ONE}/file", text)
    lake.put(failed_key("words", ONE), b"{")
    assert run(words, lake).exit_code == 0
    assert lake.head(failed_key("words", ONE)) is None
