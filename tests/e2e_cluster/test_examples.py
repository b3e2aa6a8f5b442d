"""Each example of values in a real cluster: its objects are admitted, and the release that it describes runs."""

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e_cluster.cluster import Release, call, documented, until
from tests.e2e_cluster.conftest import NAMESPACES, Calm
from tests.e2e_cluster.test_mart import KIOSK

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROD = "charts/marquee/values-prod.yaml"
SHARED = "charts/shared-example.yaml"
RELEASES = {
    "dev": ("charts/marquee/values-dev.yaml",),
    "staging": ("charts/marquee/values-staging.yaml",),
    "prod": (PROD,),
    "shared": (SHARED, PROD),
}
SIZES = {
    path.stem.removeprefix("values-"): (PROD, f"examples/{path.name}") for path in (ROOT / "examples").glob("*.yaml")
}
KIOSKS = {"kiosk": ("charts/kiosk/values-example.yaml",), "kiosk-shared": (SHARED,)}
EVERY = {**RELEASES, **SIZES, **KIOSKS}


@pytest.fixture(scope="module")
def empty() -> Iterator[Release]:
    """A namespace for dry runs, which warns of pods that the Pod Security Standard would refuse."""
    release = Release("dry", f"marquee-e2e-dry-{secrets.token_hex(2)}", Path("-"))
    release.run(documented("Install")[0])
    NAMESPACES.append(release.namespace)
    call("kubectl", "label", "namespace", release.namespace, "pod-security.kubernetes.io/warn=restricted")
    yield release
    NAMESPACES.remove(release.namespace)
    subprocess.run(["kubectl", "delete", "namespace", release.namespace, "--wait=false"], check=False)


def test_every_example_is_here() -> None:
    """The tests of this file know each file of example values."""
    found = [*ROOT.glob("charts/*/values-*.yaml"), *ROOT.glob("charts/*.yaml"), *ROOT.glob("examples/*.yaml")]
    assert {str(path.relative_to(ROOT)) for path in found} == {file for files in EVERY.values() for file in files}


@pytest.mark.parametrize("example", EVERY)
def test_cluster_admits_the_objects_of_an_example(example: str, empty: Release) -> None:
    """The API server takes each object of an example, hooks included, in a dry run, and warns of none."""
    chart = "kiosk" if example in KIOSKS else "marquee"
    sets = {"kiosk": ("period=2026-Q1",), "marquee": (f"grafana.namespace={empty.namespace}",)}[chart]
    options = [*(f"--values={file}" for file in EVERY[example]), *(f"--set={one}" for one in sets)]
    objects = call("helm", "template", "dry", f"charts/{chart}", "--namespace", empty.namespace, *options)
    # A pod is refused without its account, also in a dry run; all other objects need none.
    empty.apply(*(one for one in yaml.safe_load_all(objects) if one["kind"] == "ServiceAccount"))
    taken = empty.kubectl("apply", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=objects)
    assert taken.count("(server dry run)") == objects.count("\nkind: ")


@pytest.mark.day2
@pytest.mark.parametrize("example", [*RELEASES, *SIZES])
def test_example_is_installed(example: str, calm: Calm) -> None:
    """A release of an example, with services of this cluster, starts its exporter and passes its own test."""
    release = Release(f"ex-{example}", calm.release.namespace, HERE / "examples.yaml")
    files = [f"--values={file}" for file in EVERY[example]]
    own = (
        f"settings.lake=s3://marquee/{example}",
        "settings.raw=s3://marquee/raw",
        f"grafana.namespace={release.namespace}",
    )
    try:
        release.upgrade("--install", *files, f"--values={release.values}", values=own)
        release.kubectl("rollout", "status", f"deployment/{release.name}-marquee-exporter", "--timeout=180s")
        if example in RELEASES:
            release.run(documented("Install")[2].splitlines()[1])
    finally:
        release.run(documented("Uninstall")[0])


@pytest.mark.day2
def test_kiosk_of_its_example_is_loaded(calm: Calm) -> None:
    """A kiosk of its example, with S3 of this cluster and data in its pod, is loaded."""
    release = calm.release
    install, uninstall = documented("A kiosk")
    example = f"--values {KIOSKS['kiosk'][0]} --values"
    notes = release.run(
        install.replace("--set period=2026-Q1", f"--set period=2026-Q1 --set storage.persistent=false{KIOSK}").replace(
            "--values", example, 1
        ),
        SHARED=str(HERE / "shared.yaml"),
    )
    assert "--ssl-ca=q1-kiosk-ca.crt --ssl-verify-server-cert" in notes
    release.run(uninstall)
    until(lambda: not release.find("pods", "app.kubernetes.io/instance=q1"), "no pods of the kiosk", 120)
