"""What the viewers of a bucket watched in a period, as arrays: the rows that all counts begin with.

Viewers, shows, episodes and countries have numbers, each in the order of what they stand for. All of a viewer's rows
are in one bucket, so counts of buckets can be summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from jobs.profile.arrays import (
    Flags,
    Groups,
    Ints,
    Sums,
    Words,
    add_runs,
    at_least,
    find,
    first_of_runs,
    numbered,
    numbers,
    run_of_each,
    split,
    starts_of,
    texts,
    unite_runs,
    words,
)
from marquee.sql import Values


@dataclass(frozen=True)
class Rows:
    """Rows of viewer × show × country, in this order: seconds, and the days with a play (bit n: day n, or 64 + n)."""

    viewer: Ints
    show: Ints
    country: Ints
    seconds: Ints
    days_low: Words
    days_high: Words


@dataclass(frozen=True)
class Pairs:
    """Viewers × shows, over all countries, in this order. ``of_row`` has the pair of each of ``Rows``.

    Where each row is a pair of its own, because nobody has watched a show in two countries, it is the slice of all.
    """

    viewer: Ints
    show: Ints
    seconds: Ints
    days_low: Words
    days_high: Words
    of_row: Ints | slice


class Watching:
    """The plays of a bucket's viewers in a period.

    Args:
        played: viewer × episode × country × language: watched_seconds, days_low, days_high; a key may have several
            rows.
        catalogue: episode_id, show_id, of the episodes whose show is known, each once.
        values: ``unknown_show`` is the show of an episode that is not in the catalogue.
    """

    def __init__(self, played: pa.Table, catalogue: pa.Table, values: Values) -> None:
        self._played = played
        self.viewers, self.viewer = numbered(words(played["viewer"]))
        self.episodes, self.episode = numbered(numbers(played["episode_id"]))
        self.country, self.countries = texts(played["country"])
        self.seconds = numbers(played["watched_seconds"])
        self.days_low, self.days_high = words(played["days_low"]), words(played["days_high"])
        known = _sorted(catalogue, "episode_id")
        places = find(numbers(known["episode_id"]), self.episodes)
        shows = np.append(numbers(known["show_id"]), values["unknown_show"])[places]
        self.shows, self.show_of_episode = np.unique(shows, return_inverse=True)

    @cached_property
    def rows(self) -> Rows:
        """Return viewer × show × country."""
        shows, countries = len(self.shows), max(len(self.countries), 1)
        place = self.show_of_episode * countries
        groups = Groups(self.viewer * (shows * countries) + place[self.episode] + self.country)
        pair, country = split(groups.keys, countries)
        viewer, show = split(pair, max(shows, 1))
        return Rows(
            viewer,
            show,
            country,
            groups.sum(self.seconds),
            groups.union(self.days_low),
            groups.union(self.days_high),
        )

    @cached_property
    def pairs(self) -> Pairs:
        """Return viewer × show."""
        rows = self.rows
        starts = starts_of(rows.viewer * max(len(self.shows), 1) + rows.show)
        return Pairs(
            first_of_runs(rows.viewer, starts),
            first_of_runs(rows.show, starts),
            add_runs(rows.seconds, starts),
            unite_runs(rows.days_low, starts),
            unite_runs(rows.days_high, starts),
            run_of_each(starts, len(rows.viewer)) if len(starts) < len(rows.viewer) else slice(None),
        )

    @cached_property
    def totals(self) -> Ints:
        """Return the seconds of each viewer, of everything, anywhere."""
        return add_runs(self.rows.seconds, starts_of(self.rows.viewer))

    def are_new(self, seen: pa.Table, values: Values) -> Flags:
        """Return which viewers are new: first seen in the period, from viewer_seen of its last day.

        They are reported separately, because a viewer who has just signed up has watched only one show by construction
        (compare Amazon's "first stream": fastcompany.com/40544685).
        """
        known = _sorted(seen, "viewer")
        places = find(words(known["viewer"]), self.viewers)
        first_days = np.append(numbers(known["first_day"]), -1)[places]
        first = (values["first_day"] - _EPOCH).days
        new: Flags = (places >= 0) & (first_days >= first)
        return new

    def are_multilingual(self, values: Values) -> Flags:
        """Return which viewers are multilingual.

        Those have at least multilingual_share (10 %) and multilingual_seconds (30 minutes) in each of at least two
        languages. The language is that of the play's audio, not the original language of the show; variants of one
        language (en-US, en-GB) count as one, and tags without one (x-private, i-klingon) each count for themselves.
        This rule is Marquee's own, because the schedule service has only original languages.
        """
        language, tags = texts(self._played["language"])
        bases = [base_language(tag) for tag in tags]
        names = sorted(set(bases))
        number = np.array([names.index(base) for base in bases], np.int64)
        key = self.viewer * max(len(names), 1) + (number[language] if len(language) else language)
        groups = Sums(key, len(self.viewers) * max(len(names), 1))
        viewer, seconds = groups.keys // max(len(names), 1), groups.sum(self.seconds)
        enough = seconds >= values["multilingual_seconds"]
        enough &= at_least(seconds, values["multilingual_share"], self.totals[viewer])
        return np.bincount(viewer[enough], minlength=len(self.viewers)) >= _SEVERAL


def base_language(tag: str) -> str:
    """Return the language of a tag: its first part, or the whole tag if that is a single letter."""
    return tag if tag[1:2] == "-" else tag.split("-", 1)[0]


def merge_played(played: pa.Table) -> pa.Table:
    """Return viewer_period of rows in its form: one row for each viewer × episode × country × language, sorted."""
    viewers, viewer = numbered(words(played["viewer"]))
    episodes, episode = numbered(numbers(played["episode_id"]))
    country, countries = texts(played["country"])
    language, languages = texts(played["language"])
    key = (viewer * max(len(episodes), 1) + episode) * max(len(countries), 1) + country
    groups = Groups(key * max(len(languages), 1) + language)
    key, language = split(groups.keys, max(len(languages), 1))
    key, country = split(key, max(len(countries), 1))
    viewer, episode = split(key, max(len(episodes), 1))
    columns = {
        "viewer": viewers[viewer],
        "episode_id": episodes[episode],
        "country": coded(countries, country),
        "language": coded(languages, language),
        **{name: groups.sum(numbers(played[name])) for name in ("plays", "watched_seconds")},
        **{name: groups.union(words(played[name])) for name in ("days_low", "days_high")},
    }
    return pa.table(columns)


def coded(values: Sequence[str], which: Ints) -> pa.DictionaryArray:
    """Return a column of texts as a dictionary, from the number of each row's text."""
    return pa.DictionaryArray.from_arrays(which.astype(np.int32), pa.array(values, pa.string()))


def of_texts(values: Sequence[str], which: Ints) -> pa.Array:
    """Return a column of texts, from the number of each row's text."""
    return coded(values, which).cast(pa.string())


def _sorted(table: pa.Table, column: str) -> pa.Table:
    found = table[column].to_numpy()
    return table if bool(np.all(found[1:] >= found[:-1])) else table.sort_by(column)


_SEVERAL = 2
_EPOCH = np.datetime64(0, "D").astype(object)
