"""The commands that end by themselves, as a user types them."""

import json
from pathlib import Path

import pytest

from datacosmos.auth.issuers import Role, SharedSecret
from datacosmos.settings import PREFIX
from tests.programs import run

TOP = Path(__file__).parents[3]
SECRET = "a secret that is long enough for HS256"


async def test_the_settings_in_the_documentation_are_the_settings_there_are(tmp_path: Path) -> None:
    _, table, _ = await run("settings", "--markdown", folder=tmp_path)
    page = (TOP / "docs" / "operator.md").read_text()
    shown = page.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert shown == table, "put the output of `datacosmos settings --markdown` between the marks in docs/operator.md"


async def test_schema_graphql_is_what_the_schema_command_prints(tmp_path: Path) -> None:
    _, sdl, _ = await run("schema", folder=tmp_path)
    assert (TOP / "schema.graphql").read_text() == sdl


async def test_a_token_is_all_that_is_printed_and_says_who_and_what(tmp_path: Path) -> None:
    code, out, err = await run(
        "token", "--role", "user", "--subject", "ada", "--expires", "1m", folder=tmp_path, DATACOSMOS_JWT_SECRET=SECRET
    )
    caller = SharedSecret(SECRET).verify(out.strip())
    assert caller is not None
    assert (code, err, caller.subject, caller.role) == (0, "", "ada", Role.USER)
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (["serve"], {"MAX_AGE": "soon"}, "DATACOSMOS_MAX_AGE"),
        (["serve"], {"PORT": "99999"}, "DATACOSMOS_PORT"),
        (["serve", "--config", "none.toml"], {}, "none.toml"),
        (["serve", "--port", "0"], {"MONGODB_URL": "mongodb://m", "NATS_URL": "nats://n"}, "DATACOSMOS_JWT_SECRET"),
        (["serve"], {"MONGODB_URL": "http://m", "JWT_SECRET": SECRET}, "DATACOSMOS_MONGODB_URL"),
        (["write"], {}, "datacosmos serve"),
        (["serve"], {"MONGODB_URL": "foo"}, "DATACOSMOS_MONGODB_URL"),
        (["serve", "--port", "0"], {"DATA_DIR": "/proc/x"}, "DATACOSMOS_DATA_DIR (or --data-dir): /proc/x"),
        (["serve"], {"CORS_ORIGINS": "example.org"}, "DATACOSMOS_CORS_ORIGINS"),
        (["token", "--role", "admin"], {}, "--data-dir"),
        (["ingest", "--data-dir", "elsewhere", "sensors"], {}, "after the command"),
        (["token", "--role", "admin", "--expires", "soon"], {}, "--expires"),
        (["token", "--role", "king"], {}, "--role"),
        (["token", "--role", "service"], {}, "--role"),
    ],
)
async def test_what_is_wrong_is_one_clear_line_and_no_traceback(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], says: str
) -> None:
    variables = {PREFIX + name: value for name, value in variables.items()}
    code, out, err = await run(*arguments, folder=tmp_path, **variables)
    assert code != 0
    assert out == ""
    assert says in err.splitlines()[-1]
    assert "Traceback" not in err
    assert SECRET not in err


async def test_settings_shows_what_is_in_force_and_from_where_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATACOSMOS_PORT=8123\nDATACOSMOS_HOST=h\nCOMPOSE_PROJECT_NAME=x\n")
    (tmp_path / "my.toml").write_text("port = 1\nmax_points = 50\n")
    variables = {
        "DATACOSMOS_HOST": "::1",
        "datacosmos_jwt_secret": SECRET,
        "DATACOSMOS_MONGODB_URL": "mongodb://me:sesame@host",
        "DATACOSMOS_DATA_SERVER_URL": "http://me:sesame@host:1",
    }
    code, out, err = await run("settings", "--config", "my.toml", "--data-dir", "d", folder=tmp_path, **variables)
    shown = {words[0].removeprefix("DATACOSMOS_"): words[1:] for line in out.splitlines() if (words := line.split())}
    assert (code, err) == (0, "")
    assert {name: shown[name] for name in ("HOST", "PORT", "MAX_POINTS", "DATA_DIR", "MAX_AGE", "NATS_URL")} == {
        "HOST": ["::1", "environment"],
        "PORT": ["8123", ".env"],
        "MAX_POINTS": ["50", "my.toml"],
        "DATA_DIR": ["d", "flag"],
        "MAX_AGE": ["3600s", "default"],
        "NATS_URL": ["default"],
    }
    assert shown["JWT_SECRET"] == shown["MONGODB_URL"] == ["********", "environment"]
    assert shown["DATA_SERVER_URL"] == ["http://host:1", "environment"]
    assert SECRET not in out
    assert "sesame" not in out


async def test_a_misspelt_variable_is_a_warning_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATACOSMOS_OPEN_INGST=false\nHTTP_PORT=80\n")
    variables = {"DATACOSMOS_MAX_POINT": "5", "DATACOSMOS_JWT_SECRET": SECRET}
    code, out, err = await run("token", "--role", "admin", folder=tmp_path, **variables)
    warnings = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    assert out.count("\n") == 1
    assert [(line["level"], line["variable"], line["hint"]) for line in warnings] == [
        ("warning", "DATACOSMOS_MAX_POINT", "did you mean DATACOSMOS_MAX_POINTS?"),
        ("warning", "DATACOSMOS_OPEN_INGST", "did you mean DATACOSMOS_OPEN_INGEST?"),
    ]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        "api",
        "ingest",
        "write",
        "calculation",
        "simulate",
        "simulate data-server",
        "simulate locations",
        "replay locations",
        "query",
        "export points",
        "import",
        "watch",
        "token",
    ],
)
async def test_help_explains_each_command(tmp_path: Path, command: str) -> None:
    code, out, _ = await run(*command.split(), "--help", folder=tmp_path)
    assert code == 0
    assert "Usage: datacosmos" in out
