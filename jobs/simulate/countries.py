"""Countries of the simulated service: names, time zones, languages, and shares of viewers and shows.

Viewers have real time zones. The schedule has one zone for each country, sometimes an odd one, as TVMaze does; it does
not give the viewers' local time.
"""

from dataclasses import dataclass

Weights = tuple[tuple[str, float], ...]
"""Names with shares that sum to 1."""


@dataclass(frozen=True)
class Country:
    """A country, with its share of all viewers and its weight as a home country of shows."""

    code: str
    name: str
    schedule_zone: str
    viewers: float
    shows: float
    zones: Weights
    languages: Weights
    second_languages: tuple[str, ...]


_ONE_ZONE = {
    "IN": "Asia/Kolkata",  # half an hour off
    "GB": "Europe/London",
    "DE": "Europe/Berlin",
    "KR": "Asia/Seoul",
    "FR": "Europe/Paris",
    "JP": "Asia/Tokyo",
    "ES": "Europe/Madrid",
    "SE": "Europe/Stockholm",
}
_ZONES: dict[str, Weights] = {
    "US": (
        ("America/New_York", 0.46),
        ("America/Chicago", 0.28),
        ("America/Denver", 0.06),
        ("America/Phoenix", 0.03),  # keeps standard time all year
        ("America/Los_Angeles", 0.15),
        ("Pacific/Honolulu", 0.02),
    ),
    "BR": (("America/Sao_Paulo", 0.92), ("America/Manaus", 0.08)),
    "MX": (("America/Mexico_City", 0.93), ("America/Tijuana", 0.07)),
    "CA": (
        ("America/Toronto", 0.60),
        ("America/Vancouver", 0.25),
        ("America/Halifax", 0.10),
        ("America/St_Johns", 0.05),  # half an hour off, and has summer time
    ),
} | {code: ((zone, 1.0),) for code, zone in _ONE_ZONE.items()}

_LANGUAGES: dict[str, tuple[Weights, tuple[str, ...]]] = {  # first languages, and second languages
    "US": ((("en", 0.92), ("es", 0.08)), ("es", "ko", "zh")),
    "IN": ((("hi", 0.6), ("en", 0.4)), ("ta", "te")),
    "BR": ((("pt-BR", 1.0),), ("en", "es")),
    "GB": ((("en", 1.0),), ("fr", "pl")),
    "DE": ((("de", 1.0),), ("en", "tr")),
    "KR": ((("ko", 1.0),), ("en", "ja")),
    "FR": ((("fr", 1.0),), ("en", "ar")),
    "MX": ((("es-419", 1.0),), ("en",)),
    "JP": ((("ja", 1.0),), ("en", "ko")),
    "CA": ((("en", 0.78), ("fr", 0.22)), ("zh-Hant", "pa")),
    "ES": ((("es", 1.0),), ("ca", "en")),
    "SE": ((("sv", 1.0),), ("en", "fi")),
}


def _country(code: str, name: str, schedule_zone: str, viewers: float, shows: float) -> Country:
    languages, second_languages = _LANGUAGES.get(code, ((), ()))
    return Country(code, name, schedule_zone, viewers, shows, _ZONES.get(code, ()), languages, second_languages)


COUNTRIES = {
    country.code: country
    for country in (
        _country("US", "United States", "America/New_York", viewers=0.28, shows=30),
        _country("IN", "India", "Asia/Kolkata", viewers=0.10, shows=3),
        _country("BR", "Brazil", "America/Noronha", viewers=0.10, shows=5),
        _country("GB", "United Kingdom", "Europe/London", viewers=0.09, shows=12),
        _country("DE", "Germany", "Europe/Busingen", viewers=0.09, shows=7),
        _country("KR", "Korea, Republic of", "Asia/Seoul", viewers=0.08, shows=9),
        _country("FR", "France", "Europe/Paris", viewers=0.07, shows=5),
        _country("MX", "Mexico", "America/Monterrey", viewers=0.06, shows=2),
        _country("JP", "Japan", "Asia/Tokyo", viewers=0.04, shows=9),
        _country("CA", "Canada", "America/Halifax", viewers=0.05, shows=3),
        _country("ES", "Spain", "Europe/Madrid", viewers=0.03, shows=3),
        _country("SE", "Sweden", "Europe/Stockholm", viewers=0.01, shows=3),
        _country("RU", "Russian Federation", "Asia/Kamchatka", viewers=0, shows=5),
        _country("KZ", "Kazakhstan", "Asia/Qyzylorda", viewers=0, shows=1),
        _country("NO", "Norway", "Europe/Oslo", viewers=0, shows=2),
    )
}

HOME_COUNTRIES = tuple(country.code for country in COUNTRIES.values() if country.viewers)
SCHEDULE_COUNTRIES = ("US", "GB", "KR", "JP", "DE", "FR")
"""Countries with networks. Their broadcast schedules and the web schedule together contain every listed episode."""
