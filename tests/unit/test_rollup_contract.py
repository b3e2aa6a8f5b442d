"""The event contract: which lines are play events, and for which reason others are rejected."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rollup.contract import Event, Fields, Reason, Window, validate
from tests.helpers_rollup import GONE, GOOD, line, play, spoilt, to_line
from tests.oracle import rollup as oracle

WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone
EVENT = Event("e1", datetime(2026, 1, 5, 13, 2, 11, 123000), "u1", 2509799, "KR", 540, "ko", "tv", 60)  # noqa: DTZ001


def verdict(raw: bytes) -> Event | Reason:
    """Validate a line with the default field names, for 13:00 to 14:00 and 15 minutes on both sides."""
    return validate(raw, Fields(), WINDOW)


def test_good_line_is_an_event() -> None:
    """A valid line becomes an event with the values of the line."""
    assert verdict(GOOD) == EVENT


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b" \t" + GOOD + b" \r", id="space around it, and the end of a line as Windows has it"),
        pytest.param(json.dumps(play(), indent="\t").replace("\n", "\r").encode(), id="space between everything"),
        pytest.param(to_line(dict(reversed(play().items()))), id="another order"),
        pytest.param(line(title="Übung 1", tags=[1, {"a": None}]), id="further fields"),
        pytest.param(spoilt(b'"u1"', rb'"\u00751"'), id="escapes in a value"),
        pytest.param(spoilt(b'"user_id"', rb'"user\u005fid"'), id="escapes in a name"),
        pytest.param(spoilt(b"540", b'540,"note":"\\ud83d"'), id="half a character in a further field"),
        pytest.param(spoilt(b"540", b'540,"big":' + b"9" * 5000), id="a number of 5,000 digits in a further field"),
        pytest.param(spoilt(b"540", b'540,"big":1e999'), id="a number beyond all floats in a further field"),
        pytest.param(spoilt(b"540", b'540,"deep":' + b"[" * 200 + b"]" * 200), id="a nest of 200 lists"),
        pytest.param(spoilt(b'"e1"', b'"e1","event_id":7'), id="a name again: the first counts"),
        pytest.param(spoilt(b'"u1"', b'"u1","user_id":"u2"'), id="a name inside again: the first counts"),
        pytest.param(GOOD[:-1] + b',"event":null}', id="the event again: the first counts"),
    ],
)  # fmt: skip
def test_same_event_written_otherwise(raw: bytes) -> None:
    """White space, order, escapes, further fields and repeated names make no difference to an event."""
    assert verdict(raw) == EVENT


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"event_id": "e"}, id="event_id of 1"),
        pytest.param({"event_id": "é" * 64}, id="event_id of 64, however many bytes"),
        pytest.param({"user_id": "\U0001f600" * 128}, id="user_id of 128"),
        pytest.param({"user_id": ' "\\'}, id="user_id of odd characters"),
        pytest.param({"user_id": "\x7f\u200b"}, id="user_id that is not seen"),
        pytest.param({"episode_id": 1}, id="least episode_id"),
        pytest.param({"episode_id": 9007199254740992}, id="greatest episode_id"),
        pytest.param({"utc_offset_minutes": -720}, id="furthest west"),
        pytest.param({"utc_offset_minutes": 840}, id="furthest east"),
        pytest.param({"utc_offset_minutes": 0}, id="no offset"),
        pytest.param({"language": "pt-BR"}, id="language and country"),
        pytest.param({"language": "yue-Hant-HK-x1234567"}, id="language of many parts"),
        pytest.param({"device": "a" * 32}, id="device of 32"),
        pytest.param({"device": "smart_tv-2"}, id="device of all that is allowed"),
        pytest.param({"watched_seconds": 0}, id="nothing watched"),
        pytest.param({"watched_seconds": 3600}, id="an hour watched"),
    ],
)
def test_edges_of_the_contract_are_inside(changes: dict[str, Any]) -> None:
    """The smallest and the largest valid values are accepted unchanged."""
    assert verdict(line(**changes)) == Event(**{**vars(EVENT), **changes})


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("2026-01-05T13:02:11Z", (13, 2, 11, 0), id="whole seconds"),
        pytest.param("2026-01-05T13:02:11.1Z", (13, 2, 11, 100_000), id="tenths"),
        pytest.param("2026-01-05T13:02:11.123456Z", (13, 2, 11, 123_456), id="microseconds"),
        pytest.param("2026-01-05T13:02:11.123456789Z", (13, 2, 11, 123_456), id="nanoseconds, cut"),
        pytest.param("2026-01-05T22:02:11.123+09:00", (13, 2, 11, 123_000), id="Seoul"),
        pytest.param("2026-01-05T09:32:11-03:30", (13, 2, 11, 0), id="Newfoundland"),
        pytest.param("2026-01-06T03:02:11+14:00", (13, 2, 11, 0), id="Kiritimati, tomorrow"),
        pytest.param("2026-01-05T13:02:11-00:00", (13, 2, 11, 0), id="minus nothing"),
        pytest.param("2026-01-05T12:45:00.000Z", (12, 45, 0, 0), id="first instant of the window"),
        pytest.param("2026-01-05T14:14:59.999Z", (14, 14, 59, 999_000), id="last instant of the window"),
    ],
)
def test_forms_of_received_at(text: str, instant: tuple[int, int, int, int]) -> None:
    """Any RFC 3339 text with Z or an offset is valid, and is kept in UTC to the microsecond."""
    event = verdict(line(received_at=text))
    assert isinstance(event, Event)
    assert event.received_at == datetime(2026, 1, 5, *instant)  # noqa: DTZ001 - UTC without a zone


def test_leap_day() -> None:
    """29 February is valid in 2028 and invalid in 2026."""
    window = Window(datetime(2026, 1, 1), datetime(2029, 1, 1))  # noqa: DTZ001 - UTC without a zone
    leap, none = line(received_at="2028-02-29T23:59:59.999Z"), line(received_at="2026-02-29T12:00:00.000Z")
    event = validate(leap, Fields(), window)
    assert isinstance(event, Event)
    assert event.received_at == datetime(2028, 2, 29, 23, 59, 59, 999_000)  # noqa: DTZ001 - UTC without a zone
    assert validate(none, Fields(), window) is Reason.RECEIVED_AT


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(GOOD + b" " * (2**20 - len(GOOD) + 1), "line_too_long", id="a byte more than 1 MiB"),
        pytest.param(spoilt(b"u1", b"u\xff"), "not_utf8", id="no UTF-8"),
        pytest.param(spoilt(b"u1", b"u\xc3"), "not_utf8", id="half a character"),
        pytest.param(spoilt(b"u1", b"\xed\xa0\xbd"), "not_utf8", id="half a pair, encoded"),
        pytest.param(b"", "blank", id="nothing"),
        pytest.param(b" \t \r", "blank", id="only space"),
        pytest.param(GOOD[:-1], "not_json", id="cut"),
        pytest.param(GOOD + GOOD, "not_json", id="two objects"),
        pytest.param(GOOD + b"x", "not_json", id="something after it"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, "not_json", id="a byte order mark, where no file begins"),
        pytest.param(b"\x0c" + GOOD, "not_json", id="a form feed"),
        pytest.param(b"\xc2\xa0" + GOOD, "not_json", id="a no-break space"),
        pytest.param(GOOD.replace(b'"', b"'"), "not_json", id="single quotes"),
        pytest.param(spoilt(b"60}", b"60,}"), "not_json", id="a comma too many, inside"),
        pytest.param(GOOD[:-1] + b",}", "not_json", id="a comma too many"),
        pytest.param(spoilt(b"540", b'540,"x":NaN'), "not_json", id="NaN"),
        pytest.param(spoilt(b"540", b'540,"x":-Infinity'), "not_json", id="infinity"),
        pytest.param(spoilt(b":60", b":NaN"), "not_json", id="NaN where a number is wanted"),
        pytest.param(spoilt(b":60", b":060"), "not_json", id="a number with a zero before"),
        pytest.param(spoilt(b":60", b":+60"), "not_json", id="a number with a plus"),
        pytest.param(spoilt(b":60", b":0x3c"), "not_json", id="a hexadecimal number"),
        pytest.param(spoilt(b"u1", b"u\t1"), "not_json", id="a bare tab in a text"),
        pytest.param(spoilt(b"u1", b"u\x001"), "not_json", id="a bare zero in a text"),
        pytest.param(spoilt(b"u1", rb"u\x31"), "not_json", id="an escape that JSON does not know"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "not_json", id="a nest of 100,000 lists"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not_json", id="a nest of 100,000 objects"),
        pytest.param(b"[" + GOOD + b"]", "not_an_object", id="a list"),
        pytest.param(b'"' + b"play" + b'"', "not_an_object", id="a text"),
        pytest.param(b"42", "not_an_object", id="a number"),
        pytest.param(b"null", "not_an_object", id="null"),
        pytest.param(b"9" * 5000, "not_an_object", id="a number of 5,000 digits"),
        pytest.param(b"{}", "event_id", id="an empty object"),
        pytest.param(spoilt(b'"event_id":"e1"', b'"event_id":7,"event_id":"e1"'), "event_id", id="first of a name"),
        pytest.param(spoilt(b'"event":', b'"event":null,"event":'), "user_id", id="first of the event"),
        pytest.param(to_line(play() | {"event": "play"}), "user_id", id="an event that is a text"),
        pytest.param(to_line(play() | {"event": [play()["event"]]}), "user_id", id="an event that is a list"),
        pytest.param(to_line(play() | play()["event"] | {"event": {}}), "user_id", id="fields in the envelope"),
        pytest.param(GOOD.replace(b"user_id", b"USER_ID"), "user_id", id="a name in capitals"),
    ],
)  # fmt: skip
def test_lines_that_are_no_events(raw: bytes, reason: str) -> None:
    """Each invalid line has exactly one reason."""
    assert verdict(raw) == Reason(reason)


NO_TEXT: dict[str, Any] = {
    "missing": GONE,
    "null": None,
    "number": 7,
    "true": True,
    "list": ["a"],
    "object": {"a": "a"},
}
NO_NUMBER: dict[str, Any] = {
    "missing": GONE, "null": None, "text": "60", "true": True, "fraction": 60.5, "float": 60.0, "list": [60],
    "huge": 10**4000, "infinite": 10.0**308,
}  # fmt: skip
NO_CHARACTERS: dict[str, Any] = {"empty": "", "zero": "a\0", "newline": "a\n", "half a character": "a\ud800"}
WRONG: dict[str, dict[str, Any]] = {
    "event_id": NO_TEXT | NO_CHARACTERS | {"65 long": "e" * 65},
    "received_at": NO_TEXT | {
        "epoch milliseconds": 1767618131123, "epoch milliseconds as a text": "1767618131123", "words": "yesterday",
        "empty": "", "no zone": "2026-01-05T13:02:11.123", "only a day": "2026-01-05",
        "a space": "2026-01-05 13:02:11Z",
        "small t": "2026-01-05t13:02:11Z", "small z": "2026-01-05T13:02:11z", "24:00": "2026-01-05T24:00:00Z",
        "24:00 of the day before": "2026-01-04T24:00:00.000Z", "month 13": "2026-13-05T13:02:11Z",
        "30 February": "2026-02-30T13:02:11Z", "minute 60": "2026-01-05T13:60:00Z", "second 60": "2026-01-05T13:59:60Z",
        "no minutes": "2026-01-05T13Z", "no seconds": "2026-01-05T13:02Z", "a point alone": "2026-01-05T13:02:11.Z",
        "ten digits": "2026-01-05T13:02:11.1234567890Z", "a comma": "2026-01-05T13:02:11,123Z",
        "offset of hours": "2026-01-05T13:02:11+09", "offset without colon": "2026-01-05T13:02:11+0900",
        "offset of 24 hours": "2026-01-05T13:02:11+24:00", "offset of 60 minutes": "2026-01-05T13:02:11+05:60",
        "offset of seconds": "2026-01-05T22:02:11+09:00:00", "basic form": "20260105T130211Z",
        "week": "2026-W02-1T13:02:11Z", "other digits": "2026-01-05T13:0\u0662:11Z",
        "space after": "2026-01-05T13:02:11Z ",
        "space in the hour": "2026-01-05T 3:02:11.123Z", "space in the fraction": "2026-01-05T13:02:11.12 Z",
        "tab in the hour": "2026-01-05T\t3:02:11.123Z", "year 0": "0000-01-05T13:02:11Z",
        "before all years": "0001-01-01T00:00:00+01:00", "after all years": "9999-12-31T23:59:59-01:00",
    },
    "outside_hour": {
        "before the window": "2026-01-05T12:44:59.999Z", "end of the window": "2026-01-05T14:15:00.000Z",
        "another zone": "2026-01-05T13:02:11+09:00", "another year": "2025-01-05T13:02:11Z",
        "first of all years": "0001-01-01T00:00:00Z",
    },
    "user_id": NO_TEXT | NO_CHARACTERS | {"129 long": "u" * 129},
    "episode_id": NO_NUMBER | {"zero": 0, "negative": -1, "beyond": 2**53 + 1},
    "country": NO_TEXT | {
        "small": "kr", "one": "K", "three": "KOR", "empty": "", "digit": "K1", "newline": "KR\n",
        "Greek": "\u039a\u03a1",
    },
    "utc_offset_minutes": NO_NUMBER | {"too far west": -721, "too far east": 841},
    "language": NO_TEXT | {
        "one": "k", "nine": "koreanese", "words": "Korean language", "empty": "", "end": "ko-",
        "two regions": "ko-KR-KP",
        "one more": "ko-K", "nine more": "ko-123456789", "underscore": "ko_KR", "newline": "ko\n", "accent": "kó",
        "script after region": "ko-KR-Kore", "nothing private": "ko-x", "private alone": "x", "empty part": "ko--KR",
        "four after a variant": "de-1901-1996-Latn", "a digit": "k0", "an i of no list": "i-english",
        "Kelvin": "\u212aO", "too long": "ko-x" + "-12345678" * 14,
    },
    "device": NO_TEXT | {
        "capitals": "TV", "space": "smart tv", "empty": "", "33 long": "d" * 33, "accent": "télé", "newline": "tv\n",
    },
    "watched_seconds": NO_NUMBER | {"negative": -1, "over an hour": 3601},
}  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "spelled"),
    [
        ("KO", "ko"),
        ("pt-br", "pt-BR"),
        ("PT-BR", "pt-BR"),
        ("ZH-HANT-tw", "zh-Hant-TW"),
        ("zh-yue-hk", "zh-yue-HK"),
        ("es-419", "es-419"),
        ("SL-ROZAJ-BISKE-1994", "sl-rozaj-biske-1994"),
        ("de-1Abc", "de-1abc"),
        ("EN-U-CA-BUDDHIST", "en-u-ca-buddhist"),
        ("en-ca-X-CA", "en-CA-x-ca"),
        ("az-latn-X-LATN", "az-Latn-x-latn"),
        ("X-PRIVATE", "x-private"),
        ("x-1", "x-1"),
        ("I-Klingon", "i-klingon"),
        ("sgn-be-fr", "sgn-BE-FR"),
        ("EN-gb-OED", "en-GB-oed"),
        ("zh-MIN-NAN", "zh-min-nan"),
        ("kore", "kore"),
        ("Korean", "korean"),
        ("ko-x" + "-12345678" * 13, "ko-x" + "-12345678" * 13),
    ],
)
def test_case_of_a_language_has_no_meaning(tag: str, spelled: str) -> None:
    """A well-formed language tag counts in any case, and is stored as RFC 5646, section 2.1.1, spells it."""
    found = verdict(line(language=tag))
    assert isinstance(found, Event)
    assert found.language == spelled


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        pytest.param(reason, value, id=f"{reason}: {name}")
        for reason, values in WRONG.items()
        for name, value in values.items()
    ],
)
def test_wrong_value_is_the_reason(reason: str, value: object) -> None:
    """A line with one wrong value is rejected with the reason of its field."""
    name = "received_at" if reason == "outside_hour" else reason
    # Written with escapes, because half a surrogate pair has no UTF-8.
    assert verdict(json.dumps(play(**{name: value})).encode()) == Reason(reason)


def test_first_of_several_reasons_is_given() -> None:
    """A line with several wrong values has the first reason in the order of the contract."""
    wrong: dict[str, Any] = {
        "event_id": "",
        "received_at": "never",
        "user_id": "",
        "episode_id": 0,
        "country": "",
        "utc_offset_minutes": 1000,
        "language": "",
        "device": "",
        "watched_seconds": -1,
    }
    found = []
    while wrong:
        found.append(str(verdict(line(**wrong))))
        del wrong[next(iter(wrong))]
    assert found == [
        "event_id",
        "received_at",
        "user_id",
        "episode_id",
        "country",
        "utc_offset_minutes",
        "language",
        "device",
        "watched_seconds",
    ]
    assert verdict(line(received_at="2026-01-05T15:00:00Z", user_id="")) is Reason.OUTSIDE_HOUR
    assert verdict(line(event_id="", received_at="2026-01-05T15:00:00Z")) is Reason.EVENT_ID


def test_every_reason_is_tested() -> None:
    """The cases above cover each reason."""
    lines = {"line_too_long", "not_utf8", "blank", "not_json", "not_an_object"}
    assert set(Reason) == lines | set(WRONG)


def test_longest_line_is_accepted() -> None:
    """A line of exactly 1 MiB is accepted."""
    assert verdict(GOOD + b" " * (2**20 - len(GOOD))) == EVENT


def test_fields_of_another_producer() -> None:
    """Each field is read where the settings say, at any depth, and nowhere else."""
    fields = Fields(
        event_id="id", received_at="envelope.at.utc", user_id="who", episode_id="what.episode", country="where.country",
        utc_offset_minutes="where.offset", language="what.audio", device="how", watched_seconds="long",
    )  # fmt: skip
    theirs = {
        "id": "e1", "envelope": {"at": {"utc": "2026-01-05T13:02:11.123Z"}}, "who": "u1", "how": "tv", "long": 60,
        "what": {"episode": 2509799, "audio": "ko"}, "where": {"country": "KR", "offset": 540},
    }  # fmt: skip
    assert validate(to_line(theirs), fields, WINDOW) == EVENT
    assert validate(GOOD, fields, WINDOW) is Reason.EVENT_ID
    assert validate(to_line(theirs), Fields(), WINDOW) is Reason.EVENT_ID


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
INSTANTS = st.one_of(
    st.datetimes(datetime(2026, 1, 5, 12, 40), datetime(2026, 1, 5, 14, 20)).map(  # noqa: DTZ001 - UTC without a zone
        lambda one: one.isoformat() + "Z"
    ),
    st.from_regex(r"2026-01-0[56]T[0-2]\d:[0-6]\d:[0-6]\d(\.\d{0,10})?(Z|[+-][0-2]\d:[0-6]\d)", fullmatch=True),
)
TAG_PARTS = ["en", "DE", "Latn", "419", "1901", "variant", "x", "i", "a", "U", "7", "gan", "klingon", "oed", "GB", ""]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.text(max_size=66),
    "received_at": INSTANTS,
    "user_id": st.text(max_size=130),
    "episode_id": st.integers(-1, 2**53 + 1),
    "country": st.from_regex(r"[A-Z]{1,3}"),
    "utc_offset_minutes": st.integers(-721, 841),
    "language": st.from_regex(r"[a-z]{1,4}(-[A-Za-z0-9]{1,9}){0,4}", fullmatch=True)
    | st.lists(st.sampled_from(TAG_PARTS), max_size=7).map("-".join),
    "device": st.from_regex(r"[a-z0-9_-]{0,33}"),
    "watched_seconds": st.integers(-1, 3601),
}


@given(st.data(), st.sampled_from([None, *VALUES]), st.booleans())
def test_contract_is_what_the_oracle_reads(data: st.DataObject, changed: str | None, anything: bool) -> None:
    """Two implementations of the contract, with patterns and with loops, agree on lines with one odd value."""
    strategy = ANY_JSON if anything or changed is None else VALUES[changed]
    changes = {changed: data.draw(strategy)} if changed else {}
    raw = to_line(play(**changes))
    found, expected = verdict(raw), oracle.read(raw, WINDOW.start, WINDOW.end)
    if isinstance(expected, oracle.Play):
        assert isinstance(found, Event)
        assert (
            found.language,
            found.received_at,
            found.user_id,
            found.event_id,
            found.episode_id,
            found.watched_seconds,
        ) == (
            expected.language,
            expected.received_at,
            expected.user,
            expected.event_id,
            expected.episode,
            expected.seconds,
        )
    else:
        assert found == expected
