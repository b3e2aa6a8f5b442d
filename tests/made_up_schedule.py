"""Made-up answers of a schedule service in the format of TVmaze: none of the shows, channels or episodes exists.

They cover what tests read of recorded answers: whole days on the web and in a country, with newer and older fields; the
same days captured twice; and one episode for each odd condition.
"""

from typing import Any

Row = dict[str, Any]

KOREA = {"name": "Korea, Republic of", "code": "KR", "timezone": "Asia/Seoul"}
JAPAN = {"name": "Japan", "code": "JP", "timezone": "Asia/Tokyo"}
CHINA = {"name": "China", "code": "CN", "timezone": "Asia/Shanghai"}
RUSSIA = {"name": "Russian Federation", "code": "RU", "timezone": "Asia/Kamchatka"}
GERMANY = {"name": "Germany", "code": "DE", "timezone": "Europe/Busingen"}
STATES = {"name": "United States", "code": "US", "timezone": "America/New_York"}


def channel(channel_id: int, name: str, country: Row | None = None, site: str | None = None) -> Row:
    """Return a network or a web channel."""
    return {"id": channel_id, "name": name, "country": country, "officialSite": site}


WAVES = channel(1, "Waves")
HANA = channel(2, "Hana Stream", KOREA, "https://hana.example")
EASTLAND = channel(1, "Eastland TV", STATES)
CHANNEL_9 = channel(9, "Channel Nine", JAPAN, "https://nine.example")


def show(show_id: int, name: str, **fields: Any) -> Row:
    """Return a show with every field of TVmaze, in its order."""
    url = f"https://schedule.example/shows/{show_id}"
    return {
        "id": show_id,
        "url": url,
        "name": name,
        "type": "Scripted",
        "language": "English",
        "genres": ["Drama"],
        "status": "Running",
        "runtime": 30,
        "averageRuntime": 31,
        "premiered": "2019-03-25",
        "ended": None,
        "officialSite": None,
        "schedule": {"time": "20:30", "days": ["Tuesday"]},
        "rating": {"average": None},
        "weight": 50,
        "network": None,
        "webChannel": WAVES,
        "dvdCountry": None,
        "externals": {"tvrage": None, "thetvdb": 100_000 + show_id, "imdb": None},
        "image": {"medium": f"{url}/medium.jpg", "original": f"{url}/original.jpg"},
        "summary": f"<p><b>{name}</b> is made up.</p>",
        "updated": 1_600_000_000,
        "_links": {"self": {"href": url}},
    } | fields


def web(episode_id: int, of: Row, **fields: Any) -> Row:
    """Return an episode in the form of ``/schedule/web``, with the show under ``_embedded``."""
    return _episode(episode_id, **fields) | {"_embedded": {"show": of}}


def broadcast(episode_id: int, of: Row, **fields: Any) -> Row:
    """Return an episode in the form of ``/schedule``, with the show under ``show`` and a link to it."""
    made = _episode(episode_id, **fields)
    links = made.pop("_links") | {"show": of["_links"]["self"]}
    return made | {"show": of, "_links": links}


def _episode(episode_id: int, **fields: Any) -> Row:
    url = f"https://schedule.example/episodes/{episode_id}"
    made = {
        "id": episode_id,
        "url": url,
        "name": f"Episode {episode_id}",
        "season": 1,
        "number": 2,
        "type": "regular",
        "airdate": "2020-12-01",
        "airtime": "20:30",
        "airstamp": "2020-12-01T20:30:00+00:00",
        "runtime": 30,
        "rating": {"average": None},
        "image": None,
        "summary": "<p>Nothing of this happened.</p>",
        "_links": {"self": {"href": url}},
    }
    return made | fields


def older(item: Row, *, with_dvd_country: bool = False) -> Row:
    """Return a broadcast episode with the older set of fields."""
    later = {"averageRuntime", "ended"} | (set() if with_dvd_country else {"dvdCountry"})
    of = {name: value for name, value in item["show"].items() if name not in later}
    return {name: value for name, value in item.items() if name not in {"type", "rating"}} | {"show": of}


FERRY = show(1, "The Glass Ferry", webChannel=HANA, language="Korean", genres=["Drama", "Romance"])
CLOCK = show(7, "Thirteen O'Clock", network=EASTLAND, webChannel=None, genres=["Crime"])
DUNES = show(8, "Singing Dunes", network=EASTLAND, dvdCountry=JAPAN, genres=[])

ON_WEB = [
    web(101, FERRY, rating={"average": 8.5}, image={"medium": "https://m.example", "original": "https://o.example"}),
    web(102, FERRY, number=None, type="significant_special", summary=None, runtime=None),
    web(103, show(9, "Чайник", network=CHANNEL_9, language=None, runtime=None, averageRuntime=None, summary=None)),
]
IN_STATES = [
    broadcast(
        201, CLOCK, airdate="2020-11-30", airtime="04:00", airstamp="2020-12-01T09:00:00+00:00"
    ),  # early in the morning
    broadcast(202, DUNES, airtime="", summary=""),
    broadcast(101, FERRY),  # as on the web
]
DAYS = {
    "web": ON_WEB,
    "broadcast": IN_STATES,
    "broadcast of before": [older(item) for item in IN_STATES],
    "broadcast of both": [older(item, with_dvd_country=item["id"] == 202) for item in IN_STATES],
    "one episode": ON_WEB[:1],
}
"""The answers for a day, by their peculiarity."""

# Two days, each captured twice.

LANTERNS = show(2, "Nine Lanterns", status="Ended", ended="2020-12-10", updated=1_607_641_557)
COURT = show(3, "Harbour Court", status="Ended", ended="2020-12-21", updated=1_646_749_479)
BELLS = show(4, "Quiet Bells")
PAPER = show(5, "Salt and Paper")
TIDES = show(6, "Tide Tables", genres=["Comedy"])

EARLIER = {
    "2020-12-10": [web(11, FERRY), web(21, LANTERNS), web(41, BELLS)],
    "2020-12-21": [web(12, FERRY), web(31, COURT), web(61, TIDES)],
}
LATER = {
    "2020-12-10": [
        web(11, FERRY, rating={"average": 7.5}),
        web(21, LANTERNS | {"status": "Running", "ended": None, "updated": 1_662_317_888}),
    ],
    "2020-12-21": [
        web(12, FERRY, runtime=32, name="The Other Shore"),
        web(31, COURT | {"status": "To Be Determined", "ended": None, "updated": 1_658_531_810}),
        web(61, TIDES | {"weight": 51, "genres": ["Comedy", "Nature"]}),
        web(51, PAPER),
    ],
}

LONG = "<p>" + "A very long <i>summary</i> of nothing. " * 30 + "</p>"

EDGE_CASES = {
    "number_null": web(1001, FERRY, season=3, number=None, type="significant_special"),
    "significant_special": web(1002, FERRY, type="significant_special", airstamp="2020-12-07T00:00:00+00:00"),
    "insignificant_special": web(1003, FERRY, type="insignificant_special", number=None, runtime=140),
    "airtime_empty_country_null": web(1004, BELLS, airtime="", airstamp="2020-12-01T12:00:00+00:00"),
    "airtime_empty_country_CN": web(
        1005, show(21, "Jade Bicycle", webChannel=channel(3, "Yun", CHINA)), airtime="", airstamp="2020-12-01T04:00:00Z"
    ),
    "airstamp_next_day": web(1006, CLOCK, airdate="2020-12-02", airstamp="2020-12-03T02:25:00+00:00"),
    "airstamp_prev_day": web(1007, FERRY, airtime="06:00", airstamp="2020-11-30T21:00:00+00:00"),
    "runtime_null": web(1008, FERRY, runtime=None),
    "show_runtime_and_avg_null": web(1009, show(22, "No Clock", runtime=None, averageRuntime=None)),
    "summary_null": web(1010, FERRY, name="Серия 2", summary=None),
    "rating_set": web(1011, FERRY, rating={"average": 8.0}),
    "language_null": web(1012, show(23, "The Mime's Hour", language=None)),
    "genres_empty": web(1013, show(24, "Saffron Nights", language="Persian", genres=[])),
    "network_and_webchannel": web(1014, show(25, "Both Banks", network=CHANNEL_9, webChannel=HANA)),
    "network_only_on_web_schedule": web(1015, CLOCK),
    "ended": web(1016, show(26, "Last Orders", status="Ended", ended="2020-12-22"), airdate="2020-12-22"),
    "ended_before_airdate": web(1017, show(27, "Encore", status="Ended", ended="2020-12-04"), airdate="2020-12-05"),
    "tbd": web(1018, show(28, "Maybe", status="To Be Determined", schedule={"time": "", "days": []})),
    "korean": web(
        1019, show(29, "별의 부엌", language="Korean", schedule={"time": "21:00", "days": ["Wednesday", "Thursday"]})
    ),
    "crime_us": web(1020, CLOCK),
    "kamchatka": web(1021, show(30, "Вулкан", network=channel(5, "Восток", RUSSIA), webChannel=None)),
    "busingen": web(1022, show(31, "Die Enklave", webChannel=channel(6, "Insel", GERMANY))),
    "cyrillic": web(1023, show(32, "Зрячая", network=channel(5, "Восток", RUSSIA), webChannel=WAVES)),
    "season_is_year": web(1024, BELLS, season=2020, number=49),
    "number_over_300": web(1025, BELLS, season=2020, number=328, runtime=None),
    "long_runtime": web(1026, BELLS, runtime=300),
    "show_image_null": web(1027, show(33, "Unseen", image=None)),
    "dvdCountry": web(1028, show(34, "Two Discs", network=CHANNEL_9, webChannel=HANA, dvdCountry=JAPAN)),
    "adult": web(
        1029,
        show(
            35,
            "After Dark",
            externals={"tvrage": 5, "thetvdb": None, "imdb": "tt00000035"},
            officialSite="https://a.example",
        ),
        image={"medium": "https://m.example", "original": "https://o.example"},
    ),
    "schedule_days_empty": web(1030, show(36, "Any Day", schedule={"time": "06:00", "days": []})),
    "html_long_summary": web(1031, BELLS, summary=LONG),
    "html_entity": web(1032, BELLS, name="Salt & Pepper", summary="<p>Salt &amp; Pepper argue.</p>"),
    "two_countries": web(1033, show(37, "Kickoff", network=EASTLAND, webChannel=HANA, type="Sports")),
}
"""An episode for each condition that the recordings have, by its name."""
