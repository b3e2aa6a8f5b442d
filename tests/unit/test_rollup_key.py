"""The viewer key where tasks run: from this process or its settings, never from a unit."""

import pytest
from pydantic import SecretStr

from jobs.rollup import key
from jobs.rollup.key import NAME, keep, keys_of
from marquee.errors import ConfigError

OURS, OTHERS = "the key of this test", "a key of someone else"


@pytest.fixture(autouse=True)
def _worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start as a worker does: without a key, and without settings."""
    monkeypatch.setattr(key, "_kept", {})
    monkeypatch.delenv("MARQUEE_CONFIG", raising=False)
    monkeypatch.delenv(NAME, raising=False)


def _fingerprint(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """Return the fingerprint of a key, as another process makes it."""
    found = keep(SecretStr(text))
    monkeypatch.setattr(key, "_kept", {})
    return found


def test_a_process_keeps_the_key_of_its_settings() -> None:
    """Tasks of the process that plans have the key without settings of their own."""
    assert keys_of(keep(SecretStr(OURS))) == (OURS.encode(),)


def test_a_worker_takes_the_key_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker knows a key by its fingerprint, and has it in its own environment."""
    wanted = _fingerprint(monkeypatch, OURS)
    monkeypatch.setenv(NAME, OURS)
    assert keys_of(wanted) == (OURS.encode(),)


def test_a_worker_without_the_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the task fails by its configuration, and names the variable to set."""
    wanted = _fingerprint(monkeypatch, OURS)
    with pytest.raises(ConfigError, match=f"A task has no viewer key .*{NAME}: is not set. Set {NAME} where tasks"):
        keys_of(wanted)


def test_a_worker_with_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another key the task fails, because the hour would have other viewers; no message shows a key."""
    wanted = _fingerprint(monkeypatch, OURS)
    monkeypatch.setenv(NAME, OTHERS)
    with pytest.raises(ConfigError, match=f"has the fingerprint .*, that of the run {wanted}") as caught:
        keys_of(wanted)
    assert OURS not in str(caught.value)
    assert OTHERS not in str(caught.value)
