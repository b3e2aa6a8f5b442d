"""The pipeline in a cluster: from raw events to answers, a late file, reruns. The order of the tests matters."""

import pytest

from jobs.simulate.planted import CRIME_GENRE, JAPAN, KOREA_GENRE
from tests.e2e_cluster.cluster import documented
from tests.e2e_cluster.conftest import COMMANDS, Environment

FIRST, SECOND = "2026-01-05", "2026-01-06"
AUDIENCES = {f"audience/{period}" for period in (FIRST, SECOND, "2026-W02", "2026-01", "2026-Q1")}


def generations(environment: Environment) -> dict[str, int]:
    """Return the published generation of each stage and period."""
    return {name: one.generation for name, one in environment.markers().items()}


def test_every_hour_day_and_period_has_its_marker(done: Environment) -> None:
    """Markers exist for 55 days of schedule (from 2025-12-08, January), 48 hours, 2 days, and their periods."""
    made = generations(done)
    hours = {f"rollup/{day}T{hour:02}" for day in (FIRST, SECOND) for hour in range(24)}
    assert {name for name in made if not name.startswith("schedule_fetch/")} == (
        hours | {f"profile/{FIRST}", f"profile/{SECOND}"} | AUDIENCES
    )
    assert sum(name.startswith("schedule_fetch/") for name in made) == 55
    assert set(made.values()) == {1}


@pytest.mark.parametrize("stage", ["rollup", "profile"])
def test_spark_stage_is_one_application_whose_executor_did_the_work(done: Environment, stage: str) -> None:
    """A Spark stage is one completed application with an executor, and the launcher logs the driver's last lines."""
    (application,) = done.release.applications(f"backfill-{stage}")
    status = application["status"]
    assert status["applicationState"]["state"] == "COMPLETED"
    assert len(status["executorState"]) == 1
    assert f"{application['metadata']['name']}-driver" in done.release.log(f"backfill-{stage}")


def test_planted_answers_are_found_by_asking_the_mart(done: Environment) -> None:
    """The mart gives the planted answers that two days with few viewers support."""
    leading = {row["country"]: row["genre"] for row in done.ask("genre-hours") if row["place"] == 1}
    assert leading["KR"] == KOREA_GENRE
    crime = done.ask("genre-daypart", country="US", genre=CRIME_GENRE)
    assert next(row["daypart"] for row in crime if row["place"] == 1) == "evening"
    (show,) = [row for row in done.ask("big-in-one-country", country="JP") if row["title"] == JAPAN.name]
    assert show["country_place"] == 1
    assert show["world_place"] > 10


def test_documented_look_at_bucket_mart_and_operator_succeeds(done: Environment) -> None:
    """The chart's test succeeds with one pod for each stage and their judge; so do the commands for the state."""
    assert done.installed.count("Phase:          Succeeded") == len(COMMANDS) + 1
    assert done.installed.count("-preflight: ok") == len(COMMANDS)
    assert done.installed.count("and its driver ran") == 2
    for command in documented("Inspect a release"):
        done.release.run(command)


def test_commands_run_in_the_exporter_and_in_jobs_of_their_own(done: Environment) -> None:
    """The documented commands run: the state of the lake in the exporter's pod, and a check of the lake in a job."""
    look, job = documented("Run a command")
    assert "rollup" in done.release.run(look)
    done.release.run(job)
    assert done.release.ended("verify") == "Complete"


def test_rerun_without_change_starts_no_spark(done: Environment) -> None:
    """A rerun of each job without changes ends with 0, makes no SparkApplication and changes no marker."""
    before = generations(done)
    jobs = [f"{stage}-idle" for stage in COMMANDS]
    for stage, job in zip(COMMANDS, jobs, strict=True):
        done.release.start(stage, job)
    (now,) = documented("Run a stage now")
    done.release.run(now)
    for job in jobs:
        done.release.finish(job)
    assert [done.release.applications(job) for job in ("rollup-now", *jobs)] == [[], [], [], [], []]
    assert generations(done) == before
    done.release.run(documented("Suspend a stage")[2])  # ends rollup-now, and frees its name


def test_late_file_makes_its_hour_day_and_periods_again(done: Environment) -> None:
    """A late file restates its hour, its day and their periods. The next day stands: no viewer of the file is new."""
    before = generations(done)
    hours = sum(row["hours"] for row in done.ask("genre-hours"))
    done.add_late_file()
    for stage in COMMANDS:
        done.release.do(stage, f"{stage}-late")
    after = generations(done)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"rollup/{FIRST}T14", f"profile/{FIRST}"} | AUDIENCES - {f"audience/{SECOND}"}
    assert sum(row["hours"] for row in done.ask("genre-hours")) > hours


def test_documented_commands_do_a_period_again(done: Environment) -> None:
    """The documented commands make a day's hours again with the same bytes, so nothing downstream is made again."""
    before = done.markers()
    for command in documented("Recompute a period"):
        done.release.run(command)
    after = done.markers()
    changed = {name for name in after if after[name].generation != before[name].generation}
    assert changed == {f"rollup/{FIRST}T{hour:02}" for hour in range(24)}
    assert "nothing is pending" in done.release.do("profile", "profile-after-again")
