"""Settings: environment before file before default; errors name the setting, and never show a secret."""

import tomllib
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, model_validator

from marquee.engine.local import LocalEngine
from marquee.engine.starting import start_engine
from marquee.errors import ConfigError
from marquee.settings.loading import MASK, load_settings, masked_entry, source_of
from marquee.settings.names import check_names, read_file, walk
from marquee.settings.sections import ComputeSettings, Section, StageSettings, setting_names
from marquee.storage.local import LocalStore

SECRET = "canary-93b1"


class MartSettings(Section):
    """A section with a secret."""

    host: str = "localhost"
    password: SecretStr | None = Field(None, min_length=20)


class SampleSettings(ComputeSettings):
    """The settings of a stage with a secret, lists, a table of secrets, sections, and a rule over several settings."""

    threshold: float = Field(0.01, ge=0, le=1)
    countries: tuple[str, ...] = ()
    key: SecretStr = Field(SecretStr("k" * 20), min_length=20)
    keys: dict[str, SecretStr] = Field(default_factory=dict)
    mart: MartSettings | None = None

    @model_validator(mode="after")
    def _no_threshold_without_countries(self) -> "SampleSettings":
        if self.threshold == 1 and not self.countries:
            message = "a threshold of 1 needs countries"
            raise ValueError(message)
        return self


@pytest.fixture(autouse=True)
def lake_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Set the one setting that has no default."""
    url = f"file://{tmp_path}/lake"
    monkeypatch.setenv("MARQUEE_LAKE", url)
    return url


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of a settings file that MARQUEE_CONFIG names, for the test to write."""
    path = tmp_path / "marquee.toml"
    monkeypatch.setenv("MARQUEE_CONFIG", str(path))
    return path


def explain(**variables: str) -> str:
    """Load the settings with these wrong variables, and return the message."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises(ConfigError) as caught:
            load_settings(SampleSettings)
    return str(caught.value)


# Sources of values.


def test_environment_sets_values_on_all_levels(monkeypatch: pytest.MonkeyPatch, lake_url: str) -> None:
    """A variable sets a value at any level: two underscores for a section, JSON for lists and tables."""
    monkeypatch.setenv("MARQUEE_THRESHOLD", "0.5")
    monkeypatch.setenv("MARQUEE_COUNTRIES", '["KR", "US"]')
    monkeypatch.setenv("MARQUEE_LOG__LEVEL", "debug")
    monkeypatch.setenv("MARQUEE_S3", '{"region": "eu-west-1"}')
    monkeypatch.setenv("MARQUEE_S3__PATH_STYLE", "true")
    settings = load_settings(SampleSettings)
    assert (settings.lake, settings.threshold, settings.countries) == (lake_url, 0.5, ("KR", "US"))
    assert (settings.log.level, settings.log.format) == ("debug", "auto")
    assert (settings.s3.region, settings.s3.path_style, settings.s3.part_mb) == ("eu-west-1", True, 16)


def test_file_sets_values_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """The environment overrides the file for each setting separately, also within a section."""
    file.write_text(
        """
        threshold = 0.5
        countries = ["KR"]
        [log]
        level = "debug"
        format = "json"
        [engine.spark]
        "spark.executor.memory" = "2g"
        """
    )
    monkeypatch.setenv("MARQUEE_COUNTRIES", '["US"]')
    monkeypatch.setenv("MARQUEE_LOG__LEVEL", "error")
    settings = load_settings(SampleSettings)
    assert (settings.threshold, settings.countries) == (0.5, ("US",))
    assert (settings.log.level, settings.log.format) == ("error", "json")
    assert settings.engine.spark == {"spark.executor.memory": "2g"}


def test_caller_wins_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the command line overrides the environment."""
    monkeypatch.setenv("MARQUEE_THRESHOLD", "0.5")
    assert load_settings(SampleSettings, threshold=0.25).threshold == 0.25


def test_source_of_each_value_is_known(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """The source of each value is the name of its variable, the name of the file, or 'default'."""
    file.write_text("threshold = 0.5\n[log]\nlevel = 'debug'\nformat = 'json'\n")
    monkeypatch.setenv("MARQUEE_LOG__LEVEL", "error")
    content = read_file()
    paths = [("threshold",), ("log", "level"), ("log", "format"), ("s3", "region")]
    assert [source_of(path, content) for path in paths] == [str(file), "MARQUEE_LOG__LEVEL", str(file), "default"]


def test_walk_gives_the_leaves() -> None:
    """Lists and empty tables are leaves of nested settings."""
    nested = tomllib.loads("a = 1\n[b]\nc = [1, 2]\n[b.d]\n")
    assert list(walk(nested)) == [(("a",), 1), (("b", "c"), [1, 2]), (("b", "d"), {})]


def test_settings_open_stores_and_engines(tmp_path: Path) -> None:
    """The settings open the store of the lake, and start the local engine by default."""
    settings = load_settings(SampleSettings, engine={"workers": 2, "memory_mb": 400})
    assert isinstance(settings.store, LocalStore)
    assert settings.store.root == tmp_path / "lake"
    engine = start_engine(settings.engine)
    assert isinstance(engine, LocalEngine)
    assert (engine.options.workers, engine.options.task_memory_mb) == (2, 200)


# Wrong values.


def test_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing setting is an error with the name of its variable."""
    monkeypatch.delenv("MARQUEE_LAKE")
    assert explain() == "wrong settings:\n  MARQUEE_LAKE: is not set"


def test_every_wrong_value_is_told_at_once() -> None:
    """All wrong values are reported together, one a line, with variable, value and reason."""
    lines = explain(MARQUEE_THRESHOLD="2", MARQUEE_LOG__LEVEL="loud").splitlines()
    assert sorted(lines[1:]) == [
        "  MARQUEE_LOG__LEVEL='loud': Input should be 'debug', 'info', 'warning' or 'error'",
        "  MARQUEE_THRESHOLD='2': Input should be less than or equal to 1",
    ]


@pytest.mark.parametrize("url", ["/folder", "file://folder", "file:///", "s3://", "s3:///key", "http://host/x", ""])
def test_wrong_url_is_told(url: str) -> None:
    """A wrong URL is an error with its value and the two valid forms."""
    message = explain(MARQUEE_LAKE=url)
    assert f"MARQUEE_LAKE={url!r}: " in message
    assert f"Invalid URL {url!r}. Use file:///folder or s3://bucket/prefix" in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "ENDPOINT_URL",
            "localhost:9000",
            "Invalid endpoint 'localhost:9000'. Use https://host or http://host:port",
        ),
        ("CA_BUNDLE", "/not/there.pem", "No such file: '/not/there.pem'. Use a file of certificates in PEM format"),
        ("REGION", "EU West", "String should match pattern"),
        ("RETRY_FOR_S", "-1", "greater than or equal to 0"),
        ("READ_TIMEOUT_S", "0", "greater than 0"),
        ("PART_MB", "4", "greater than or equal to 5"),
        ("PARALLEL_READS", "0", "greater than or equal to 1"),
        ("RETRY_MODE", "legacy", "'standard' or 'adaptive'"),
    ],
)
def test_wrong_setting_of_s3_is_told(name: str, value: str, said: str) -> None:
    """A wrong setting of S3 is an error at start, with its name and value."""
    message = explain(**{f"MARQUEE_S3__{name}": value})
    assert f"MARQUEE_S3__{name}={value!r}: " in message
    assert said in message


def test_slash_at_the_end_of_a_url_does_not_count() -> None:
    """A slash at the end of a URL is ignored."""
    assert load_settings(SampleSettings, lake="s3://bucket/prefix/").lake == "s3://bucket/prefix"


def test_rule_over_several_settings_is_told() -> None:
    """The error of a rule over several settings has the text of the rule, and no values."""
    message = explain(MARQUEE_THRESHOLD="1", MARQUEE_KEY=SECRET * 2)
    assert message == "wrong settings:\n  Value error, a threshold of 1 needs countries"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("MARQUEE_KEY", SECRET, id="too short"),
        pytest.param("MARQUEE_MART__PASSWORD", SECRET, id="in a section that may be missing"),
        pytest.param("MARQUEE_MART__PASWORD", SECRET, id="misspelt"),
        pytest.param("MARQUEE_MART", f'{{"passwort": "{SECRET}"}}', id="misspelt in JSON"),
        pytest.param("MARQUEE_MART", f'"{SECRET}"', id="in place of a section"),
        pytest.param("MARQUEE_MART", f"{{{SECRET}", id="broken JSON"),
        pytest.param("MARQUEE_KEYS", f'{{"a": ["{SECRET}"]}}', id="in a table"),
    ],
)
def test_secret_is_masked_in_errors(variable: str, value: str) -> None:
    """The error for a secret setting names it and does not show its value."""
    message = explain(**{variable: value})
    assert variable.removeprefix("MARQUEE_").partition("__")[0] in message.upper()
    assert SECRET not in message


def test_error_does_not_carry_the_secret_along() -> None:
    """The error for a secret setting has no cause or context, which could contain the value."""
    with pytest.raises(ConfigError) as caught:
        load_settings(SampleSettings, key=SECRET)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.hadoop.fs.s3a.access.key", "abc"),
        ("spark.hadoop.fs.azure.account.key.me.blob.core.windows.net", "abc"),
        ("spark.ssl.keyPassword", "abc"),
        ("spark.my.apiKey", "abc"),
        ("spark.my.encryption.key", "abc"),
        ("spark.my.credentials", "abc"),
        ("spark.my.auth_token", "abc"),
        ("spark.my.db.pwd", "abc"),
        ("spark.driver.extraJavaOptions", "-Xss4m -Djavax.net.ssl.trustStorePassword=abc"),
        ("spark.driver.extraJavaOptions", "-Dfs.s3a.secret.key=abc -Xss4m"),
        ("spark.my.header", "Authorization: Bearer abcdefgh"),
        ("spark.my.header", "Authorization: Bearer abc"),
        ("spark.my.passcode", "abc"),
        ("spark.my.proxy", "me:abc@proxy.example:3128"),
        ("spark.my.url", "https://store.example/a?sig=abc&x=1"),
        ("spark.my.connection", "AccountName=me;AccountKey=abc"),
        ("spark.my.account", "AKIAIOSFODNN7EXAMPLE"),
        ("spark.my.account", "ASIAIOSFODNN7EXAMPLE"),
        ("spark.my.account", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("spark.my.account", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
        ("spark.my.account", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
        ("spark.my.account", '{"password": "abc"}'),
    ],
)
def test_what_looks_like_a_secret_is_masked(name: str, value: str) -> None:
    """An entry with a free name is masked if its name or value looks like a secret."""
    assert masked_entry(name, value) == MASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.executor.memory", "2g"),
        ("spark.ssl.keyStore", "/etc/ssl/keys.jks"),
        ("spark.sql.keyspace", "one"),
        ("spark.kubernetes.container.image", "registry.example:5000/marquee/rollup@sha256:0123"),
        ("spark.my.image", "rollup:dev@sha256:0123"),
        ("spark.jars", "/opt/spark/jars/a-long-path/of-some-library/with/2/dots-1.0.jar"),
        ("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -Dlog4j.level=debug"),
        ("spark.serializer", "org.apache.spark.serializer.KryoSerializer"),
        ("spark.my.digest", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ],
)
def test_what_does_not_is_shown(name: str, value: str) -> None:
    """An entry without a secret is shown unchanged."""
    assert masked_entry(name, value) == value


def test_a_password_in_a_url_is_masked_alone() -> None:
    """Of a URL with a password, the rest is shown."""
    assert masked_entry("spark.jars.repositories", "https://me:abc@repo.example/m") == f"https://{MASK}@repo.example/m"


def test_secret_is_masked_in_an_error_of_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong entry whose name is that of a secret is named without its value."""
    monkeypatch.setenv("MARQUEE_ENGINE", '{"spark": {"spark.my.password": 12345, "spark.memory": 2}}')
    with pytest.raises(ConfigError) as wrong:
        load_settings(ComputeSettings, lake="file:///lake")
    assert "12345" not in str(wrong.value)
    assert "spark.memory=2" in str(wrong.value).lower()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:abc@s3.example", "has a user, password or query.*AWS_SECRET_ACCESS_KEY"),
        ("https://me@s3.example:9000/", "has a user, password or query"),
        ("https://s3.example/?a=abc", "has a user, password or query"),
        ("s3.example:9000", "Invalid endpoint"),
        ("https://s3.example:99999", "Invalid endpoint"),
        ("http://[::1", "Invalid endpoint"),
        ("http://:9000", "Invalid endpoint"),
        ("https://s3.example/analytics", "contains the bucket 'analytics'.*address of the server alone"),
        ("https://analytics.s3.eu-west-1.amazonaws.com", "contains the bucket 'analytics'"),
    ],
)
def test_an_endpoint_is_an_address_alone(url: str, message: str) -> None:
    """An S3 endpoint with a user, a password or the bucket is refused, and a password is not shown."""
    with pytest.raises(ConfigError, match=message) as wrong:
        load_settings(ComputeSettings, lake="s3://analytics/lake", s3={"endpoint_url": url}).store.url  # noqa: B018
    assert "abc" not in str(wrong.value)


def test_an_endpoint_may_have_a_path() -> None:
    """An endpoint below a path, which some servers have, is accepted."""
    for url in ("https://s3.example/storage/v1/s3", "http://analytics.example:9000"):
        settings = load_settings(ComputeSettings, lake="s3://analytics/lake", s3={"endpoint_url": url})
        assert settings.store.url == "s3://analytics/lake"


def test_secret_is_masked_in_settings() -> None:
    """Printed settings do not show secrets."""
    settings = load_settings(SampleSettings, key=SECRET * 2, mart={"password": SECRET * 2})
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        pytest.param("US", '["US"]', id="one"),
        pytest.param("KR, US", '["KR", "US"]', id="two"),
        pytest.param("[KR, 'US']", '["KR", "US"]', id="without its quotes"),
    ],
)
def test_list_that_is_no_json_names_variable_value_and_form(value: str, form: str) -> None:
    """A list that is not JSON is an error with the variable, its value, and the same value as JSON."""
    assert explain(MARQUEE_COUNTRIES=value) == (
        f"wrong settings:\n  MARQUEE_COUNTRIES={value!r}: expected a list in JSON, such as MARQUEE_COUNTRIES='{form}'"
    )


def test_json_that_is_no_list_is_told_the_form() -> None:
    """A JSON text in place of a list is an error that shows the form of a list."""
    assert explain(MARQUEE_COUNTRIES='"US"') == (
        'wrong settings:\n  MARQUEE_COUNTRIES=\'US\': expected a list in JSON, such as ["one", "two"]'
    )


@pytest.mark.parametrize("name", ["MARQUEE_KEYS", "MARQUEE_LOG"])
def test_table_or_section_that_is_no_json_does_not_show_its_value(name: str) -> None:
    """The error for a table or section that is not JSON shows the variable only, since the value may hold secrets."""
    message = explain(**{name: f"password={SECRET}"})
    assert message == f'wrong settings:\n  {name}: expected an object in JSON, such as {name}=\'{{"name": "value"}}\''


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"log = ", "Invalid value", id="no TOML"),
        pytest.param(b"\xff\xfe", "can't decode", id="no text"),
    ],
)
def test_file_that_cannot_be_read_is_an_error(file: Path, content: bytes | None, message: str) -> None:
    """A settings file that cannot be read is an error with its name, and is not ignored."""
    if content is not None:
        file.write_bytes(content)
    assert explain().startswith(f"cannot read MARQUEE_CONFIG={str(file)!r}: ")
    assert message in explain()
    with pytest.raises(ConfigError, match="cannot read"):
        check_names({*setting_names(SampleSettings)})


# Names.


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("MARQUEE_TRESHOLD", "Did you mean MARQUEE_THRESHOLD?", id="letter"),
        pytest.param("MARQUEE_LOG_LEVEL", "Did you mean MARQUEE_LOG__LEVEL?", id="one underscore"),
        pytest.param("MARQUEE_LOGLEVEL", "Did you mean MARQUEE_LOG__LEVEL?", id="no underscore"),
        pytest.param("MARQUEE_MART__PASWORD", "Did you mean MARQUEE_MART__PASSWORD?", id="in a section"),
        pytest.param("MARQUEE_S3__ENDPOINT", "Did you mean MARQUEE_S3__ENDPOINT_URL?", id="half"),
        pytest.param("MARQUEE_QUIXOTIC", "`marquee config` lists all settings", id="far from any"),
    ],
)
def test_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    """A misspelt variable is an error with its name and the nearest valid name."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError) as caught:
        check_names({*setting_names(SampleSettings)})
    assert str(caught.value) == f"Unknown setting {name}. {hint}"


def test_misspelt_name_in_lower_case_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are valid in either case, and misspelt ones are found in either case."""
    monkeypatch.setenv("marquee_treshold", "1")
    with pytest.raises(ConfigError, match="Did you mean MARQUEE_THRESHOLD"):
        check_names({*setting_names(SampleSettings)})


def test_misspelt_entry_of_the_file_is_refused(file: Path) -> None:
    """A misspelt entry of the file is an error that shows the names as variables."""
    file.write_text("[log]\nlevle = 'debug'\n")
    with pytest.raises(ConfigError, match=r"Unknown setting MARQUEE_LOG__LEVLE\. Did you mean MARQUEE_LOG__LEVEL"):
        check_names({*setting_names(SampleSettings)})


def test_right_names_pass(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Valid names pass: settings of every kind, MARQUEE_CONFIG, and the free names of Spark."""
    file.write_text('threshold = 0.5\n[engine.spark]\n"spark.executor.memory" = "2g"\n')
    for name in ("MARQUEE_MART__PASSWORD", "MARQUEE_LOG", "MARQUEE_ENGINE__SPARK__SPARK.UI.PORT", "OTHER"):
        monkeypatch.setenv(name, "x")
    check_names({*setting_names(SampleSettings)})


def test_setting_of_another_stage_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of another stage is valid and ignored, because all stages share one environment."""
    monkeypatch.setenv("MARQUEE_THRESHOLD", "0.5")
    check_names({*setting_names(ComputeSettings), *setting_names(SampleSettings)})
    assert "threshold" not in load_settings(ComputeSettings).model_dump()


def test_names_of_settings() -> None:
    """A section has a name, and each of its entries has one, also in an optional section."""
    names = set(setting_names(SampleSettings))
    assert {"MARQUEE_LAKE", "MARQUEE_MART", "MARQUEE_MART__PASSWORD", "MARQUEE_ENGINE__MEMORY_MB"} <= names


@pytest.mark.parametrize("url", ["http://user:canary@host:9091", "host:9091", "ftp://host", "http://", "http://h/?a=b"])
def test_url_of_the_pushgateway_is_checked_at_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The URL of the Pushgateway is checked at start, and refused with a password, because logs show it."""
    monkeypatch.setenv("MARQUEE_METRICS__PUSHGATEWAY_URL", url)
    with pytest.raises(ConfigError, match=r"Invalid pushgateway_url\. Use http://host:port") as caught:
        load_settings(StageSettings)
    assert "canary" not in str(caught.value)


def test_a_setting_of_an_earlier_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting to use instead, and why."""
    monkeypatch.setenv("MARQUEE_PROFILE__MIN_CELL", "10")
    with pytest.raises(ConfigError, match=r"MARQUEE_PROFILE__MIN_CELL\. Set MARQUEE_MART__MIN_CELL"):
        check_names()
