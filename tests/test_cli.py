"""The commands that end by themselves, as a user types them."""

from pathlib import Path

import pytest

from datacosmos.settings import PREFIX
from datacosmos.tokens import Role, read_token
from tests.programs import run

TOP = Path(__file__).parent.parent
SECRET = "a secret that is long enough for HS256"


async def test_the_settings_in_the_readme_are_the_settings_there_are(tmp_path: Path) -> None:
    _, table, _ = await run("settings", folder=tmp_path)
    readme = (TOP / "README.md").read_text()
    shown = readme.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert shown == table, "put the output of `datacosmos settings` between the marks in README.md"


async def test_schema_graphql_is_what_the_schema_command_prints(tmp_path: Path) -> None:
    _, sdl, _ = await run("schema", folder=tmp_path)
    assert (TOP / "schema.graphql").read_text() == sdl


async def test_a_token_is_all_that_is_printed_and_says_who_and_what(tmp_path: Path) -> None:
    code, out, err = await run(
        "token", "--role", "user", "--subject", "ada", "--expires", "1m", folder=tmp_path, DATACOSMOS_JWT_SECRET=SECRET
    )
    caller = read_token(SECRET, out.strip())
    assert (code, err, caller.subject, caller.role) == (0, "", "ada", Role.USER)
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        (["serve"], {"MAX_AGE": "soon"}, "DATACOSMOS_MAX_AGE"),
        (["serve"], {"PORT": "99999"}, "DATACOSMOS_PORT"),
        (["serve", "--config", "none.toml"], {}, "none.toml"),
        (["serve"], {"MONGODB_URL": "mongodb://m", "NATS_URL": "nats://n"}, "DATACOSMOS_JWT_SECRET"),
        (["serve"], {"MONGODB_URL": "http://m", "JWT_SECRET": SECRET}, "DATACOSMOS_MONGODB_URL"),
        (["write"], {}, "datacosmos serve"),
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
        "token",
    ],
)
async def test_help_explains_each_command(tmp_path: Path, command: str) -> None:
    code, out, _ = await run(*command.split(), "--help", folder=tmp_path)
    assert code == 0
    assert "Usage: datacosmos" in out
