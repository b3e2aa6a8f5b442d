"""Packages of the charts, in the format of ``helm package``, with the digests of the released images as values.

The values are ``image.digests``; an installation with other images overrides them. They are inserted into values.yaml
as text, which keeps its comments.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path

from tools.release.archive import compress, write_tar


def package(chart: Path, digests: Mapping[str, str], version: str, folder: Path, epoch: int) -> Path:
    """Write ``<chart>-<version>.tgz`` into a folder; an error if the chart has another version."""
    found = re.search(r"^version: *(\S+)$", (chart / "Chart.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found or found[1] != version:
        message = f"{chart}/Chart.yaml: version is {found and found[1]!r}; expected {version!r}, that of the release"
        raise ValueError(message)
    files = {f"{chart.name}/{path.relative_to(chart)}": path.read_bytes() for path in chart_files(chart)}
    values = f"{chart.name}/values.yaml"
    files[values] = with_digests(files[values].decode(), digests).encode()
    unpacked = BytesIO()
    write_tar(unpacked, files.items(), epoch)
    unpacked.seek(0)
    target = folder / f"{chart.name}-{version}.tgz"
    compress(unpacked, target)
    return target


def chart_files(chart: Path) -> list[Path]:
    """Return the files of a chart, without those that its .helmignore names."""
    lines = (chart / ".helmignore").read_text(encoding="utf-8").splitlines()
    ignored = [line for line in lines if line and not line.startswith("#")]
    files = [path for path in chart.rglob("*") if path.is_file()]
    return sorted(path for path in files if not any(fnmatch(path.name, pattern) for pattern in ignored))


def with_digests(values: str, digests: Mapping[str, str]) -> str:
    """Return values.yaml with the digests of the images, in the one place for them."""
    several = "".join(f"\n    {name}: {digest}" for name, digest in sorted(digests.items()))
    text, places = re.subn(r"^  digests: \{\}$", f"  digests:{several}", values, flags=re.MULTILINE)
    if places != 1:
        message = "values.yaml has no single line `digests: {}` below `image`, for the images' digests"
        raise ValueError(message)
    return text
