"""skaffold.yaml: each profile is valid and can be rendered, and the built images are those that run."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.charts.rendering import ROOT, SPARK_STAGES, STAGES, Object, applications, run, stage_container

pytestmark = pytest.mark.helm

PROFILES = ("dev", "staging", "prod")
BASES = {"marquee/base-build", "marquee/base-python", "marquee/base-spark"}
IMAGES = {"marquee/exporter", *(f"marquee/{stage.replace('-', '_')}" for stage in STAGES)}
every_profile = pytest.mark.parametrize("profile", PROFILES)


@cache
def diagnosed(profile: str) -> Object:
    """Return the configuration of a profile as skaffold reads it."""
    file = str(ROOT / "skaffold.yaml")
    done = run("skaffold", "diagnose", "--yaml-only", "--filename", file, "--profile", profile)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a build, with a tag of its own for each image."""
    builds = [{"imageName": name, "tag": f"registry.test/{name}:built-{name[8:]}"} for name in sorted(BASES | IMAGES)]
    file = tmp_path_factory.mktemp("skaffold") / "builds.json"
    file.write_text(json.dumps({"builds": builds}))
    return file


@every_profile
def test_profile_builds_every_image_on_its_base(profile: str) -> None:
    """Each profile builds the image of each stage on the base of its engine."""
    artifacts = {one["image"]: one for one in diagnosed(profile)["build"]["artifacts"]}
    assert set(artifacts) == BASES | IMAGES
    for name in IMAGES:
        stage = name.removeprefix("marquee/")
        assert artifacts[name]["docker"]["buildArgs"] == {"STAGE": stage}
        requires = {one["alias"]: one["image"] for one in artifacts[name]["requires"]}
        base = "spark" if stage in SPARK_STAGES else "python"
        assert requires == {"BUILD": "marquee/base-build", "BASE": f"marquee/base-{base}"}


@every_profile
def test_profile_deploys_its_environment(profile: str) -> None:
    """Each profile deploys the example values of its name into a namespace of its own."""
    (release,) = diagnosed(profile)["deploy"]["helm"]["releases"]
    assert release["namespace"] == f"marquee-{profile}"
    assert [Path(file).name for file in release["valuesFiles"]] == [f"values-{profile}.yaml"]


def test_secrets_for_builds_are_there_for_those_who_have_them() -> None:
    """The profile `mirror` adds to each image the build secrets that the Dockerfiles use."""
    asked = {
        secret
        for file in ROOT.glob("images/*/Dockerfile")
        for secret in re.findall(r"--mount=type=secret,id=(\w+)", file.read_text())
    }
    assert asked == {"ca", "pip"}
    for profiles, ids in (("prod", set()), ("prod,mirror", asked)):
        for artifact in diagnosed(profiles)["build"]["artifacts"]:
            assert {one["id"] for one in artifact["docker"].get("secrets", [])} == ids, artifact["image"]


@every_profile
def test_built_images_are_those_that_run(profile: str, built: Path, tmp_path: Path) -> None:
    """The built images run in the CronJobs and in the SparkApplications that launchers create."""
    file = tmp_path / "rendered.yaml"
    arguments = ("--build-artifacts", str(built), "--digest-source=none", "--offline=true", "--output", str(file))
    done = run("skaffold", "render", "--filename", str(ROOT / "skaffold.yaml"), "--profile", profile, *arguments)
    assert done.returncode == 0, done.stderr
    objects = [one for one in yaml.load_all(file.read_text(), yaml.CSafeLoader) if one]
    for stage in STAGES:
        name = stage.replace("-", "_")
        assert stage_container(objects, stage, "marquee")["image"] == f"registry.test/marquee/{name}:built-{name}"
    made = applications(objects)
    assert set(made) == (set() if profile == "dev" else set(SPARK_STAGES))
    for stage, application in made.items():
        assert application["spec"]["image"] == f"registry.test/marquee/{stage}:built-{stage}"
    named = set(re.findall(r"image: \"?([^\s\"]+)", file.read_text()))
    assert named == {f"registry.test/{name}:built-{name[8:]}" for name in IMAGES}
