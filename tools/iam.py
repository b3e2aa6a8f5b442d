"""docs/iam/*.json: a policy of AWS IAM for each role; docs/iam.md: the table of roles.

A role is what one workload runs as. Its rights are patterns of keys, which ``marquee.lake.keys`` and the datasets give.
A test runs every role on an S3 server that enforces its policy.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from marquee.lake import datasets, keys
from marquee.lake.datasets import Dataset
from marquee.lake.layers import VIEWER_DAYS, VIEWER_HOURS
from marquee.mart.ledger import LOADED_OF
from tools.markdown import table

LIST, READ, WRITE, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
ABORT = "s3:AbortMultipartUpload"
PARTS = "s3:ListMultipartUploadParts"
MARKERS, DATA, ERASED = "markers/*", "data/*", f"{keys.ERASED}*"


@dataclass(frozen=True)
class Place:
    """A bucket, and the prefix of all keys in it: empty, or with a slash at its end."""

    bucket: str
    prefix: str = ""

    def objects(self, patterns: Iterable[str]) -> list[str]:
        """Return the resources of keys that match patterns."""
        return [f"arn:aws:s3:::{self.bucket}/{self.prefix}{one}" for one in patterns]


@dataclass(frozen=True)
class Role:
    """Rights of a workload: patterns of keys in the lake, and verbs for raw events.

    Attributes:
        name: name of the policy and its file.
        runs: what runs under it, for the table.
        may: what of the data it reads, for the table.
        lists: prefixes whose names it lists.
        uploads: rights to unfinished uploads, of any run.
    """

    name: str
    runs: str
    may: str
    lists: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()


def _markers(*stages: str) -> tuple[str, ...]:
    return tuple(f"{keys.markers_prefix(stage)}*" for stage in stages)


def _names(*stages: str) -> tuple[str, ...]:
    return tuple(keys.markers_prefix(stage) for stage in stages)


def _data(*stages: str) -> tuple[str, ...]:
    return tuple(f"data/{stage}/*" for stage in stages)


def _of(dataset: Dataset) -> str:
    """Return the pattern of a dataset's objects of all runs."""
    name = f"{dataset.name}/*" if dataset.by_bucket else keys.table_file(dataset.name)
    return f"data/{dataset.stage}/*/{name}"


SCHEDULE, ROLLUP, PROFILE, AUDIENCE, LOAD = keys.STAGES
DAYS = (PROFILE, AUDIENCE)

ROLES = (
    Role(
        "schedule-fetch",
        "`marquee schedule-fetch`",
        "the schedule",
        lists=_names(SCHEDULE),
        reads=_markers(SCHEDULE),
        writes=(*_markers(SCHEDULE), *_data(SCHEDULE)),
        deletes=_markers(SCHEDULE),
    ),
    Role(
        "rollup",
        "`marquee rollup`: the pod, or driver and executors",
        "raw events, pseudonyms, rejected lines",
        lists=(*_names(ROLLUP), *(f"data/{ROLLUP}/",), keys.ERASED),
        reads=(*_markers(ROLLUP, PROFILE), _of(datasets.VIEWER_HOUR), _of(datasets.REJECTS), ERASED),
        writes=(*_markers(ROLLUP), *_data(ROLLUP)),
        deletes=(*_markers(ROLLUP), _of(datasets.VIEWERSHIP)),
        raw=(LIST, READ),
    ),
    Role(
        "profile",
        "`marquee profile`: the pod, or driver and executors",
        "pseudonyms",
        lists=(*_names(SCHEDULE, ROLLUP, *DAYS), keys.ERASED),
        reads=(*_markers(SCHEDULE, ROLLUP, *DAYS), _of(datasets.VIEWER_HOUR), *_data(SCHEDULE, *DAYS), ERASED),
        writes=(*_markers(*DAYS), *_data(*DAYS), keys.index_key(ROLLUP)),
        deletes=(*_markers(*DAYS), *_data(*DAYS)),
    ),
    Role(
        "mart-load",
        "`marquee mart-load`",
        "what a mart is loaded from: no raw events, no pseudonyms",
        lists=_names(*LOADED_OF, PROFILE, LOAD),
        reads=(*_markers(*LOADED_OF, PROFILE, LOAD), *(_of(one) for loaded in LOADED_OF.values() for one in loaded)),
        writes=_markers(LOAD),
        deletes=_markers(LOAD),
    ),
    Role(
        "exporter",
        "the exporter, and `marquee status`",
        "markers, and the names of raw events",
        lists=("",),
        reads=(MARKERS,),
        raw=(LIST,),
        uploads=(PARTS,),
    ),
    Role(
        "report",
        "`marquee report` that publishes reviews",
        "reviews; all else from the mart",
        reads=("report/*",),
        writes=("report/*",),
    ),
    Role(
        "operator",
        "`marquee verify`, `what-if`, `preflight` and `status`, by a person",
        "everything in the lake, and raw events",
        lists=("",),
        reads=("*",),
        writes=("preflight/*",),
        deletes=("preflight/*",),
        raw=(LIST, READ),
    ),
    Role(
        "eraser",
        "`marquee erase`",
        "rejected lines, and requests",
        lists=("",),
        reads=(MARKERS, _of(datasets.REJECTS), ERASED),
        writes=(ERASED,),
    ),
    Role(
        "rekey",
        "`marquee rekey`: the pod, or driver and executors",
        "pseudonyms, and requests",
        lists=(*_names(SCHEDULE, ROLLUP, *DAYS), *(f"data/{one}/" for one in (ROLLUP, *DAYS)), keys.ERASED),
        reads=(*_markers(SCHEDULE, ROLLUP, *DAYS), _of(datasets.VIEWER_HOUR), *_data(SCHEDULE, *DAYS), ERASED),
        writes=(*_markers(ROLLUP, *DAYS), _of(datasets.VIEWER_HOUR), *_data(*DAYS), ERASED),
        deletes=(*_markers(ROLLUP, *DAYS), f"data/{PROFILE}/*/{keys.REPLACED}"),
    ),
    Role(
        "collector",
        "`marquee gc`",
        "markers and requests; it deletes data that no marker lists",
        lists=("",),
        reads=(MARKERS, ERASED),
        writes=(ERASED,),
        deletes=(DATA,),
        uploads=(PARTS, ABORT),
    ),
    Role(
        "retention",
        "`marquee retain`, and nothing else",
        "everything that it verifies before it deletes; the only role that deletes raw events",
        lists=("",),
        reads=(MARKERS, DATA),
        writes=tuple(keys.ended_key(stage) for stage in (SCHEDULE, ROLLUP, *DAYS)),
        deletes=(DATA,),
        raw=(LIST, DELETE),
        uploads=(PARTS, ABORT),
    ),
)
EXAMPLE = Place("analytics", "marquee/"), Place("events")
"""Lake and raw events of the examples: those of docs/s3.md."""


def policy_of(role: Role, lake: Place = EXAMPLE[0], raw: Place = EXAMPLE[1]) -> Mapping[str, Any]:
    """Return the policy of a role for these places."""
    statements: list[dict[str, Any]] = []
    if role.lists:
        statements.append(_listing("ListLake", lake, role.lists))
    if LIST in role.raw:
        statements.append(_listing("ListRaw", raw, ("",)))
    verbs = [("Read", READ, role.reads), ("Write", WRITE, role.writes), ("Delete", DELETE, role.deletes)]
    for name, action, patterns in verbs:
        if patterns:
            actions = [action, ABORT] if action == WRITE else action
            statements.append(_allow(f"{name}Lake", actions, lake.objects(patterns)))
        if action in role.raw:
            statements.append(_allow(f"{name}Raw", action, raw.objects("*")))
    if role.uploads:
        bucket = f"arn:aws:s3:::{lake.bucket}"
        statements.append(_allow("ListUploads", "s3:ListBucketMultipartUploads", bucket))
        statements.append(_allow("Uploads", list(role.uploads), lake.objects("*")))
    return {"Version": "2012-10-17", "Statement": statements}


def _listing(name: str, place: Place, prefixes: Sequence[str]) -> dict[str, Any]:
    statement = _allow(name, LIST, f"arn:aws:s3:::{place.bucket}")
    patterns = [f"{place.prefix}{one}*" for one in prefixes]
    if "*" in patterns:
        return statement
    # S3 answers a read of a missing key by 404 only to who may list, and such a request has no prefix.
    return statement | {"Condition": {"StringLikeIfExists": {"s3:prefix": patterns}}}


def _allow(name: str, actions: str | list[str], resources: str | list[str]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources}


def policy_text(role: Role) -> str:
    """Return the example of a role's policy as a file."""
    return json.dumps(policy_of(role), indent=2) + "\n"


def access() -> Iterator[str]:
    """Yield the lines of docs/iam.md."""
    yield from HEAD.splitlines()
    yield ""
    rows = (
        (f"[`{one.name}`](iam/{one.name}.json)", one.runs, one.may, _yes(READ in one.raw), _yes(sees_viewers(one)))
        for one in ROLES
    )
    yield from table(["role", "runs", "reads", "raw events", "pseudonyms"], rows)
    yield from TAIL.splitlines()


def _yes(holds: bool) -> str:  # noqa: FBT001 - a cell
    return "reads" if holds else "no"


def sees_viewers(role: Role) -> bool:
    """Return whether a role reads a dataset with rows of viewers."""
    viewers = [_of(one) for one in datasets.DATASETS if one.name in {*VIEWER_HOURS.data, *VIEWER_DAYS.data}]
    return any(fnmatchcase(one, pattern) for one in viewers for pattern in role.reads)


HEAD = """\
# Who may read what

Three kinds of data need three kinds of access: *raw events* hold user ids, *viewer-level* data of the lake hold
pseudonyms with times of play, and what a mart is loaded from holds neither. Give each workload a role of its own, and
each role the policy below. [Layers of data](data-layers.md) says what each dataset tells of persons.
"""
TAIL = """\
Nobody but the sink of your events writes raw events, and nobody but `retention` deletes them. The viewer key is for the
rollup, for `marquee erase --users` and `marquee rekey`, and for the exporter and `marquee retain`, which compare its
fingerprint.
`rejects`, which `rollup`, `eraser`, `operator` and `retention` read, hold lines as received, with user ids. Requests to
erase (`erased/`), which `rollup`, `profile`, `eraser`, `rekey`, `operator` and `collector` read, list pseudonyms
without plays.
The mart has users of its own ([MySQL](mysql.md)).

## Use the policies

The files are for a lake at `s3://analytics/marquee` and raw events at `s3://events`; replace both names, and the prefix
`marquee/`. Attach a policy to the role of a service account, as `serviceAccount` of the chart's values names it for
each stage. On Spark, driver and executors need the same policy. The launcher plans as its stage does: give it the
policy of the stage, too.

* A list is allowed by prefix, with `StringLikeIfExists`. Without `IfExists`, S3 answers 403 rather than 404 for an
  object that is not there yet, and Marquee stops. So a role can list all names of the bucket; names have periods and
  datasets, but neither users nor viewers.
* A lake that is encrypted with a key of KMS needs `kms:Decrypt` and `kms:GenerateDataKey` for the same roles.
* Planning notes an index of markers (`_INDEX`, a cache). Without the right to write it, a run reads the markers.

## How the policies are tried

A test runs every role on [versitygw](s3.md#try-it-without-a-cloud) with its IAM service, as a user with exactly its
policy: capture, rollup, profile, load, a late file, an erasure, garbage collection, a new viewer key, retention. It
fails if a role is refused something that it does, if a pattern of a policy is neither used nor listed with the occasion
that needs it, or if a role can read what it must not, such as `mart-load` a raw event or a viewer hour. That server
enforces actions, resources and prefixes of listings. Roles of a cloud, KMS and bucket policies were not tried.
"""
