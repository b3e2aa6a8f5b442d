"""Parses the lines of a batch: to events (schema EVENTS), rejected lines, and counts.

Some lines come as events already (passes.py). Of the others, parse.sql reads nearly all, and rejects.sql finds the
reasons of most that are no events. The reference parser (contract.py) judges the rest. Plays that a reader found in
columns need none of them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.rollup.blocks import Numbers
from jobs.rollup.contract import INSTANT, Event, Fields, Reason, Window, holds, validate
from jobs.rollup.events import EVENTS, TEXTS, check_texts
from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.rejects import Batch, Refused, RejectLog
from jobs.rollup.several import BOM, SEVERAL, Piece, may_hold_several, split_line
from marquee.sql import Query, Values, read_query

if TYPE_CHECKING:
    import duckdb

    from jobs.rollup.passes import Pass

Database: TypeAlias = "Callable[[], duckdb.DuckDBPyConnection]"
"""Opens the database, or returns it. A pass leaves so few lines that they need none."""

QUICK = "try(from_json(text, $structure))"
"""SQL for the structure of a line, null for a line that is not JSON, which takes 8 µs."""
CAREFUL = f"case when json_valid(text) then {QUICK} end"
"""The same, if many lines may not be JSON: each then takes 1 µs, and all others take longer."""

STRICT = r"""
    2 * strlen(text) - strlen(replace(text, '[', '')) - strlen(replace(text, '{', '')) <= $most_nested
    and not regexp_matches(text, ':\s*-?(?i:nan|inf)') and not regexp_matches(text, '\[\s*-?(?i:nan|inf)')
    and not regexp_matches(text, ',\s*(-?(?i:nan|inf)|[}\]])')
"""
"""SQL for whether a text that DuckDB reads as JSON has nothing that only DuckDB accepts: trailing commas, NaN,
Infinity, unlimited nesting. A pattern that begins with one certain byte is fast, so these are three."""

ANY_INSTANT = r"""
    case
        when ends_with(received_at, 'Z')
            then try_cast(left(received_at, least(length(received_at) - 1, 26)) as timestamp)
        else
            try_cast(left(received_at, least(length(received_at) - 6, 26)) as timestamp)
            - to_minutes(
                (received_at[-6] || '1')::bigint * (60 * received_at[-5:-4]::bigint + received_at[-2:]::bigint)
            )
    end
"""
"""SQL for the timestamp of an instant with any fraction, in UTC or with an offset; null if there is no such day.

Digits after microseconds are cut, as the reference parser cuts them.
"""

NO_LENGTH = -(1 << 30)
"""Bytes of a line that no line has."""

MOST_NESTED = 200
"""Maximum opening brackets of a line that parse.sql may accept. Python's parser fails at about 1,000 nested ones."""

FAST_REJECTS = 1000
"""From this number of lines on that are no plays for sure, a query looks for their reject reasons.

Fewer events from lines of several are judged by the reference parser alone."""

LEAST_BYTES = 64
"""Lines that are shorter on average are hardly plays."""

PIECES_AT_A_TIME = 1 << 16

DUCKDB_VECTOR = 2048
HELD_BYTES = 2 << 20


_PARSED = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        *(pa.field(one.name, pa.string() if one.name in TEXTS else one.type) for one in list(EVENTS)[2:]),
    ]
)


@dataclass(frozen=True)
class Parse:
    """parse.sql and rejects.sql for a producer's field names and an hour, and their parameters."""

    fields: Fields
    window: Window
    viewers: "Viewers | Pass"
    query: Query
    careful: Query
    """For many lines that are not JSON."""
    rejects: Query | None
    structure: str
    skeleton_bytes: int
    """NO_LENGTH if one place of a line is that of two fields."""
    least_lines: int = 1
    """Minimum lines of a batch that are worth the query."""

    @property
    def values(self) -> Values:
        """The parameters of the queries."""
        return {
            "structure": self.structure,
            "skeleton_bytes": self.skeleton_bytes,
            "most_nested": MOST_NESTED,
            "several": SEVERAL.pattern,
            "instant": INSTANT.pattern,
            "window_start": self.window.start,
            "window_end": self.window.end,
        }


def parse_query(fields: Fields, window: Window, viewers: "Viewers | Pass") -> Parse:
    """Return the queries for a producer's field names. ``viewers`` gives the viewers, and a pass also the event keys.

    They judge no line if a name is empty, or two names of one object differ only in case, because DuckDB's
    structures have no such names. The reference parser then reads every line.
    """
    paths = fields.paths
    # As JSON, a number and a text stay distinct. received_at must be a text, and its format is checked later.
    structure = _nested(paths, {name: "VARCHAR" if name == "received_at" else "JSON" for name in paths})
    skeleton = _nested(paths, {name: "" if name == "received_at" else 0 for name in paths})
    skeleton_bytes = NO_LENGTH
    if len(set(paths.values())) == len(paths):
        zeros = len(paths) - 1
        skeleton_bytes = len(json.dumps(skeleton, separators=(",", ":"), ensure_ascii=False).encode()) - zeros
    if not _fits_duckdb(structure):
        none = ", ".join(f"null::varchar as {name}" for name in paths)
        judged = {
            "read_line": "null",
            "is_real_hour": "true",
            "is_strict": "true",
            "any_instant": "null::timestamp",
            "key_of_event": "null::ubigint",
        }
        nothing = _query("parse").put({**judged, "fields": none})
        return Parse(fields, window, viewers, nothing, nothing, None, '{"none": "JSON"}', skeleton_bytes)
    pieces = {
        "fields": ", ".join(f"({_accessor(structure, path)})::varchar as {name}" for name, path in paths.items()),
        "is_strict": STRICT,
        "any_instant": ANY_INSTANT,
        "is_real_hour": "not contains(received_at, 'T24')" if _has_midnight(window) else "true",
    }
    keyed = {"key_of_event": "hash(event_id)" if isinstance(viewers, Viewers) else "event_id"}
    parse, careful = (_query("parse").put({"read_line": line, **keyed, **pieces}) for line in (QUICK, CAREFUL))
    rejects = _query("rejects").put(pieces)
    return Parse(fields, window, viewers, parse, careful, rejects, json.dumps(structure), skeleton_bytes)


def _has_midnight(window: Window) -> bool:
    """Return whether an instant that can be written as hour 24 of the day before, up to 00:59, is in the window."""
    return window.start.hour == 0 or (window.end - timedelta(microseconds=1)).date() > window.start.date()


def _nested(paths: Mapping[str, Sequence[str]], values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for field_name, (*above, last) in paths.items():
        inner = nested
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = values[field_name]
    return nested


def _fits_duckdb(structure: Mapping[str, Any]) -> bool:
    distinct = len({name.lower() for name in structure}) == len(structure)
    return (
        distinct
        and "" not in structure
        and all(_fits_duckdb(one) for one in structure.values() if isinstance(one, dict))
    )


def _accessor(structure: Mapping[str, Any], path: Sequence[str]) -> str:
    """Return the SQL for a field of ``line``, by positions: no name of a producer becomes part of a query."""
    sql, inner = "line", structure
    for name in path:
        sql, inner = f"struct_extract_at({sql}, {list(inner).index(name) + 1})", inner[name]
    return sql


def split_lines(db: Database, batch: Batch, parse: Parse, log: RejectLog) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the events of a batch (EVENTS), its rejected lines that are kept (REJECTS), and its counts (READS)."""
    lines = pa.concat_tables(block.lines for _, block in batch)
    plays = [table for _, block in batch for table in block.plays]
    refused = Refused()
    if plays or not isinstance(parse.viewers, Viewers):  # the lines beside them are few and doubtful
        parse = replace(parse, least_lines=FAST_REJECTS)
    if log.careful or lines["text"].nbytes < LEAST_BYTES * lines.num_rows:
        parse = replace(parse, query=parse.careful)
    found = [EVENTS.empty_table(), *(table for _, block in batch for table in block.events)]
    if plays and isinstance(parse.viewers, Viewers):
        found.append(_key_plays(db, pa.concat_tables(plays), parse.viewers))
    for first, texts in _parts(lines["text"]):
        events, several = _parse(db, texts, parse, refused, first=first)
        found.append(events)
        for pieces in several:
            found.append(_parse_pieces(db, pieces, parse, refused))
            log.check(refused.total)
    kept, counts = log.add(batch, lines, refused)
    return pa.concat_tables(found), kept, counts


def _parts(texts: pa.ChunkedArray) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Yield lines in parts, with the number of the first: in one part, unless lines that a query holds are large.

    A query holds the values of 2,048 lines at a time, and they take eight times the memory of their text.
    """
    ends = np.cumsum(pc.binary_length(texts).to_numpy())
    held = ends[DUCKDB_VECTOR:] - ends[:-DUCKDB_VECTOR] if len(ends) > DUCKDB_VECTOR else ends[-1:]
    if not len(ends) or held.max() <= HELD_BYTES:
        yield 0, texts
        return
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + HELD_BYTES, side="right")))
        yield first, texts.slice(first, end - first)
        first = end


Several: TypeAlias = list[tuple[int, int, Piece]]
"""Events that share a line with others: the row of the line, the place in it, and the text."""


def _parse(
    db: Database,
    texts: pa.ChunkedArray,
    parse: Parse,
    refused: Refused,
    *,
    first: int = 0,
    split: bool = True,
) -> tuple[pa.Table, Iterator[Several]]:
    """Return the events of lines, and with ``split`` those in lines that hold several; add the others to ``refused``.

    ``first`` is the row of the first line.
    """
    if not len(texts):
        return EVENTS.empty_table(), iter(())
    events, unsure = EVENTS.empty_table(), np.arange(len(texts))
    # The query alone takes as long as the reference parser for 500 lines.
    if len(texts) >= (parse.least_lines if split else FAST_REJECTS):
        events, unsure = _parse_surely(db, texts, parse, refused, first)
    accepted: list[Event] = []
    several: list[tuple[int, str]] = []
    for row, scalar in zip(unsure.tolist(), texts.take(pa.array(unsure)), strict=True):
        text = scalar.as_py()
        if split and may_hold_several(text):
            several.append((first + row, text))
            continue
        found = _judge(text, parse)
        if isinstance(found, Event):
            accepted.append(found)
        else:
            refused.add(first + row, 0, found, text)
    if accepted:
        keyed = _with_keys(db, _as_parsed(accepted), parse)
        events = pa.concat_tables([events, _to_events(db, keyed, parse).select(EVENTS.names)])
    return events, _split_up(several, refused)


def _parse_surely(
    db: Database, texts: pa.ChunkedArray, parse: Parse, refused: Refused, first: int
) -> tuple[pa.Table, Numbers]:
    """Return the lines that are certainly events, and the rows of lines that the reference parser has to judge."""
    lines = pa.table({"row": np.arange(len(texts)), "text": texts})
    db().register("lines", lines)
    parsed = parse.query.select(db(), parse.values)
    events = _to_events(db, parsed.filter(parsed["sure"]), parse)
    is_sure = np.zeros(len(texts), bool)
    is_sure[events["row"].to_numpy()] = True
    unsure = np.flatnonzero(~is_sure)
    if len(unsure) >= FAST_REJECTS and parse.rejects is not None:
        unsure = _reject_surely(db, lines.take(pa.array(unsure)), parse, parse.rejects, refused, first)
    return events.select(EVENTS.names), unsure


def _judge(text: str, parse: Parse) -> Event | Reason:
    return validate(text.removeprefix(BOM).encode().rstrip(b"\n"), parse.fields, parse.window)


def _split_up(several: Iterable[tuple[int, str]], refused: Refused) -> Iterator[Several]:
    """Yield the events of lines that may hold several, some at a time."""
    found: Several = []
    for row, text in several:
        pieces = split_line(text) or [text.removeprefix(BOM)]
        refused.extra[row] = len(pieces) - 1
        found += [(row, place, piece) for place, piece in enumerate(pieces)]
        if len(found) >= PIECES_AT_A_TIME:
            yield found
            found = []
    if found:
        yield found


def _parse_pieces(db: Database, several: Several, parse: Parse, refused: Refused) -> pa.Table:
    """Return the plays among events that share a line with others."""
    readable = [(row, place, piece) for row, place, piece in several if isinstance(piece, str)]
    for row, place, piece in several:
        if not isinstance(piece, str):
            refused.add(row, place, *piece)
    own = Refused()
    found = [EVENTS.empty_table()]
    for first, texts in _parts(pa.chunked_array([[piece for _, _, piece in readable]], pa.string())):
        found.append(_parse(db, texts, parse, own, first=first, split=False)[0])
    refused.add_pieces(own, readable)
    return pa.concat_tables(found)


def _reject_surely(db: Database, lines: pa.Table, parse: Parse, query: Query, refused: Refused, first: int) -> Numbers:
    """Add the lines whose reject reason is certain to ``refused``; return the rows of the others."""
    db().register("lines", lines)
    found = query.select(db(), parse.values).sort_by("row")
    at_language = pc.equal(found["reason"], Reason.LANGUAGE.value)
    tags = pc.if_else(at_language, found["language"], None).combine_chunks().dictionary_encode()
    is_right = pa.array(map(_is_language, tags.dictionary.to_pylist()), pa.bool_()).take(tags.indices)
    reasons = pc.if_else(pc.and_(at_language, pc.coalesce(is_right, False)), found["later"], found["reason"])
    coded = reasons.combine_chunks().dictionary_encode()
    rows, codes = found["row"].to_numpy(), coded.indices.fill_null(-1).to_numpy()
    for code, reason in enumerate(coded.dictionary.to_pylist()):
        refused.rows.append((Reason(reason), rows[codes == code] + first))
    unknown: Numbers = rows[codes == -1]
    return unknown


def _is_language(text: str) -> bool:
    return _is_text(text) and holds(Reason.LANGUAGE, text[1:-1])


def _to_events(db: Database, parsed: pa.Table, parse: Parse) -> pa.Table:
    """Return the rows of parse.sql with a valid country, language and device as events, with the number of the row."""
    for name in TEXTS:
        coded = parsed[name].combine_chunks().dictionary_encode()
        texts = [json_text[1:-1] if _is_text(json_text) else None for json_text in coded.dictionary.to_pylist()]
        parsed = parsed.set_column(parsed.column_names.index(name), name, check_texts(name, coded.indices, texts))
    parsed = parsed.drop_null()
    if isinstance(parse.viewers, Viewers):
        users = parsed["user_id"].combine_chunks().dictionary_encode()
        names = [json_text[1:-1] for json_text in users.dictionary.to_pylist()]
        viewer = pa.array(parse.viewers.of(db(), names)[users.indices.to_numpy()])
    else:
        viewer = parse.viewers.viewers_of(parsed["user_id"].combine_chunks(), margin=1)
        event_key = parse.viewers.event_keys_of(parsed["event_key"].combine_chunks(), margin=1)
        parsed = parsed.set_column(parsed.column_names.index("event_key"), "event_key", event_key)
    return parsed.append_column("viewer", viewer).select(["row", *EVENTS.names])


def _key_plays(db: Database, plays: pa.Table, viewers: Viewers) -> pa.Table:
    """Return plays from columns (columns.PLAYS) as events."""
    users = plays["user_id"].combine_chunks().dictionary_encode()
    viewer = pa.array(viewers.of(db(), users.dictionary.to_pylist())[users.indices.to_numpy()])
    event_key = _hashed(db, plays["event_id"])
    return pa.table([viewer, event_key, *(plays[name] for name in EVENTS.names[2:])], schema=EVENTS)


def _hashed(db: Database, event_ids: pa.ChunkedArray) -> pa.Array:
    """Return the event keys of texts: the hashes of their JSON, as in parse.sql."""
    db().register("ids", pa.table({"row": np.arange(len(event_ids)), "event_id": event_ids}))
    rows = db().execute("""select row, hash('"' || event_id || '"') as event_key from ids""").fetchnumpy()
    keys: npt.NDArray[np.uint64] = np.empty(len(event_ids), np.uint64)
    keys[rows["row"]] = rows["event_key"]
    return pa.array(keys)


def _is_text(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'


def _as_parsed(events: Sequence[Event]) -> pa.Table:
    """Convert events from the reference parser to the form that parse.sql returns."""
    texts = ("event_id", "user_id", *TEXTS)
    rows = [{**vars(event), **{name: _quoted(getattr(event, name)) for name in texts}} for event in events]
    return pa.Table.from_pylist(rows, _PARSED)


def _with_keys(db: Database, parsed: pa.Table, parse: Parse) -> pa.Table:
    """Add what parse.sql returns beside fields: the row, which nobody asks for here, and the event key."""
    if not isinstance(parse.viewers, Viewers):
        rows = pa.array(np.zeros(parsed.num_rows, np.int64))
        return parsed.append_column("row", rows).append_column("event_key", parsed["event_id"])
    db().register("accepted", parsed)
    return db().sql("select *, 0 as row, hash(event_id) as event_key from accepted").to_arrow_table()


def _quoted(text: str) -> str:
    return f'"{text}"'


def _query(name: str) -> Query:
    return read_query("jobs.rollup", name)
