import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from datacosmos.errors import SettingsError
from datacosmos.setting_types import NatsServers, parse_duration, parse_nats_servers
from datacosmos.settings import Settings, load_settings, to_environment


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DATACOSMOS_{name.upper()}", raising=False)


def config(text: str) -> Path:
    Path("datacosmos.toml").write_text(text)
    return Path("datacosmos.toml")


def refusal(path: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("90s", 90), ("5m", 300), ("1h", 3600), ("1.5h", 5400)],
        *[("7d", 604800), (" 5 m ", 300)],
    ],
)
def test_a_duration_is_seconds_or_a_number_with_a_unit(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATACOSMOS_MAX_AGE", text)
    assert load_settings().max_age == timedelta(seconds=seconds)
    assert load_settings(config(f'poll_interval = "{text}"')).poll_interval == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["soon", "1w", "-5", "-5s", "0", "0s", "s", "1h30m", "nan", "inf", "1e3", "1,5", "9" * 20, "9" * 400]
)
def test_a_duration_that_is_none_is_one_clear_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACOSMOS_MAX_AGE", text)
    assert refusal().startswith("DATACOSMOS_MAX_AGE (or max_age in --config): ")


@given(st.integers(0, 10**8), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_number_and_a_unit_are_read_exactly(number: int, unit: str) -> None:
    milliseconds = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]
    assert parse_duration(f"{number}{unit}") == timedelta(milliseconds=number * milliseconds)


@pytest.mark.parametrize(
    ("line", "expected"),
    [("poll_interval = 2", 2.0), ("poll_interval = 0.5", 0.5), ('poll_interval = "2m"', 120.0)],
)
def test_a_duration_in_the_file_is_a_number_or_text(line: str, expected: float) -> None:
    assert load_settings(config(line)).poll_interval == timedelta(seconds=expected)


def test_what_is_no_network_of_proxies_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACOSMOS_PROXIES", "10.0.0.0/8, my-proxy")
    assert "DATACOSMOS_PROXIES" in refusal()
    assert "10.0.0.0/8 or fd00::/8" in refusal()


def test_names_are_comma_separated_or_a_list_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(config('public_series = ["a", "b c"]')).public_series == ["a", "b c"]
    assert load_settings(config('public_series = "a, b c"')).public_series == ["a", "b c"]
    monkeypatch.setenv("DATACOSMOS_PUBLIC_SERIES", " a ,b c,, ")
    assert load_settings().public_series == ["a", "b c"]


def test_sizes_are_bytes_or_carry_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(config("queue_max_bytes = 4194304")).queue_max_bytes == 4194304
    monkeypatch.setenv("DATACOSMOS_QUEUE_MAX_BYTES", "2MiB")
    assert load_settings().queue_max_bytes == 2 * 1024 * 1024


def test_a_flag_wins_over_the_environment_over_dotenv_over_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_settings().max_points == 100_000
    path = config("max_points = 1")
    assert load_settings(path).max_points == 1
    Path(".env").write_text("DATACOSMOS_MAX_POINTS=2\n")
    assert load_settings(path).max_points == 2
    monkeypatch.setenv("DATACOSMOS_MAX_POINTS", "3")
    assert load_settings(path).max_points == 3
    assert load_settings(path, max_points=4).max_points == 4


def test_a_flag_that_was_not_given_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACOSMOS_PORT", "8123")
    assert load_settings(port=None).port == 8123


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACOSMOS_MAX_POINTS", "")
    monkeypatch.setenv("DATACOSMOS_MONGODB_URL", "")
    settings = load_settings(config("max_points = 50"))
    assert (settings.max_points, settings.mongodb_url) == (50, None)


def test_foreign_names_in_dotenv_and_the_environment_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("COMPOSE_PROJECT_NAME=x\nMONGO_PASSWORD=y\nDATACOSMOS_IMAGE=z\nDATACOSMOS_PORT=8124\n")
    monkeypatch.setenv("DATACOSMOS_VERSION_WANTED", "1")
    assert load_settings().port == 8124


@pytest.mark.parametrize(
    "url",
    ["mongodb://h", "mongodb://u:p%40@h:1,[::1]:2/?replicaSet=rs0", "mongodb+srv://h.example/db", "mongodb://h/?a=b"],
)
def test_addresses_of_mongodb_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATACOSMOS_MONGODB_URL", url)
    assert load_settings().mongodb_url == SecretStr(url)


def test_a_dotenv_that_is_no_text_is_one_clear_line() -> None:
    Path(".env").write_bytes(b"DATACOSMOS_HOST=\xe9\n")
    assert refusal().startswith(".env can't be read: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("port", "65536"), ("port", "http"), ("port", "-1"), ("max_points", "0"), ("max_points", "many")],
        *[("data_server_url", "127.0.0.1:28462"), ("log_level", "loud"), ("nats_stream", "a.b")],
        *[("mongodb_database", "a b"), ("mongodb_database", "a.b"), ("queue_max_bytes", "lots")],
        *[("queue_max_bytes", "0"), ("discard_retention", "0"), ("max_lead", "-1")],
        *[("nats_replicas", "0"), ("nats_replicas", "6")],
    ],
)
def test_a_wrong_value_is_one_clear_line_that_names_the_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"DATACOSMOS_{name.upper()}", value)
    assert refusal().startswith(f"DATACOSMOS_{name.upper()} (or {name} in --config): ")


def test_every_wrong_value_is_named() -> None:
    text = refusal(config('max_points = 0\nport = "x"'))
    assert "DATACOSMOS_MAX_POINTS" in text
    assert "DATACOSMOS_PORT" in text


def test_a_typo_in_the_file_is_refused_with_the_name_that_was_meant() -> None:
    assert refusal(config("max_point = 50")) == (
        "datacosmos.toml: there is no setting 'max_point'; did you mean 'max_points'?"
    )
    assert refusal(config("zzzzzz = 50")) == "datacosmos.toml: there is no setting 'zzzzzz'"


def test_a_file_that_can_not_be_read_is_one_clear_line(tmp_path: Path) -> None:
    assert refusal(Path("missing.toml")).startswith("missing.toml: the --config file can't be read: No such file")
    assert "can't be read" in refusal(tmp_path)
    assert "is no TOML file" in refusal(config("max_points 50"))
    Path("latin.toml").write_bytes(b'host = "\xe9"')
    assert "is no TOML file" in refusal(Path("latin.toml"))


@pytest.mark.parametrize("name", ["jwt_secret", "mongodb_url", "nats_url"])
def test_a_secret_is_never_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sesame" not in refusal(config(f'{name} = ["sesame"]'))
    secret = f"{'nats' if name == 'nats_url' else 'mongodb'}://me:sesame@host"
    monkeypatch.setenv(f"DATACOSMOS_{name.upper()}", secret)
    settings = load_settings()
    assert getattr(settings, name).get_secret_value() == secret
    assert "sesame" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "name", sorted(Settings.model_fields.keys() - {"public_series", "cors_origins", "data_servers"})
)
def test_no_wrong_value_is_ever_echoed(name: str) -> None:
    assert "sesame" not in refusal(config(f"{name} = [{{ sesame = 'sesame' }}]"))


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nats://a", NatsServers(["nats://a"])),
        ("nats://a:1, tls://[::1]:2", NatsServers(["nats://a:1", "tls://[::1]:2"])),
        ("nats://me:p%25%2C%40@a:1,nats://b:2", NatsServers(["nats://a:1", "nats://b:2"], "me", "p%,@")),
        ("nats://me:x@a,nats://me:x@b", NatsServers(["nats://a", "nats://b"], "me", "x")),
        ("nats://t%2Fken@a,nats://t%2Fken@b", NatsServers(["nats://a", "nats://b"], token="t/ken")),
    ],
)
def test_servers_of_nats_are_comma_separated_and_have_one_user_or_token(text: str, servers: NatsServers) -> None:
    assert parse_nats_servers(text) == servers


def test_hosts_and_origins_are_kept_as_they_are_sent() -> None:
    hosts = ["Data.Example.org", "bar.org.", "*.LAN", "*", "[FD00::5]", "fd00::6", "10.0.0.7", "my_pod"]
    kept = ["data.example.org", "bar.org", "*.lan", "*", "fd00::5", "fd00::6", "10.0.0.7", "my_pod"]
    assert load_settings(allowed_hosts=hosts).allowed_hosts == kept
    origins = ["HTTPS://Example.org:443", "http://a:80", "http://a:443", "https://[::1]:8443", "*"]
    kept = ["https://example.org", "http://a", "http://a:443", "https://[::1]:8443", "*"]
    assert load_settings(cors_origins=origins).cors_origins == kept


def test_data_servers_are_tables_of_the_file_or_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = """
        [[data_servers]]
        name = "roof"
        url = "http://127.0.0.1:1"
        max_age = "5m"

        [[data_servers]]
        name = "cellar"
        url = "http://127.0.0.1:2"
        series = "below"
    """
    from_file = load_settings(config(tables)).data_servers
    assert [(server.name, server.series) for server in from_file] == [("roof", None), ("cellar", "below")]
    assert from_file[0].max_age == timedelta(minutes=5)
    listed = [
        {"name": "roof", "url": "http://127.0.0.1:1", "max_age": 300},
        {"name": "cellar", "url": "http://127.0.0.1:2", "series": "below"},
    ]
    monkeypatch.setenv("DATACOSMOS_DATA_SERVERS", json.dumps(listed))
    assert load_settings().data_servers == from_file


ROOF = '{name = "roof", url = "http://h"}'


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (f'{ROOF}, {{name = "cellar", url = "sesame"}}', "entry 2: cellar: url should be an address"),
        (f'{ROOF}, {{name = "cellar", url = "http://me:sesame@"}}', "entry 2: cellar: url should be an address"),
        ('{name = "roof"}', "entry 1: roof: url must be given"),
        ('{name = "a.b", url = "http://h"}', "entry 1: name should be 1 to 64 letters"),
        (
            '{name = "roof", url = "http://h", max_age = "sesame"}',
            "entry 1: roof: max_age should be a number of seconds",
        ),
        ('{name = "roof", url = "http://h", poll_limit = 0}', "entry 1: roof: poll_limit Input should be"),
        ('{name = "roof", url = "http://h", age = 5}', "entry 1: roof: age is no field: there are name, url, "),
        ('"sesame"', "entry 1: should be an object with a name and a url"),
        (f"{ROOF}, {ROOF}", "2 of them are called 'roof'"),
    ],
)
def test_a_faulty_data_server_is_refused_by_its_place_name_and_field(entries: str, said: str) -> None:
    refused = refusal(config(f"data_servers = [{entries}]"))
    assert f"DATACOSMOS_DATA_SERVERS (or data_servers in --config): {said}" in refused
    assert "sesame" not in refused


@pytest.mark.parametrize("text", ["sesame", "{}", "[", "7", "[" * 100_000])
def test_data_servers_in_the_environment_must_be_a_list_in_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DATACOSMOS_DATA_SERVERS", text)
    assert refusal(None).startswith("DATACOSMOS_DATA_SERVERS (or data_servers in --config): should be a list like [{")


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_another_process_can_be_given_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        config('cors_origins = ["https://a", "http://b:1"]\npublic_series = []\nopen_ingest = false'),
        jwt_secret="sesame",
        data_servers=[{"name": "roof", "url": "http://me:sesame@h:1", "max_age": "90s", "max_lead": None}],
        max_age=timedelta(days=4000, microseconds=1),
        discard_retention="90ms",
        queue_max_bytes="3GiB",
        data_dir=Path("elsewhere"),
    )
    for name, value in to_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == settings.model_dump()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *[
            ("data_server_url", url)
            for url in ("http://", "http://[", "ftp://host", "garbage", "http://h:port", "http://a b")
        ],
        *[("mongodb_url", url) for url in ("foo", "http://h", "mongodb://", "mongodb://u:sesame@", "mongodb:///x")],
        *[("cors_origins", text) for text in ("example.org", "https://a,b", "https://a/", "*.example.org", "https://")],
        *[("allowed_hosts", text) for text in ("https://data.example.org", "data.example.org:8443", "a/b", "a b")],
        *[("allowed_hosts", text) for text in ("a.*.org", "[a", "[::1]:80", "bücher.example", ".org", "*org", "*.")],
        *[("nats_url", url) for url in ("garbage", "nats://u:sesame@[::1", "nats://h:abc", "http://h")],
        *[("nats_url", url) for url in ("ws://h", "wss://h:443", "nats://h,", "nats://h,garbage")],
        *[("nats_url", url) for url in ("nats://u:sesame%@h", "nats://u:ses,ame@h", "nats://u:a@h,nats://u:sesame@g")],
        *[("nats_replicas", "true")],
        *[("max_points", "true"), ("port", "true")],
    ],
)
def test_what_can_be_no_address_or_number_is_refused_at_the_start(name: str, wrong: str) -> None:
    said = refusal(config(f"{name} = {wrong}" if wrong == "true" else f'{name} = "{wrong}"'))
    assert name in said
    assert "sesame" not in said
