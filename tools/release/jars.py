"""The Java in an image: the runtime, and each jar by its coordinates in Maven, with the libraries packed into it.

A jar's coordinates are those of its pom.properties, or of its manifest. ``jars.txt`` has what some jars do not say of
themselves. A jar that is still unknown has the name and the version of its file.
"""

import hashlib
import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from tools.release.contents import Contents
from tools.release.licences import CLASSPATH, UNKNOWN, of_bundle, spdx_of
from tools.release.packages import Package

KNOWN = Path(__file__).with_name("jars.txt")
POM = re.compile(r"META-INF/maven/[^/]+/[^/]+/pom\.properties")
NAMED = re.compile(r"(.+?)-(\d.*)|(.+?)(\d+(?:\.\d+)+)")
RUNTIME = re.compile(r"(usr/lib/jvm/[^/]+)/release")


def java_packages(image: Contents) -> Iterator[Package]:
    """Yield the runtimes of an image, and the jars beside those that are part of a runtime."""
    runtimes = [found[1] for path in image.files if (found := RUNTIME.fullmatch(path))]
    yield from (runtime(path, image.read(f"{path}/release").decode()) for path in runtimes)
    for path, file in image.files.items():
        if path.endswith(".jar") and file.member.isreg() and not path.startswith(tuple(f"{one}/" for one in runtimes)):
            yield jar(path, image.read(path))


def runtime(path: str, release: str) -> Package:
    """Return the runtime in a folder, of its file ``release``."""
    found = re.search(r'^JAVA_VERSION="(.+)"$', release, re.MULTILINE)
    if not found:
        message = f"{path}/release has no JAVA_VERSION; expected the file that jlink writes"
        raise ValueError(message)
    return Package("generic", "openjdk", found[1], licences=(CLASSPATH,), path=path)


def jar(path: str, content: bytes) -> Package:
    """Return the package that a jar is, with the coordinates of all libraries in it."""
    stem = posixpath.basename(path).removesuffix(".jar")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        said = manifest(archive)
        poms = [one for name in archive.namelist() if POM.fullmatch(name) and (one := coordinates(archive.read(name)))]
        itself = _itself(stem, poms, said)
        licence = known_licence(itself) or _licence(archive, itself, said)
    return replace(
        itself,
        classifier=stem.removeprefix(plain) if stem.startswith(plain := f"{itself.name}-{itself.version}-") else "",
        licences=(licence,),
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        parts=tuple(sorted(one for one in set(poms) if one != itself)),
    )


def coordinates(properties: bytes) -> Package | None:
    """Return the package of which this is the pom.properties; nothing if it lacks a coordinate."""
    lines = (line.partition("=") for line in properties.decode("latin-1").splitlines() if not line.startswith("#"))
    said = {name.strip(): value.strip() for name, _, value in lines}
    group, name, version = (said.get(key, "") for key in ("groupId", "artifactId", "version"))
    return Package("maven", name, version, group=group) if group and name and version else None


def manifest(archive: zipfile.ZipFile) -> dict[str, str]:
    """Return the main attributes of a jar's manifest, with its wrapped lines joined."""
    try:
        text = archive.read("META-INF/MANIFEST.MF").decode(errors="replace")
    except KeyError:
        return {}
    main = re.sub(r"\r?\n ", "", text).replace("\r\n", "\n").partition("\n\n")[0]
    return dict(re.findall(r"^([\w-]+): *(.*?) *$", main, re.MULTILINE))


def _itself(stem: str, poms: list[Package], said: dict[str, str]) -> Package:
    """Return the package that a file is: of the libraries in it the one that the file is named after."""
    of_its_name = [one for one in poms if stem.startswith(f"{one.name}-{one.version}")]
    if of_its_name or len(poms) == 1:
        return (of_its_name or poms)[0]
    found = NAMED.fullmatch(stem)
    name, version = filter(None, found.groups()) if found else (stem, "")
    group = known_group(name) or said.get("Implementation-Vendor-Id", "")
    if not group and (bundle := said.get("Bundle-SymbolicName", "")).endswith(f".{name}"):
        group = bundle.removesuffix(f".{name}")
    return Package("maven" if group else "generic", name, version, group=group)


def _licence(archive: zipfile.ZipFile, itself: Package, said: dict[str, str]) -> str:
    """Return what a jar says itself: in its manifest, its pom.xml, or by the text of its licence."""
    if bundle := said.get("Bundle-License"):
        return of_bundle(bundle)
    names = archive.namelist()
    if (pom := f"META-INF/maven/{itself.group}/{itself.name}/pom.xml") in names:
        listed = re.search(r"<licenses>(.*?)</licenses>", archive.read(pom).decode(errors="replace"), re.DOTALL)
        found = re.findall(r"<name>\s*(.*?)\s*</name>", listed[1], re.DOTALL) if listed else []
        if len(found) == 1:
            return spdx_of(found[0])
    texts = (archive.read(name) for name in names if re.fullmatch(r"(META-INF/)?LICENSE(\.txt)?", name))
    heads = (b" ".join(text[:200].split()) for text in texts)
    return "Apache-2.0" if any(one.startswith(b"Apache License Version 2.0") for one in heads) else UNKNOWN


def known_group(name: str) -> str:
    """Return the group of an artifact in ``jars.txt``; nothing if it is not there."""
    return next((group for group, artifact, _ in known() if artifact == name), "")


def known_licence(package: Package) -> str:
    """Return the licence of an artifact, or of all artifacts of its group, in ``jars.txt``."""
    of_group = ((name, licence) for group, name, licence in known() if group == package.group)
    return next((licence for name, licence in of_group if name in {package.name, "*"}), "")


@cache
def known() -> tuple[tuple[str, str, str], ...]:
    """Return the lines of ``jars.txt``: group, artifact or ``*``, licence."""
    lines = (line.partition("#")[0].split(maxsplit=1) for line in KNOWN.read_text(encoding="utf-8").splitlines())
    return tuple((*line[0].split(":"), line[1].strip()) for line in lines if line)  # type: ignore[misc]
