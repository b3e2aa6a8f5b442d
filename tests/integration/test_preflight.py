"""``marquee preflight``: what it says of stores that are as they should be, weak, or out of reach."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.cli import preflight
from jobs.cli.__main__ import main
from jobs.cli.preflight import Finding, Verdict, exit_code_of, probe_absent, probe_unchanged, run_checks
from marquee.errors import BadInputError, TryAgainError
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.mariadb_server import MysqlDatabase
from tests.s3_proxy import CONDITIONS, Fault, S3Proxy
from tests.s3_server import S3Server

WEAK_WORDS = "the last one stands. It is one whole run all the same"


@pytest.fixture
def raw(s3_lake: S3Store, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """Raw events beside the lake, of which there is one file; all settings are set."""
    store = S3Store(s3_lake.bucket, f"{tmp_path.name}/raw", s3_lake._options)
    store.put("topics/plays/year=2026/month=01/day=05/hour=13/plays+0+0000000000.json", b"{}\n")
    settings = {
        "LAKE": s3_lake.url,
        "RAW": store.url,
        "S3__ENDPOINT_URL": s3_server.url,
        "S3__PATH_STYLE": "true",
        "ROLLUP__VIEWER_KEY": "0123456789abcdef",
        "MART__URL": "duckdb:///kiosk.duckdb",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MARQUEE_{name}", value)
    return store


def found(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run it; return its exit code, and verdict and words by check."""
    code = main(["preflight", "--format", "json"])
    return code, {one["check"]: (one["verdict"], one["finding"]) for one in json.loads(capsys.readouterr().out)}


def test_good_stores_pass(
    raw: S3Store, s3_lake: S3Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real server: every check is ok, among 32 writers at once one wins each time, and nothing is left behind."""
    monkeypatch.delenv("COLUMNS", raising=False)  # which would have the table folded
    assert main(["preflight"]) == 0
    shown = capsys.readouterr().out
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {
        "settings of rollup ok complete, and of the right form",
        f"lake ok {s3_lake.url}: listed, wrote, read and deleted",
        "conditional writes: put if absent ok of 32 writers at once one won, 5 times of 5",
        "conditional writes: put if unchanged ok of 32 writers at once one won, 5 times of 5",
    } <= lines
    assert f"{raw.url}: listed and reached 'topics/plays/year=2026/month=01/day=05/hour=13/plays+0+0" in shown
    assert list(s3_lake.list()) == []


@pytest.mark.usefixtures("raw")
def test_in_a_cluster_it_logs_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a module: a line of JSON each, by level, and the exit code of what failed."""
    monkeypatch.setenv("MARQUEE_LOG__FORMAT", "json")
    monkeypatch.delenv("MARQUEE_MART__URL")
    assert preflight.main([]) == 78
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {line["message"].partition(":")[0]: (line["level"], line["verdict"]) for line in lines}
    assert told["lake"] == ("info", "ok")
    assert told["settings of mart-load"] == ("error", "failed")


@pytest.mark.usefixtures("raw")
def test_store_that_ignores_conditions_is_weak(
    s3_lake: S3Store,
    s3_proxy: S3Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says what is weaker and what helps, and ends with 0: the pipeline works there."""
    s3_proxy.stripped = CONDITIONS
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(preflight, "ROUNDS", 2)
    code, findings = found(capsys)
    assert (code, findings["lake"][0]) == (0, "ok")
    for check in ("conditional writes: put if absent", "conditional writes: put if unchanged"):
        verdict, words = findings[check]
        assert verdict == "weak"
        assert words.startswith("of 32 writers at once 32, 32 won, where one should each time: have no two runs of a")
        assert "MARQUEE_S3__CONDITIONAL_WRITES=false" in words
        assert WEAK_WORDS in words
    assert list(s3_lake.list()) == []


@pytest.mark.usefixtures("raw")
def test_store_that_refuses_conditions_fails_with_the_setting(
    s3_proxy: S3Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """501: the stages would stop there; with the setting they do not, and that is weak, however a probe went."""
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(preflight, "ROUNDS", 1)
    s3_proxy.faults = [Fault("refuse", "PUT", 1000, 501, "NotImplemented", conditional=True)]
    code, findings = found(capsys)
    assert (code, findings["lake"][0], findings["conditional writes"][0]) == (78, "ok", "failed")
    assert "set MARQUEE_S3__CONDITIONAL_WRITES=false" in findings["conditional writes"][1]
    monkeypatch.setenv("MARQUEE_S3__CONDITIONAL_WRITES", "false")
    code, findings = found(capsys)
    verdict, words = findings["conditional writes"]
    assert (code, verdict) == (0, "weak")
    assert words.startswith("switched off by MARQUEE_S3__CONDITIONAL_WRITES: have no two runs of a stage at once")
    assert WEAK_WORDS in words


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.usefixtures("raw")
def test_policy_that_allows_too_little_fails(
    s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """Whatever may not be done in the lake is found, with the exit code that the stages would end with."""
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(preflight, "ROUNDS", 1)
    s3_proxy.faults = [Fault("refuse", method, 100, 403, "AccessDenied")]
    code, findings = found(capsys)
    assert (code, findings["lake"][0]) == (78, "failed")
    assert "the server refused (AccessDenied, 403: as scripted): check the policies" in findings["lake"][1]


@pytest.mark.usefixtures("raw")
def test_server_out_of_reach_may_come_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Lake and raw events fail with 75: nothing says that a setting is wrong. The settings were checked, too."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MARQUEE_S3__ATTEMPTS", "1")
    code, findings = found(capsys)
    assert code == 75
    assert [findings[check][0] for check in ("settings of rollup", "lake", "raw events")] == ["ok", "failed", "failed"]


@pytest.mark.usefixtures("raw")
def test_missing_settings_fail_and_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the viewer key the rollup cannot work: its settings and the raw events fail, the lake is looked at."""
    monkeypatch.delenv("MARQUEE_ROLLUP__VIEWER_KEY")
    monkeypatch.setattr(preflight, "ROUNDS", 1)
    code, findings = found(capsys)
    assert code == 78
    assert findings["settings of rollup"] == ("failed", "wrong settings: MARQUEE_ROLLUP__VIEWER_KEY: is not set")
    assert [findings[check][0] for check in ("lake", "raw events")] == ["ok", "failed"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("topics/views/year=2026/x.json", "nothing is at 'topics/plays/year=", id="another topic"),
        pytest.param("topics/plays/year=2026/x.json", "'topics/plays/year=2026/x.json' is in no hour's", id="by year"),
    ],
)
@pytest.mark.usefixtures("raw")
def test_raw_events_elsewhere_are_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    words: str,
) -> None:
    """Reached, but not where the settings say: weak, for they may be still to come."""
    folder = LocalStore(tmp_path / "raw")
    folder.put(key, b"{}\n")
    monkeypatch.setenv("MARQUEE_RAW", folder.url)
    monkeypatch.setenv("MARQUEE_LAKE", LocalStore(tmp_path / "lake").url)
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (0, "weak")
    assert words in findings["raw events"][1]


@pytest.mark.usefixtures("raw")
def test_mart_is_looked_at(
    mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that takes rows is ok, with or without a mart; a wrong password is a setting to mend."""
    monkeypatch.setattr(preflight, "ROUNDS", 1)
    monkeypatch.setenv("MARQUEE_MART__URL", mysql_mart.url)
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    code, findings = found(capsys)
    assert (code, findings["mart"][0]) == (0, "ok")
    assert "no mart yet: the first load, or `marquee mart init`, makes one" in findings["mart"][1]
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", "wrong")
    code, findings = found(capsys)
    assert (code, findings["mart"][0]) == (78, "failed")
    assert "set MARQUEE_MART__URL and MARQUEE_MART__PASSWORD right" in findings["mart"][1]


def test_further_checks_are_made_whatever_the_others_found() -> None:
    """A check is a function; what it raises is a finding of its name, and the worst code counts."""

    def unreachable() -> Iterator[Finding]:
        yield Finding("mart", Verdict.OK, "reached")
        message = "the mart is\n  gone"
        raise TryAgainError(message)

    def wrong() -> Iterator[Finding]:
        message = "bad"
        raise BadInputError(message)
        yield Finding("other", Verdict.OK, "never")  # type: ignore[unreachable]

    findings = run_checks((("mart", unreachable), ("other", wrong)))
    assert findings == [
        Finding("mart", Verdict.OK, "reached"),
        Finding("mart", Verdict.FAILED, "the mart is gone", 75),
        Finding("other", Verdict.FAILED, "bad", 65),
    ]
    assert exit_code_of(findings) == 65
    assert exit_code_of(findings[:1]) == 0


def test_local_folder_keeps_conditions(lake: LocalStore) -> None:
    """A folder is a store like another."""
    assert probe_absent(lake, "p/") == probe_unchanged(lake, "p/") == [1] * 5
