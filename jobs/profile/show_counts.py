"""Counts of shows, countries and genres: a bucket's part of the audience, in whole numbers that can be summed.

The traits of a viewer (new, multilingual), and of a show for a viewer (loyal, binge, sole), come from everything that
the viewer watched in the period. Only reach depends on the country. It takes reach_seconds (2 minutes), as Netflix'
"starter" (The Verge 2019-10-21).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.profile.arrays import (
    Flags,
    Groups,
    Ints,
    Sums,
    add_runs,
    at_least,
    count_up,
    numbers,
    run_of_each,
    scaled,
    starts_of,
    texts,
)
from jobs.profile.watching import Watching, coded, of_texts
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
    spans = np.zeros(len(pairs.viewer), np.int64)
    for span in values["spans"]:
        spans += ((pairs.days_low & np.uint64(span["low"])) | (pairs.days_high & np.uint64(span["high"]))) != 0
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
    everywhere = _tally(by_show, np.arange(len(pairs.viewer)), pairs.seconds, watching, traits, values)
    here = _tally(by_place, pairs.of_row, rows.seconds, watching, traits, values)
    show, country = np.divmod(by_place.keys, countries)
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
    viewer, country = np.divmod(groups.keys, countries)
    everybody = np.arange(len(watching.viewers))
    place = np.concatenate([np.zeros(len(everybody), np.int64), country + 1])
    viewer = np.concatenate([everybody, viewer])
    seconds = np.concatenate([watching.totals, groups.sum(rows.seconds)])
    active = seconds >= values["reach_seconds"]
    by_place = Sums(place, countries + 1)
    return pa.table(
        {
            "country": of_texts([values["worldwide"], *watching.countries], by_place.keys),
            "watched_seconds": by_place.sum(seconds),
            "active_viewers": by_place.sum(active),
            "multilingual_viewers": by_place.sum(active & traits.multilingual[viewer]),
            "new_viewers": by_place.sum(active & traits.new[viewer]),
        }
    )


def count_genres(watching: Watching, show_genre: pa.Table, values: Values) -> pa.Table:
    """Return the audience of genres, by country and worldwide.

    Columns: genre, country, watched_seconds (seconds, of all viewers), reach and sole_viewers (viewers reached). A show
    counts in full for each of its genres; a show without any is of the genre ``unknown_genre``. A viewer of several
    shows of a genre counts once. Sole: all seconds of the viewer, in all countries, are of shows of this genre.
    """
    rows, countries = watching.rows, max(len(watching.countries), 1)
    row, genre, names = _genres_of_rows(watching, show_genre, values["unknown_genre"])
    cells = len(watching.viewers) * len(names) * countries
    groups = Sums((rows.viewer[row] * len(names) + genre) * countries + rows.country[row], cells)
    seconds = groups.sum(rows.seconds[row])
    viewer_genre, country = np.divmod(groups.keys, countries)
    starts = starts_of(viewer_genre)
    of_genre = add_runs(seconds, starts)
    sole = of_genre == watching.totals[viewer_genre[starts] // len(names)]
    of_row = run_of_each(starts, len(seconds))
    place = np.concatenate([np.zeros(len(starts), np.int64), country + 1])
    genre = np.concatenate([viewer_genre[starts], viewer_genre]) % len(names)
    seconds, sole = np.concatenate([of_genre, seconds]), np.concatenate([sole, sole[of_row]])
    reached = seconds >= values["reach_seconds"]
    by_place = Sums(genre * (countries + 1) + place, len(names) * (countries + 1))
    genre, place = np.divmod(by_place.keys, countries + 1)
    return pa.table(
        {
            "genre": of_texts(names, genre),
            "country": of_texts([values["worldwide"], *watching.countries], place),
            "watched_seconds": by_place.sum(seconds),
            "reach": by_place.sum(reached),
            "sole_viewers": by_place.sum(reached & sole),
        }
    )


def list_viewers_of_shows(watching: Watching, first: int = 0) -> pa.Table:
    """Return the rows of show_viewer, sorted. A viewer has a number, from ``first`` on, in place of the pseudonym."""
    rows, countries = watching.rows, max(len(watching.countries), 1)
    order = Groups(rows.show * countries + rows.country, stable=True).order
    viewer = rows.viewer[order]
    return pa.table(
        {
            "show_id": watching.shows[rows.show[order]],
            "country": coded(watching.countries, rows.country[order]),
            "viewer_number": (viewer + first).astype(np.int32),
            "watched_seconds": rows.seconds[order],
            "viewer_seconds": watching.totals[viewer],
        }
    )


def merge_viewers_of_shows(parts: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of show_viewer of all ranges, whose viewers follow each other, sorted."""
    rows = pa.concat_tables(parts)
    if len(parts) == 1:
        return rows
    shows, show = np.unique(numbers(rows["show_id"]), return_inverse=True)
    country, countries = texts(rows["country"])
    order = Groups(show * max(len(countries), 1) + country, stable=True).order
    columns = {name: rows[name].to_numpy()[order] for name in ("viewer_number", "watched_seconds", "viewer_seconds")}
    return pa.table({"show_id": shows[show[order]], "country": coded(countries, country[order]), **columns})


def list_countries_of_episodes(watching: Watching) -> pa.Table:
    """Return episode × country with a play in the bucket. Not additive: several buckets may have the same pair."""
    countries = max(len(watching.countries), 1)
    pairs = np.zeros(len(watching.episodes) * countries, np.bool_)
    pairs[watching.episode * countries + watching.country] = True
    episode, country = np.divmod(np.flatnonzero(pairs), countries)
    return pa.table({"episode_id": watching.episodes[episode], "country": of_texts(watching.countries, country)})


def _tally(
    groups: Sums, pair: Ints, seconds: Ints, watching: Watching, traits: Traits, values: Values
) -> Mapping[str, Ints]:
    """Return the counts of each group of rows; ``pair`` is the pair of viewer and show of each row."""
    viewer = watching.pairs.viewer[pair]
    reached = seconds >= values["reach_seconds"]
    new, sole = traits.new[viewer], traits.sole[pair]
    valued = scaled(seconds, watching.pairs.seconds[pair], MS, watching.totals[viewer])
    columns = {
        "watched_seconds": seconds,
        "reach": reached,
        "return_days": np.where(reached, traits.days[pair], 0),
        "loyal_viewers": reached & traits.loyal[pair],
        "binge_viewers": reached & traits.binge[pair],
        "binge5_viewers": reached & traits.binge5[pair],
        "sole_viewers": reached & sole,
        "near_sole_viewers": reached & traits.near_sole[pair],
        "new_viewers": reached & new,
        "new_sole_viewers": reached & new & sole,
        "multilingual_viewers": reached & traits.multilingual[viewer],
        "valued_ms": np.where(traits.known[pair], valued, 0),
    }
    return {name: groups.sum(column) for name, column in columns.items()}


def _places(watching: Watching, worldwide: int, country: Ints, values: Values) -> pa.Array:
    """Return the column country: a number of worldwide rows, then rows of countries."""
    place = np.concatenate([np.zeros(worldwide, np.int64), country + 1])
    return of_texts([values["worldwide"], *watching.countries], place)


def _genres_of_rows(watching: Watching, show_genre: pa.Table, unknown: str) -> tuple[Ints, Ints, list[str]]:
    """Return numbers of rows and of genres, one for each genre of each row's show, and the names of genres."""
    genre, names = texts(show_genre["genre"])
    show = np.searchsorted(watching.shows, numbers(show_genre["show_id"]))
    show[show == len(watching.shows)] = 0
    here = watching.shows[show] == numbers(show_genre["show_id"]) if len(watching.shows) else np.zeros(len(show), bool)
    show, genre = show[here], genre[here]
    without = np.flatnonzero(np.bincount(show, minlength=len(watching.shows)) == 0)
    listed = [*names] if unknown in names else [*names, unknown]
    show = np.concatenate([show, without])
    genre = np.concatenate([genre, np.full(len(without), listed.index(unknown))])[np.argsort(show, kind="stable")]
    sizes = np.bincount(show, minlength=len(watching.shows))
    firsts = np.cumsum(sizes) - sizes
    of_row = watching.rows.show
    many = sizes[of_row]
    row = np.repeat(np.arange(len(of_row)), many)
    return row, genre[np.repeat(firsts[of_row], many) + count_up(many)], listed
