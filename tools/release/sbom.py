"""Lists of what an image contains (SBOM), in CycloneDX 1.6: a component for each package of Debian and of Python.

Nothing in a list depends on when or where it was made, so its serial number comes from the image's digest.
"""

import uuid
from collections.abc import Iterable
from urllib.parse import quote

from tools.release.licences import UNKNOWN
from tools.release.packages import Package

SPEC = "1.6"


def purl(package: Package) -> str:
    """Return the package's URL, by which tools know it."""
    version = quote(package.version, safe="")
    if package.kind == "pypi":
        return f"pkg:pypi/{package.name}@{version}"
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
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package.name,
        "version": package.version,
        "purl": purl(package),
    }
    known = [one for one in package.licences if one != UNKNOWN]
    if known and package.kind == "pypi":
        component["licenses"] = [{"expression": known[0]}]
    elif known:
        component["licenses"] = [{"license": {"name": one}} for one in known]
    if package.kind == "deb":
        said = {"debian:source": package.source, "debian:source-version": package.source_version}
        component["properties"] = [{"name": name, "value": value} for name, value in said.items()]
    return component
