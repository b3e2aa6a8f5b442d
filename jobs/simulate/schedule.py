"""The simulated schedule in TVMaze's format: ``/schedule`` of a country's day and ``/schedule/web`` of a day.

A show has its state of the requested day, so that status, ``ended``, ``updated`` and ``weight`` change from day to day
like for a client that fetches each day on that day.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from jobs.simulate.countries import COUNTRIES
from jobs.simulate.world import Channel, Episode, Show, World

Json = dict[str, Any]

SITE = "https://www.schedule.example"
API = "https://api.schedule.example"
IMAGES = "https://static.schedule.example/uploads/images"


class Schedule:
    """The episodes of a world, by the day on which the schedule lists them."""

    def __init__(self, world: World) -> None:
        self._broadcast: dict[tuple[str, date], list[tuple[Show, Episode]]] = defaultdict(list)
        self._web: dict[date, list[tuple[Show, Episode]]] = defaultdict(list)
        for show, episode in sorted(world.listings(), key=lambda pair: (pair[1].airstamp, pair[1].id)):
            if not world.first_day <= episode.airdate <= world.last_day:
                continue
            for country in sorted(
                {channel.country for channel in (show.network, show.web_channel) if channel and channel.country}
            ):
                # By local day of the airstamp: an episode that airs after midnight is listed a day after its airdate.
                local = episode.airstamp.astimezone(ZoneInfo(COUNTRIES[country].schedule_zone)).date()
                self._broadcast[country, local].append((show, episode))
            if show.on_web:
                self._web[episode.airdate].append((show, episode))

    def of_country(self, country: str, day: date) -> list[Json]:
        """Return the episodes that a country's networks and local web channels air on a day of that country."""
        rows = self._broadcast.get((country, day), [])
        return [_episode_json(show, episode) | _under_show(show, episode, day) for show, episode in rows]

    def of_web(self, day: date, country: str | None = None) -> list[Json]:
        """Return the episodes on the web on a day: all (None), those of a country, or the global ones (``""``)."""
        rows = self._web.get(day, [])
        if country is not None:
            rows = [(show, episode) for show, episode in rows if _web_country(show) == (country or None)]
        return [_episode_json(show, episode) | _embedded_show(show, episode, day) for show, episode in rows]


def _web_country(show: Show) -> str | None:
    channel = show.web_channel or show.network
    return channel.country if channel else None


def _episode_json(show: Show, episode: Episode) -> Json:
    return {
        "id": episode.id,
        "url": f"{SITE}/episodes/{episode.id}/{show.slug}-{_numbered(episode)}",
        "name": episode.name,
        "season": episode.season,
        "number": episode.number,
        "type": episode.type,
        "airdate": str(episode.airdate),
        "airtime": episode.airtime,
        "airstamp": episode.airstamp.isoformat(),
        "runtime": episode.runtime,
        "rating": {"average": episode.rating},
        "image": _image("landscape", episode.id) if episode.has_image else None,
        "summary": episode.summary,
    }


def _numbered(episode: Episode) -> str:
    if episode.number is None:
        return f"s{episode.season:02}-special"
    if episode.season == episode.airdate.year:
        return f"{episode.airdate}"
    return f"{episode.season}x{episode.number:02}"


def _under_show(show: Show, episode: Episode, day: date) -> Json:
    """Return the fields that the broadcast schedule adds to an episode."""
    links = {"self": _link("episodes", episode.id), "show": _link("shows", show.id)}
    return {"show": _show_json(show, day), "_links": links}


def _embedded_show(show: Show, episode: Episode, day: date) -> Json:
    """Return the fields that the web schedule adds to an episode."""
    return {"_links": {"self": _link("episodes", episode.id)}, "_embedded": {"show": _show_json(show, day)}}


def _show_json(show: Show, day: date) -> Json:
    status = show.status_on(day)
    return {
        "id": show.id,
        "url": f"{SITE}/shows/{show.id}/{show.slug}",
        "name": show.name,
        "type": show.type,
        "language": show.language,
        "genres": list(show.genres),
        "status": status.name,
        "runtime": show.runtime,
        "averageRuntime": show.average_runtime,
        "premiered": str(show.premiered),
        "ended": str(status.ended) if status.ended else None,
        "officialSite": f"https://{show.slug}.example/" if show.id % 3 == 0 else None,
        "schedule": {"time": show.airtime, "days": list(show.days)},
        "rating": {"average": show.rating},
        "weight": show.weight + (show.id + day.toordinal()) % 4,
        "network": _channel(show.network),
        "webChannel": _channel(show.web_channel),
        "dvdCountry": _country("JP") if show.network and show.country == "JP" else None,
        "externals": {"tvrage": None, "thetvdb": show.id + 300_000 if show.id % 2 else None, "imdb": None},
        "image": _image("portrait", show.id) if show.id % 10 else None,
        "summary": show.summary,
        "updated": _updated(show, day),
        "_links": _show_links(show, day),
    }


def _updated(show: Show, day: date) -> int:
    """Return the time of the last change to the show, in seconds: every few days, and when its status changes."""
    edited = max(day - timedelta(days=(day.toordinal() + show.id) % 5), show.status_on(day).since)
    return int(datetime(edited.year, edited.month, edited.day, 1, tzinfo=UTC).timestamp()) + show.id % 3600


def _show_links(show: Show, day: date) -> Json:
    listed = [episode for episode in show.episodes if episode.listed]
    links = {"self": _link("shows", show.id)}
    if aired := [episode for episode in listed if episode.airdate <= day]:
        links["previousepisode"] = _link("episodes", aired[-1].id)
    if coming := [episode for episode in listed if episode.airdate > day]:
        links["nextepisode"] = _link("episodes", coming[0].id)
    return links


def _channel(channel: Channel | None) -> Json | None:
    if channel is None:
        return None
    country = _country(channel.country) if channel.country else None
    return {"id": channel.id, "name": channel.name, "country": country, "officialSite": None}


def _country(code: str) -> Json:
    country = COUNTRIES[code]
    return {"name": country.name, "code": country.code, "timezone": country.schedule_zone}


def _image(kind: str, number: int) -> Json:
    file = f"{number // 2500}/{number}.jpg"
    return {"medium": f"{IMAGES}/medium_{kind}/{file}", "original": f"{IMAGES}/original_untouched/{file}"}


def _link(kind: str, number: int) -> Json:
    return {"href": f"{API}/{kind}/{number}"}
