"""docs/data-layers.md: the layers of data from marquee/lake/layers.py, with the settings that end them."""

from collections.abc import Iterator

from marquee.lake.layers import LAYERS, Layer
from marquee.settings.names import env_name
from tools.markdown import marked_up, table

HEAD = """\
# Layers of data

This page lists all data that Marquee keeps, by how long they are needed: what they are for, what they say of persons,
who reads them, and what ends them. Nothing ends unless you set days; [`marquee retain`](retention.md) then
deletes what nothing needs any more. The [data dictionary](data-dictionary.md) lists the columns of each dataset.
"""
TAIL = """\
## Beside the lake

| data | purpose | what it says of persons | ended by |
| --- | --- | --- | --- |
| markers | what was made from what, and when | nothing: neither user ids nor pseudonyms | never |
| the mart | answers | counts of viewers, as far as they are published | loading a mart for a period; deleting it |
| reviews, `report/` | answers to read | as the mart | a lifecycle rule of the bucket |
| logs and metrics | operation | nothing: neither user ids nor pseudonyms | your log store and Prometheus |
| scratch space | files of a running process | as the layer that is read | the end of the process |
"""


def data_layers() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from HEAD.splitlines()
    yield ""
    columns = ["data", "purpose", "what it says of persons", "ended by", "access"]
    rows = ((_data(one), _cell(one.purpose), _cell(one.personal), _by(one), _cell(one.access)) for one in LAYERS)
    yield from table(columns, rows)
    yield "## Who reads a layer, and when it may end"
    yield ""
    yield "A layer ends a number of days after the end of its period, but never before what the last column says."
    yield ""
    ending = [one for one in LAYERS if one.setting]
    until = ((f"`{one.name}`", _cell(one.readers), _cell(one.successor)) for one in ending)
    yield from table(["layer", "read by", "ends only if"], until)
    yield from TAIL.splitlines()


def _data(layer: Layer) -> str:
    return ", ".join(f"`{name}`" if " " not in name else name for name in layer.data)


def _by(layer: Layer) -> str:
    return f"`{env_name(('retention', layer.setting))}`" if layer.setting else "never"


def _cell(text: str) -> str:
    return text if "`" in text else marked_up(text) or "nothing"
