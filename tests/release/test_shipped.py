"""What is in the images of a release, read from their archives without the code that makes the SBOMs."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.release.made import VERSION, Shipped
from tools.release.licences import allowed, is_allowed

MB = 1_000_000
LIMITS = {
    "schedule_fetch": 350 * MB,
    "mart_load": 350 * MB,
    "exporter": 350 * MB,
    "rollup": 750 * MB,
    "profile": 750 * MB,
}
"""Bytes of all files, uncompressed."""
ON_SPARK = {"rollup", "profile"}
JAVA_HOME = "usr/lib/jvm/java-17/"
BUILDING = {"pip", "pip3", "gcc", "cc", "g++", "ld", "as", "make", "javac", "git", "curl", "wget", "apt-get", "perl"}
"""Commands that build or fetch software; Perl comes with Debian, and no image runs it."""
SECRETS = (b"PRIVATE KEY-----", b"aws_secret_access_key", b"_authToken", b"index-url")


@pytest.fixture(scope="session")
def sbom(shipped: Shipped, folder: Path) -> dict[str, Any]:
    """The SBOM of an image."""
    found: dict[str, Any] = json.loads((folder / f"{shipped.name}-{VERSION}.cdx.json").read_text())
    return found


def of_kind(sbom: dict[str, Any], kind: str) -> dict[str, str]:
    """Return the versions of an SBOM's packages of one kind by name."""
    return {one["name"]: one["version"] for one in sbom["components"] if one["purl"].startswith(f"pkg:{kind}/")}


def test_sbom_has_the_packages_of_debian(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The SBOM has the packages that dpkg's list has as installed, and no other."""
    installed = {}
    for paragraph in shipped.contents.read("var/lib/dpkg/status").decode().strip().split("\n\n"):
        fields = dict(re.findall(r"^(\w+): (.*)$", paragraph, re.MULTILINE))
        if fields["Status"].split()[2] == "installed":
            installed[fields["Package"]] = fields["Version"]
    assert {"libc6", "python3.11-minimal", "ca-certificates", "tini"} <= set(installed)
    assert of_kind(sbom, "deb") == installed


def test_sbom_has_the_packages_of_python(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The SBOM has the distributions in the image's folders, which are those of its lock file."""
    found = dict(
        re.fullmatch(r".*/([^/-]+)-([^/]+)\.dist-info/METADATA", path).groups()  # type: ignore[union-attr, misc]
        for path in shipped.contents.files
        if path.endswith(".dist-info/METADATA")
    )
    names = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found.items()}
    locks = [shipped.name, *(("spark",) if shipped.name in ON_SPARK else ())]
    text = "".join(Path(f"requirements/{lock}.txt").read_text() for lock in locks)
    locked = dict(re.findall(r"^([a-z0-9.-]+)(?:\[\S+\])?==([^\s;]+)", text, re.MULTILINE))
    assert names == {name.replace(".", "-"): version for name, version in locked.items()}
    assert of_kind(sbom, "pypi") == names


def test_sbom_has_every_jar(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The SBOM has each jar outside Java's own folder by its path and its sum, and each has coordinates in Maven."""
    contents = shipped.contents
    jars = [path for path, one in contents.files.items() if path.endswith(".jar") and one.member.isreg()]
    sums = {
        f"/{path}": hashlib.sha256(contents.read(path)).hexdigest() for path in jars if not path.startswith(JAVA_HOME)
    }
    assert len(sums) > 100 if shipped.name in ON_SPARK else not jars
    listed = [one for one in sbom["components"] if "hashes" in one]
    assert {one["evidence"]["occurrences"][0]["location"]: one["hashes"][0]["content"] for one in listed} == sums
    unknown = [one["purl"] for one in listed if not re.match(r"pkg:maven/[^/@]+/[^/@]+@\d", one["purl"])]
    assert unknown == [], "add them to tools/release/jars.txt"


def test_sbom_has_what_is_packed_into_jars(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The libraries that Hadoop's jar was made of are components of its component."""
    packed = {
        one["name"]: {part["purl"].partition("@")[0] for part in one["components"]}
        for one in sbom["components"]
        if "components" in one
    }
    assert ("hadoop-client-runtime" in packed) == (shipped.name in ON_SPARK)
    if packed:
        assert {"pkg:maven/com.google.guava/guava", "pkg:maven/dnsjava/dnsjava"} <= packed["hadoop-client-runtime"]


def test_sbom_has_the_runtime_of_java(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The SBOM has the version of Java that the runtime's own file says."""
    found = [(one["name"], one["version"]) for one in sbom["components"] if one["type"] == "platform"]
    if shipped.name not in ON_SPARK:
        assert found == []
        return
    release = shipped.contents.read(f"{JAVA_HOME}release").decode()
    assert [f'JAVA_VERSION="{version}"' for _, version in found] == [release.splitlines()[0]]


def test_sbom_follows_the_schema(sbom: dict[str, Any]) -> None:
    """The SBOM is valid by the official JSON schema of CycloneDX 1.6, with no field that the schema lacks."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None


def test_components_are_known_by_one_name_each(sbom: dict[str, Any]) -> None:
    """No two components have the same reference, those that are packed into jars included."""
    components = [part for one in sbom["components"] for part in (one, *one.get("components", ()))]
    references = [one["bom-ref"] for one in components]
    assert len(set(references)) == len(references)


def test_sbom_is_of_the_image(shipped: Shipped, sbom: dict[str, Any]) -> None:
    """The SBOM says which image it is of, by its digest."""
    subject = sbom["metadata"]["component"]
    assert (sbom["bomFormat"], sbom["specVersion"], subject["name"]) == ("CycloneDX", "1.6", shipped.name)
    assert f"sha256:{subject['hashes'][0]['content']}" == shipped.contents.digest


def test_licences_are_allowed(sbom: dict[str, Any]) -> None:
    """Each package of Python, each jar and Java have a licence of the list; Debian's are of its section main."""
    ours = [one for one in sbom["components"] if not one["purl"].startswith("pkg:deb/")]
    said = {one["name"]: one.get("licenses", [{"expression": "none"}])[0]["expression"] for one in ours}
    assert {name: licence for name, licence in said.items() if not is_allowed(licence, allowed())} == {}


def test_packages_of_debian_are_free(shipped: Shipped) -> None:
    """No package is of Debian's sections non-free or contrib."""
    status = shipped.contents.read("var/lib/dpkg/status").decode()
    sections = set(re.findall(r"^Section: (\S+)$", status, re.MULTILINE))
    assert sections
    assert not {one for one in sections if "/" in one}


def test_nothing_builds_or_fetches(shipped: Shipped) -> None:
    """An image has no compiler, no pip, and no package manager."""
    assert "python3" in shipped.executables
    assert shipped.executables & BUILDING == set()
    assert [
        path for path in shipped.contents.files if re.search(r"/(pip|ensurepip|setuptools)/__init__\.py$", path)
    ] == []


def test_nobody_becomes_another_user(shipped: Shipped) -> None:
    """No file is setuid or setgid, or has capabilities."""
    files = [(path, one.member) for path, one in shipped.contents.files.items()]
    assert [path for path, one in files if one.isreg() and one.mode & 0o6000] == []
    assert [path for path, one in files if "SCHILY.xattr.security.capability" in one.pax_headers] == []


def test_user_is_not_root(shipped: Shipped) -> None:
    """The user is a number that is not 0, and only /tmp and its like are writable for everybody."""
    assert shipped.settings["User"] == "185:185"
    folders = [(path, one.member) for path, one in shipped.contents.files.items() if one.member.isdir()]
    open_folders = {path for path, one in folders if one.mode & 0o002}
    assert open_folders <= {"tmp", "var/tmp", "run/lock", "dev/shm", "dev/mqueue"}


def test_no_secret_is_left(shipped: Shipped) -> None:
    """No key, token or address of a mirror is in the small files outside packages, nor in the configuration."""
    config = json.dumps(shipped.contents.config)
    assert [word for word in ("password=", "TOKEN=", "SECRET=", "index-url", "INDEX_URL") if word in config] == []
    places = ("etc/", "root/", "home/", "opt/marquee/", "run/", "tmp/", "build/", "var/lib/apt/")
    found = [
        path
        for path, one in shipped.contents.files.items()
        if path.startswith(places) and one.member.isreg() and 0 < one.member.size < MB
        if any(secret in shipped.contents.read(path) for secret in SECRETS)
    ]
    assert found == []
    assert [path for path in shipped.contents.files if path.startswith(("etc/apt/", "run/secrets", "build/"))] == []


def test_no_file_differs_with_each_build(shipped: Shipped) -> None:
    """Compiled Python is known by hash, not by time, and there are no logs, no caches and no archives of Java."""
    compiled = [path for path in shipped.contents.files if path.endswith(".pyc")]
    assert len(compiled) > 1000
    assert [path for path in compiled if not shipped.contents.read(path)[4] & 1] == []
    files = [path for path, one in shipped.contents.files.items() if one.member.isreg()]
    assert [path for path in files if path.startswith(("var/log/", "var/cache/")) or path.endswith(".jsa")] == []


def test_image_is_small(shipped: Shipped) -> None:
    """The files of an image are below the limit of its kind."""
    assert shipped.contents.size() < LIMITS[shipped.name]


def test_labels_and_times_are_of_the_commit(shipped: Shipped) -> None:
    """The labels say what it is, and all files have one time, that of the image."""
    labels = shipped.settings["Labels"]
    assert labels["org.opencontainers.image.title"] == f"marquee/{shipped.name}"
    assert labels["org.opencontainers.image.version"] == VERSION
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert len({one.member.mtime for one in shipped.contents.files.values()}) == 1
