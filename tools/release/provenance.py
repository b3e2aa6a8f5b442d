"""How a release was made, as an in-toto statement (https://in-toto.io/Statement/v1) with SLSA's predicate, version 1.

The statement is not signed; the publisher signs it with a key of their own. It contains no time and no machine name, so
two builds of one commit have the same bytes.
"""

from collections.abc import Mapping

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:marquee:make-release:v1"
"""``make release`` of the commit in ``resolvedDependencies``, with the parameters in ``externalParameters``."""


def statement(
    subjects: Mapping[str, str], parameters: Mapping[str, str], materials: Mapping[str, Mapping[str, str]], builder: str
) -> dict[str, object]:
    """Return the statement.

    Args:
        subjects: SHA-256 of each file by its name, in hexadecimal.
        parameters: what ``make release`` was called with.
        materials: digests by URI of what went in: the commit, base images, lock files.
        builder: URI of who made the release.
    """
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(sorted(parameters.items())),
                "resolvedDependencies": [
                    {"uri": uri, "digest": dict(digest)} for uri, digest in sorted(materials.items())
                ],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }
