"""The judge of `helm test`: what each pod has left, and what the test ends with."""

import pytest

from jobs.cli.preflight import judge
from marquee.errors import MarqueeError, TryAgainError


def pod(message: str | None = None, reason: str = "Completed") -> dict[str, object]:
    """Return a pod whose container has ended with a message."""
    ended = {"exitCode": 0, "reason": reason} | ({} if message is None else {"message": message})
    return {"status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": ended}}]}}


def test_every_pod_is_reported_before_the_test_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One pod is well, one failed with 78, one was killed: all are told, and the most severe code is returned."""
    pods = {"a": pod("0\n"), "b": pod("78\n"), "c": pod(reason="OOMKilled")}
    monkeypatch.setattr(judge, "read_pod", pods.__getitem__)
    assert judge.main(["a", "b", "c"]) == 78
    assert capsys.readouterr().out.splitlines() == [
        "a: ok",
        "b: failed with exit code 78; its log says why",
        "c: left no result: OOMKilled. Look at its log and its events",
    ]
    assert judge.main(["a", "b"]) == 78
    assert judge.main(["a"]) == 0
    pods["d"] = pod("137\n")
    assert judge.main(["a", "d"]) == 70


def test_pod_that_has_not_run_has_no_result() -> None:
    """A pod without a container that ended has left nothing, and is named by its phase."""
    with pytest.raises(MarqueeError, match="left no result: Pending"):
        judge.exit_code_of({"status": {"phase": "Pending"}})


def test_api_server_that_does_not_answer_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an answer the test fails, and says what to allow."""

    def no_answer(_: str) -> dict[str, object]:
        message = "the API server did not answer: timed out"
        raise TryAgainError(message)

    monkeypatch.setattr(judge, "read_pod", no_answer)
    assert judge.main(["a"]) == 75
    assert capsys.readouterr().out == "a: the API server did not answer: timed out\n"
