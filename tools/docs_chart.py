"""charts/*/README.md from the comments of values.yaml; the settings in charts/*/values.schema.json from the code.

A value is documented by the comment above it that begins with two dashes. The rest of the schema is written by hand.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import JOBS
from marquee.settings.sections import StageSettings
from tools.markdown import table

Keys = tuple[str, ...]

HEADS = {
    "marquee": """\
# Chart marquee

This chart runs Marquee in a Kubernetes cluster: a CronJob for each stage, and an exporter for Prometheus. A release is
one environment. To install, upgrade, rerun, restore or remove it, see [operations](../../docs/operations.md).

The chart requires Kubernetes 1.30 or later and a bucket. The stage `mart_load` requires a mart in MySQL or MariaDB.
Stages on Spark require kubeflow's spark-operator (2.4 or later, watching the namespace of the release; its webhook may
be on or off). The chart creates no Secret: it uses the Secrets that `secrets` names.

Everything runs as a numeric user, without privileges, on a read-only root file system, as the Pod Security Standard
*restricted* requires. Examples of values: [dev](values-dev.yaml), [staging](values-staging.yaml),
[prod](values-prod.yaml). [Settings](../../docs/settings.md) describes the entries of `settings`. A misspelt value fails
the installation.
""",
    "kiosk": """\
# Chart kiosk

A kiosk is a temporary mart for one period: a MariaDB that is loaded with only the files of that period in the lake.
`helm install` starts it and prints how to connect as the read-only analyst; `helm uninstall` removes everything. See
[operations](../../docs/operations.md#a-kiosk) for more.
""",
}
CHARTS = Path(__file__).parents[1] / "charts"
MARK = "# -- "
SETTINGS_OF: dict[str, Sequence[type[StageSettings]]] = {
    "marquee": [job.settings for job in JOBS],
    "kiosk": (MartLoadSettings,),
}
FOR_ONE_JOB: set[Keys] = {("force",), ("period",)}
OF_THE_KIOSK = (
    *("url", "period", "password", "plaintext", "socket", "tls_ca"),
    *("loader", "loader_password", "analyst", "analyst_password"),
)
DECIDED_BY: dict[str, set[Keys]] = {
    "marquee": {
        *(("engine", "kind"), ("engine", "scratch"), ("engine", "spark"), ("launcher",)),
        *(("environment",), ("metrics", "port"), ("exporter", "parts")),
        *FOR_ONE_JOB,
    },
    "kiosk": {*(("mart", name) for name in OF_THE_KIOSK), ("metrics",), ("engine",), *FOR_ONE_JOB},
}
"""Settings that are not for values: other values determine them, or they are fixed in a pod."""
DEFS = "$defs"


def chart_readme(chart: str) -> Iterator[str]:
    """Yield the lines of a chart's README: its head, and a table of all values."""
    yield from HEADS[chart].splitlines()
    yield ""
    yield "## Values"
    yield ""
    rows = ((f"`{'.'.join(path)}`", f"`{json.dumps(value)}`", said) for path, value, said in documented(chart))
    yield from table(["value", "default", "meaning"], rows)


def documented(chart: str) -> Iterator[tuple[Keys, Any, str]]:
    """Yield (path, default, comment) of each value that has a comment."""
    text = (CHARTS / chart / "values.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    yield from _documented(root, text.splitlines(), yaml.safe_load(text), ())


def _documented(node: yaml.Node | None, lines: list[str], value: Any, above: Keys) -> Iterator[tuple[Keys, Any, str]]:  # noqa: ANN401 - values are any YAML
    if not isinstance(node, yaml.MappingNode):
        return
    for key, below in node.value:
        path, default = (*above, key.value), value[key.value]
        said = _comment(lines, key.start_mark.line)
        if said:
            yield path, default, said
        yield from _documented(below, lines, default, path)


def _comment(lines: list[str], number: int) -> str:
    """Return the text of the comment that ends above a line, from its two dashes on; empty without them."""
    said: list[str] = []
    for line in reversed(lines[:number]):
        text = line.strip()
        if text.startswith(MARK):
            return " ".join([text.removeprefix(MARK), *reversed(said)])
        if not text.startswith("#"):
            break
        said.append(text.removeprefix("#").strip())
    return ""


def chart_schema(chart: str) -> str:
    """Return the schema of a chart's values with the settings of the code in it."""
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text(encoding="utf-8"))
    schema[DEFS]["settings"] = settings_schema(SETTINGS_OF[chart], DECIDED_BY[chart])
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def settings_schema(kinds: Sequence[type[StageSettings]], left_out: Collection[Keys]) -> dict[str, Any]:
    """Return the schema of ``settings``: the whole TOML file except for settings that the chart determines."""
    properties: dict[str, Any] = {}
    for kind in kinds:
        schema = kind.model_json_schema()
        for name, one in _simplified(schema, schema.get(DEFS, {}), left_out)["properties"].items():
            # One job may read fewer settings of a section than another.
            known = properties.get(name, {}).get("properties", {})
            properties[name] = one | ({"properties": known | one["properties"]} if known else {})
    return {
        "$comment": "Written by `make docs` from the settings classes.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _simplified(
    schema: Mapping[str, Any], defs: Mapping[str, Any], left_out: Collection[Keys], path: Keys = ()
) -> dict[str, Any]:
    """Return a part of pydantic's schema in the form that Helm reads: without references, titles and defaults.

    Nothing is required, since variables may add it; a secret is left to templates/validate.yaml, which says where it
    belongs; a decimal is a number, since Go does not know the pattern of its other form.
    """
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]] | {key: schema[key] for key in schema if key != "$ref"}
    if schema.get("format") == "password":
        return {}
    kept = {key: value for key, value in schema.items() if key not in {"title", "default", "required", DEFS}}
    if "properties" in kept:
        kept["additionalProperties"] = False
        kept["properties"] = {
            name: _simplified(one, defs, left_out, (*path, name))
            for name, one in kept["properties"].items()
            if (*path, name) not in left_out
        }
    if "anyOf" in kept:
        forms = [one for one in kept["anyOf"] if "(?" not in one.get("pattern", "")]
        forms = [_simplified(one, defs, left_out, path) for one in forms]
        if len(forms) == 1:
            kept = {key: value for key, value in kept.items() if key != "anyOf"} | forms[0]
        else:
            kept["anyOf"] = forms
    return kept
