"""Packages, licences and SBOMs of images, from what dpkg, pip and Maven leave."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from tools.release.contents import File, add_layer
from tools.release.jars import jar
from tools.release.licences import is_allowed
from tools.release.packages import Package, copyright_licences, debian_packages, locked, python_package
from tools.release.sbom import purl, sbom

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Section: libs
Source: glibc
Version: 2.36-9+deb12u14
Description: C library
 Second line

Package: perl-base
Status: deinstall ok config-files
Architecture: amd64
Version: 5.36.0-7

Package: libpython3.11
Status: install ok installed
Architecture: amd64
Source: python3.11 (3.11.2-6)
Version: 3.11.2-6+b1
"""


def test_packages_of_debian_are_those_installed() -> None:
    """A package that was removed does not count, and a source has its package's version unless it says another."""
    found = list(debian_packages(STATUS))
    assert [(one.name, one.version, one.source, one.source_version) for one in found] == [
        ("libc6", "2.36-9+deb12u14", "glibc", "2.36-9+deb12u14"),
        ("libpython3.11", "3.11.2-6+b1", "python3.11", "3.11.2-6"),
    ]


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        pytest.param("License-Expression: MIT\nLicense: BSD", "MIT", id="an expression comes first"),
        pytest.param("License: MIT", "MIT", id="an identifier"),
        pytest.param("License: Apache 2.0", "Apache-2.0", id="a name"),
        pytest.param(
            "License: Dual License\nClassifier: License :: OSI Approved :: BSD License\n"
            "Classifier: License :: OSI Approved :: Apache Software License",
            "Apache-2.0 OR BSD-3-Clause",
            id="classifiers",
        ),
        pytest.param("License: Copyright (c) 2001 Somebody", "NOASSERTION", id="a text"),
        pytest.param("Summary: nothing", "NOASSERTION", id="nothing"),
    ],
)
def test_licence_of_a_python_package(said: str, licence: str) -> None:
    """The licence is what the metadata say in the newest way."""
    package = python_package(f"Metadata-Version: 2.1\nName: Py_Thing\nVersion: 1.0\n{said}\n\nText\nLicense: GPL\n")
    assert (package.name, package.version, package.licences) == ("py-thing", "1.0", (licence,))


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT AND ISC", True),
        ("(MIT OR GPL-3.0-only) AND ISC", True),
        ("MIT AND GPL-2.0-only WITH Classpath-exception-2.0", True),
        ("GPL-2.0-only", False),  # on the list only with the exception
        ("(MIT OR ISC) AND ISC", True),
        ("NOASSERTION", False),
    ],
)
def test_licences_are_compared_with_the_list(expression: str, allowed: bool) -> None:
    """One side of an OR suffices; both sides of an AND are needed."""
    assert is_allowed(expression, frozenset({"MIT", "ISC", "GPL-2.0-only WITH Classpath-exception-2.0"})) is allowed


def test_copyright_file_says_licences_if_it_has_the_format() -> None:
    """The short names come from a file in the machine-readable format; prose says none."""
    text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Expat\n"
    assert copyright_licences(f"{text}\nFiles: x\nLicense: GPL-2+\n text\n") == ("Expat", "GPL-2+")
    assert copyright_licences("This is free software.\nLicense: see above\n") == ()


def test_lock_file_gives_versions() -> None:
    """Hashes, comments, extras and markers are no part of a version."""
    lines = ["# a comment", "Foo_Bar[x,y]==1.2 \\", "    --hash=sha256:00", "baz==3 ; python_version < '3.14' \\"]
    assert locked(lines) == {"foo-bar": "1.2", "baz": "3"}


def test_sbom_names_packages_by_their_urls() -> None:
    """An SBOM has each package with the URL by which tools know it, and no time but the given one."""
    packages = [
        Package("pypi", "numpy", "2.4.0", "numpy", "2.4.0", licences=("BSD-3-Clause",)),
        Package("deb", "libstdc++6", "12.2.0-14", "gcc-12", "12.2.0-14", "amd64", "libs", ("GPL-3+",)),
    ]
    assert [purl(one) for one in packages] == [
        "pkg:pypi/numpy@2.4.0",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12",
    ]
    made = sbom("rollup", "1.2.3", "sha256:" + "0" * 64, "2026-11-29T00:00:00Z", packages)
    assert made == sbom("rollup", "1.2.3", "sha256:" + "0" * 64, "2026-11-29T00:00:00Z", reversed(packages))
    components = made["components"]
    assert isinstance(components, list)
    assert [(one["name"], one["licenses"]) for one in components] == [
        ("libstdc++6", [{"license": {"name": "GPL-3+"}}]),
        ("numpy", [{"expression": "BSD-3-Clause"}]),
    ]


def jar_of(**files: str) -> bytes:
    """Return a jar with a manifest, and with what Maven leaves of each ``group:artifact:version``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            if name == "manifest":
                archive.writestr("META-INF/MANIFEST.MF", text)
                continue
            group, artifact, version = text.split(":")
            properties = f"#made\nversion={version}\r\ngroupId={group}\nartifactId={artifact}\n"
            archive.writestr(f"META-INF/maven/{group}/{artifact}/pom.properties", properties)
    return packed.getvalue()


MANIFEST = "Manifest-Version: 1.0\r\n"


@pytest.mark.parametrize(
    ("file", "content", "url"),
    [
        pytest.param("a-1.jar", {"one": "org.a:a:1"}, "pkg:maven/org.a/a@1", id="one library"),
        pytest.param("b-2.jar", {"one": "org.a:a:1", "two": "org.b:b:2"}, "pkg:maven/org.b/b@2", id="others packed in"),
        pytest.param(
            "a-1-linux.jar", {"one": "org.a:a:1"}, "pkg:maven/org.a/a@1?classifier=linux", id="for one system"
        ),
        pytest.param(
            "a_2.13-0.10.0.jar",
            {"manifest": f"{MANIFEST}Implementation-Vendor-Id: org.a\r\n"},
            "pkg:maven/org.a/a_2.13@0.10.0",
            id="vendor",
        ),
        pytest.param(
            "a-lib-1.jar",
            {"manifest": f"{MANIFEST}Bundle-SymbolicName: org.long.\r\n name.a-lib\r\n"},
            "pkg:maven/org.long.name/a-lib@1",
            id="bundle, wrapped",
        ),
        pytest.param(
            "ivy-2.5.3.jar",
            {"manifest": f"{MANIFEST}Implementation-Vendor-Id: org.apache\r\n"},
            "pkg:maven/org.apache.ivy/ivy@2.5.3",
            id="jars.txt knows better",
        ),
        pytest.param("py4j0.10.9.9.jar", {}, "pkg:maven/net.sf.py4j/py4j@0.10.9.9", id="jars.txt"),
    ],
)
def test_jar_has_coordinates(file: str, content: dict[str, str], url: str) -> None:
    """A jar is the library that its file is named after, by Maven's own file, jars.txt, or its manifest."""
    assert purl(jar(f"opt/{file}", jar_of(**content))) == url


def test_unknown_jar_has_its_file_name_and_sum() -> None:
    """A jar that says nothing is known by its sum, and has no licence."""
    content = jar_of()
    found = jar("opt/thing-1.2.jar", content)
    assert purl(found) == f"pkg:generic/thing@1.2?checksum=sha256:{hashlib.sha256(content).hexdigest()}"
    assert found.licences == ("NOASSERTION",)


def test_libraries_in_a_jar_are_its_parts() -> None:
    """What is packed into a jar is listed below it."""
    found = jar("opt/b-2.jar", jar_of(one="org.a:a:1", two="org.b:b:2"))
    assert [purl(one) for one in found.parts] == ["pkg:maven/org.a/a@1"]


@pytest.mark.parametrize(
    ("header", "licence"),
    [
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
        ('"Apache License, Version 2.0";link="https://www.apache.org/licenses/LICENSE-2.0"', "Apache-2.0"),
        (
            "http://www.eclipse.org/legal/epl-2.0, https://www.gnu.org/software/classpath/license.html",
            "EPL-2.0 OR GPL-2.0-only WITH Classpath-exception-2.0",
        ),
        (
            "http://eclipse.org/legal/epl-2.0, https://gnu.org/software/classpath/license.html, jquery.org/license",
            "(EPL-2.0 OR GPL-2.0-only WITH Classpath-exception-2.0) AND MIT",
        ),
        ("https://example.org/ours, https://opensource.org/license/mit", "MIT AND NOASSERTION"),
    ],
)
def test_licence_of_a_jar(header: str, licence: str) -> None:
    """The manifest of a jar names pages; each has an identifier, or is unknown."""
    manifest = f"{MANIFEST}Bundle-License: {header}\r\n"
    assert jar("a-1.jar", jar_of(manifest=manifest, one="org.a:a:1")).licences == (licence,)


def layer(*names: str) -> tarfile.TarFile:
    """Return a layer of files, each with its own name as content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    packed.seek(0)
    return tarfile.open(fileobj=packed)


def test_layer_takes_away_what_its_whiteouts_name() -> None:
    """A file, a folder, and all of a folder's former content are gone, and what the layer itself has stays."""
    files: dict[str, File] = {}
    add_layer(files, layer("etc/a", "etc/ab", "opt/x/1", "opt/x/2", "srv/old"))
    add_layer(files, layer("etc/.wh.a", "opt/.wh.x", "srv/.wh..wh..opq", "srv/new"))
    assert sorted(files) == ["etc/ab", "srv/new"]
