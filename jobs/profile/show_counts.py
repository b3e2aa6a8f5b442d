"""Counts of shows, countries and genres: a bucket's part of the audience, in whole numbers that can be summed.

The traits of a viewer (new, multilingual), and of a show for a viewer (loyal, binge, sole), come from everything that
the viewer watched in the period. Only reach depends on the country. It takes reach_seconds (2 minutes), as Netflix'
"starter" (The Verge 2019-10-21).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.profile.arrays import (
    Flags,
    Groups,
    Ints,
    Sums,
    add_runs,
    at_least,
    count_spans,
    numbers,
    packed,
    run_of_each,
    scaled,
    split,
    starts_of,
    sum_each,
    texts,
)
from jobs.profile.watching import Pairs, Watching, coded, of_texts
from marquee.lake.parquet import ROWS_A_GROUP
from marquee.sql import Values

MS = 1000


@dataclass(frozen=True)
class Traits:
    """What a show is for its viewers, and what the viewers are. The former are by pair of viewer and show.

    Loyal: a play in at least loyal_share (half) of the weeks (Marquee's own rule; loyalty in audience.sql is another
    measure: how much of a show its viewers watch). It is not published before three spans have passed (knows_loyalty in
    day_bitmap.py).

    Sole and near-sole: all, or near_sole_share (90 %), of a viewer's seconds are of this show. Netflix' "valued hours"
    give the highest weight to a viewer's only show (Business Insider 2016, via
    jewishnews.com/2016/02/02/how-netflix-measures-success).

    A viewer of an unknown show is not its viewer in any of these senses, because its episodes belong to many shows.
    """

    known: Flags
    days: Ints
    """Days with a play."""
    loyal: Flags
    sole: Flags
    near_sole: Flags
    binge: Flags
    binge5: Flags
    new: Flags
    multilingual: Flags


def find_traits(watching: Watching, seen: pa.Table, binges: Ints, values: Values) -> Traits:
    """Return the traits of pairs and viewers.

    Args:
        watching: what the viewers watched.
        seen: viewer_seen of the period's last day.
        binges: by pair, the greatest number of episodes that count for a binge in one sitting.
        values: the thresholds, and ``spans``: the period's weeks (for a week or a day: its days), as bitmaps of days.
    """
    pairs = watching.pairs
    known = watching.shows[pairs.show] != values["unknown_show"]
    totals = watching.totals[pairs.viewer]
    spans = count_spans(pairs.days_low, pairs.days_high, values["spans"])
    return Traits(
        known=known,
        days=np.where(known, np.bitwise_count(pairs.days_low) + np.bitwise_count(pairs.days_high), 0).astype(np.int64),
        loyal=known & at_least(spans, values["loyal_share"], len(values["spans"])),
        sole=known & (pairs.seconds == totals),
        near_sole=known & at_least(pairs.seconds, values["near_sole_share"], totals),
        binge=known & (binges >= values["binge_episodes"]),
        binge5=known & (binges >= values["binge5_episodes"]),
        new=watching.are_new(seen, values),
        multilingual=watching.are_multilingual(values),
    )


def count_shows(watching: Watching, traits: Traits, values: Values) -> pa.Table:
    """Return the counts by show and country, and by show worldwide.

    Columns: show_id, country, watched_seconds (seconds, of all viewers), reach and the …_viewers (viewers reached),
    return_days (viewer-days of viewers reached), valued_ms (milliseconds, of all viewers).

    Valued: each hour has the weight of its show's share of the viewer's hours, so Σ h_show²/h_all worldwide (Business
    Insider 2016, as above); rounded down to a millisecond for each viewer, so that sums are exact.
    """
    rows, pairs = watching.rows, watching.pairs
    countries = max(len(watching.countries), 1)
    shows = len(watching.shows)
    by_show, by_place = Sums(pairs.show, shows), Sums(rows.show * countries + rows.country, shows * countries)
    counted = _flags_of_pairs(pairs, traits)
    flags = packed(counted.values())

    def tally(groups: Sums, pair: Ints | slice, seconds: Ints) -> Mapping[str, Ints]:
        """Return the counts of each group of rows; ``pair`` is the pair of viewer and show of each row."""
        reached = seconds >= values["reach_seconds"]
        valued = scaled(seconds, pairs.seconds[pair], MS, watching.totals[pairs.viewer[pair]])
        return {
            "watched_seconds": groups.sum(seconds),
            "return_days": groups.sum(traits.days[pair] * reached),
            "valued_ms": groups.sum(valued * traits.known[pair]),
            **groups.count(flags[pair] * reached, [*counted]),
        }

    everywhere = tally(by_show, slice(None), pairs.seconds)
    here = tally(by_place, pairs.of_row, rows.seconds)
    show, country = split(by_place.keys, countries)
    present = by_show.keys
    ids = np.concatenate([watching.shows[present], watching.shows[show]])
    names = _places(watching, len(present), country, values)
    return pa.table(
        {"show_id": ids, "country": names}
        | {name: np.concatenate([everywhere[name], here[name]]) for name in everywhere}
    )


def count_base(watching: Watching, traits: Traits, values: Values) -> pa.Table:
    """Return the base that shows are compared with, by country and worldwide.

    Columns: country, watched_seconds (seconds, of all viewers), active_viewers (reach_seconds of anything there), and
    among them multilingual_viewers and new_viewers.
    """
    rows, countries = watching.rows, max(len(watching.countries), 1)
    groups = Sums(rows.viewer * countries + rows.country, len(watching.viewers) * countries)
    viewer, country = split(groups.keys, countries)
    everybody = np.arange(len(watching.viewers))
    place = np.concatenate([np.zeros(len(everybody), np.int64), country + 1])
    viewer = np.concatenate([everybody, viewer])
    seconds = np.concatenate([watching.totals, groups.sum(rows.seconds)])
    active = seconds >= values["reach_seconds"]
    by_place = Sums(place, countries + 1)
    flags = {
        "active_viewers": active,
        "multilingual_viewers": active & traits.multilingual[viewer],
        "new_viewers": active & traits.new[viewer],
    }
    return pa.table(
        {
            "country": of_texts([values["worldwide"], *watching.countries], by_place.keys),
            "watched_seconds": by_place.sum(seconds),
            **by_place.count(packed(flags.values()), [*flags]),
        }
    )


def count_genres(watching: Watching, show_genre: pa.Table, values: Values) -> pa.Table:
    """Return the audience of genres, by country and worldwide.

    Columns: genre, country, watched_seconds (seconds, of all viewers), reach and sole_viewers (viewers reached). A show
    counts in full for each of its genres; a show without any is of the genre ``unknown_genre``. A viewer of several
    shows of a genre counts once. Sole: all seconds of the viewer, in all countries, are of shows of this genre.
    """
    rows, countries = watching.rows, max(len(watching.countries), 1)
    starts, genre, names = _genres_of_shows(watching, show_genre, values["unknown_genre"])
    keys, seconds = sum_each(
        rows.viewer * (len(names) * countries) + rows.country,
        rows.seconds,
        rows.show,
        (starts, genre * countries),
        len(watching.viewers) * len(names) * countries,
    )
    viewer_genre, country = split(keys, countries)
    starts = starts_of(viewer_genre)
    of_genre = add_runs(seconds, starts)
    sole = of_genre == watching.totals[viewer_genre[starts] // len(names)]
    of_row = run_of_each(starts, len(seconds))
    place = np.concatenate([np.zeros(len(starts), np.int64), country + 1])
    genre = np.concatenate([viewer_genre[starts], viewer_genre]) % len(names)
    seconds, sole = np.concatenate([of_genre, seconds]), np.concatenate([sole, sole[of_row]])
    reached = seconds >= values["reach_seconds"]
    by_place = Sums(genre * (countries + 1) + place, len(names) * (countries + 1))
    genre, place = split(by_place.keys, countries + 1)
    flags = {"reach": reached, "sole_viewers": reached & sole}
    return pa.table(
        {
            "genre": of_texts(names, genre),
            "country": of_texts([values["worldwide"], *watching.countries], place),
            "watched_seconds": by_place.sum(seconds),
            **by_place.count(packed(flags.values()), [*flags]),
        }
    )


class _Range(NamedTuple):
    """Rows of show_viewer of a range of viewers; ``cell`` numbers its shows × countries."""

    shows: Ints
    countries: Sequence[str]
    cell: npt.NDArray[np.int32]
    viewer: npt.NDArray[np.int32]
    seconds: Ints


class ShowViewers:
    """The rows of show_viewer of a bucket, whose ranges are added one by one.

    A viewer has a number in place of the pseudonym: viewers of a later range follow those of an earlier one.
    """

    def __init__(self) -> None:
        self._ranges: list[_Range] = []
        self._totals: list[Ints] = []

    def add(self, watching: Watching) -> None:
        """Add the viewers of a range."""
        rows = watching.rows
        cell = (rows.show * len(watching.countries) + rows.country).astype(np.int32)
        viewer = (rows.viewer + sum(map(len, self._totals))).astype(np.int32)
        self._ranges.append(_Range(watching.shows, watching.countries, cell, viewer, rows.seconds))
        self._totals.append(watching.totals)

    def take(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, sorted, and let go of them: by show, country and viewer; a range has them by viewer."""
        shows = np.unique(np.concatenate([one.shows for one in self._ranges]))
        countries = sorted({name for one in self._ranges for name in one.countries})
        of_country = {name: number for number, name in enumerate(countries)}
        keys = []
        for one in self._ranges:
            first = np.searchsorted(shows, one.shows) * len(countries)
            of_cell = np.add.outer(first, np.array([of_country[name] for name in one.countries], np.int64))
            keys.append(of_cell.ravel()[one.cell])
        key = np.concatenate(keys)
        viewer = np.concatenate([one.viewer for one in self._ranges])
        seconds = np.concatenate([one.seconds for one in self._ranges])
        totals = np.concatenate(self._totals)
        del keys
        self._ranges, self._totals = [], []
        order = Groups(key).order
        for start in range(0, len(order), ROWS_A_GROUP):
            which = order[start : start + ROWS_A_GROUP]
            show, country = split(key[which], len(countries))
            yield pa.record_batch(
                {
                    "show_id": shows[show],
                    "country": coded(countries, country),
                    "viewer_number": viewer[which],
                    "watched_seconds": seconds[which],
                    "viewer_seconds": totals[viewer[which]],
                }
            )


def list_countries_of_episodes(watching: Watching) -> pa.Table:
    """Return episode × country with a play in the bucket. Not additive: several buckets may have the same pair."""
    countries = max(len(watching.countries), 1)
    pairs = np.zeros(len(watching.episodes) * countries, np.bool_)
    pairs[watching.episode * countries + watching.country] = True
    episode, country = split(np.flatnonzero(pairs), countries)
    return pa.table({"episode_id": watching.episodes[episode], "country": of_texts(watching.countries, country)})


def _flags_of_pairs(pairs: Pairs, traits: Traits) -> Mapping[str, Flags]:
    """Return by count whether each pair of viewer and show is in it, once the viewer is reached."""
    new = traits.new[pairs.viewer]
    return {
        "reach": np.ones(len(pairs.viewer), np.bool_),
        "loyal_viewers": traits.loyal,
        "binge_viewers": traits.binge,
        "binge5_viewers": traits.binge5,
        "sole_viewers": traits.sole,
        "near_sole_viewers": traits.near_sole,
        "new_viewers": new,
        "new_sole_viewers": new & traits.sole,
        "multilingual_viewers": traits.multilingual[pairs.viewer],
    }


def _places(watching: Watching, worldwide: int, country: Ints, values: Values) -> pa.Array:
    """Return the column country: a number of worldwide rows, then rows of countries."""
    place = np.concatenate([np.zeros(worldwide, np.int64), country + 1])
    return of_texts([values["worldwide"], *watching.countries], place)


def _genres_of_shows(watching: Watching, show_genre: pa.Table, unknown: str) -> tuple[Ints, Ints, list[str]]:
    """Return where each show's genres begin and the last one's end, the genres of all, and the names of genres."""
    genre, names = texts(show_genre["genre"])
    show = np.searchsorted(watching.shows, numbers(show_genre["show_id"]))
    show[show == len(watching.shows)] = 0
    here = watching.shows[show] == numbers(show_genre["show_id"]) if len(watching.shows) else np.zeros(len(show), bool)
    show, genre = show[here], genre[here]
    without = np.flatnonzero(np.bincount(show, minlength=len(watching.shows)) == 0)
    listed = [*names] if unknown in names else [*names, unknown]
    show = np.concatenate([show, without])
    genre = np.concatenate([genre, np.full(len(without), listed.index(unknown))])[np.argsort(show, kind="stable")]
    return np.searchsorted(np.sort(show), np.arange(len(watching.shows) + 1)), genre, listed
