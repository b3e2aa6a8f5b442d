"""Lists of what an image contains (SBOM), in CycloneDX 1.6: components are packages of Debian and Python, and jars.

Nothing in a list depends on when or where it was made, so its serial number comes from the image's digest.
"""

import uuid
from collections.abc import Iterable
from urllib.parse import quote

from tools.release.licences import UNKNOWN
from tools.release.packages import Package

SPEC = "1.6"
PLATFORMS = frozenset({"openjdk"})
"""Packages that run others."""


def purl(package: Package) -> str:
    """Return the package's URL, by which tools know it."""
    version = quote(package.version, safe="")
    if package.kind == "pypi":
        return f"pkg:pypi/{package.name}@{version}"
    if package.kind == "maven":
        classifier = f"?classifier={quote(package.classifier, safe='')}" if package.classifier else ""
        return f"pkg:maven/{package.group}/{package.name}@{version}{classifier}"
    if package.kind == "generic":
        checksum = f"?checksum=sha256:{package.sha256}" if package.sha256 else ""
        return f"pkg:generic/{quote(package.name, safe='')}@{version}{checksum}"
    return f"pkg:deb/debian/{quote(package.name, safe='')}@{version}?arch={package.architecture}&distro=debian-12"


def sbom(name: str, version: str, digest: str, created: str, packages: Iterable[Package]) -> dict[str, object]:
    """Return the list of an image: its name, version and digest, and its packages."""
    image = f"pkg:oci/{name}@{quote(digest, safe='')}?tag={version}"
    hashes = [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image)}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": name,
                "version": version,
                "hashes": hashes,
                "licenses": [{"expression": "Apache-2.0"}],
                "purl": image,
            },
        },
        "components": [_component(one) for one in sorted(packages)],
    }


def _component(package: Package) -> dict[str, object]:
    """Return a package; the one with a path is known by it, because another path may have the same package."""
    ref = package.path or purl(package)
    component = _named(package, ref)
    if package.group:
        component["group"] = package.group
    known = [one for one in package.licences if one != UNKNOWN]
    if known and package.kind == "deb":
        component["licenses"] = [{"license": {"name": one}} for one in known]
    elif known:
        component["licenses"] = [{"expression": known[0]}]
    if package.kind == "deb":
        said = {"debian:source": package.source, "debian:source-version": package.source_version}
        component["properties"] = [{"name": name, "value": value} for name, value in said.items()]
    if package.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
    if package.path:
        component["evidence"] = {"occurrences": [{"location": f"/{package.path}"}]}
    if package.parts:
        component["components"] = [{**_named(one, f"{ref}#{purl(one)}"), "group": one.group} for one in package.parts]
    return component


def _named(package: Package, ref: str) -> dict[str, object]:
    kind = "platform" if package.name in PLATFORMS else "library"
    return {"type": kind, "bom-ref": ref, "name": package.name, "version": package.version, "purl": purl(package)}
