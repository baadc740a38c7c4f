"""The commands of the README and of docs/, pasted into a shell beside a running service, and what they should show.

In an sh block, lines that begin with `# ` are what is shown, in that order; `…` is any text. A json block behind it is
what is shown too: its values may differ, its members and their types may not. A block whose title begins with "not run
by the tests" is left out.
"""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import pytest_asyncio

from tests.programs import Program, environment, program, run

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN, MOST_NOT_RUN = 'title="not run by the tests', 3
CURL = 'curl() { command curl --fail-with-body "$@"; echo; }\n'  # an answer that is an error is one here too
STORED = "{ discards(reason: MALFORMED) { reason } }"  # what the demo begins with, once it is stored
END = "=== end of block ==="


class Block(NamedTuple):
    commands: str
    shown: list[str]
    json: str | None


def blocks(page: Path) -> list[Block]:
    found = list[Block]()
    for language, info, text in FENCE.findall(page.read_text()):
        if language == "sh" and NOT_RUN not in info:
            shown = [line[2:] for line in text.splitlines() if line.startswith("# ")]
            found.append(Block(text, shown, None))
        elif language == "json" and found:
            found[-1] = found[-1]._replace(json=text)
    return found


RUN = [page for page in PAGES if blocks(page)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Program]:
    folder = tmp_path_factory.mktemp("docs")
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "datacosmos").symlink_to(Path(sys.executable).with_name("datacosmos"))
    patient = {"DATACOSMOS_CALCULATION_TIMEOUT": "50s"}  # forecasts wait until their processes are warm
    async with program(folder, "serve", "--demo", "--port", "0", **patient) as started:
        _, token, _ = await run("token", "--role", "admin", folder=folder)
        async with asyncio.timeout(60):
            while not (await started.ask(STORED, token=token.strip()))["data"]["discards"]:
                await asyncio.sleep(0.1)
        yield started


async def pasted(text: str, folder: Path, port: str) -> str:
    """All that is printed, by commands that all end well."""
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-e", "-o", "pipefail", "-c", CURL + text),
        cwd=folder,
        env=environment({"DATACOSMOS_PORT": port}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        printed, _ = await shell.communicate()
    assert shell.returncode == 0, printed.decode()
    return printed.decode()


def alike(shown: Any, printed: Any) -> bool:
    """Whether both have the same members and types; of lists, where neither is empty, their first items."""
    if type(shown) is not type(printed):
        return False
    if isinstance(shown, dict):
        members = cast("dict[str, Any]", shown)
        return members.keys() == printed.keys() and all(
            alike(member, printed[name]) for name, member in members.items()
        )
    return not (isinstance(shown, list) and shown and printed) or alike(shown[0], printed[0])


def require_shown(block: Block, printed: str) -> None:
    pattern = ".*".join(".*".join(map(re.escape, line.split("…"))) for line in block.shown)
    assert re.search(pattern, printed, re.DOTALL), f"{block.commands}\nprinted instead:\n{printed}"
    if block.json is not None:
        assert alike(json.loads(block.json), json.loads(printed)), printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl to paste the commands to")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.xdist_group("documentation")
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
async def test_the_commands_of_a_page_show_what_it_says(page: Path, service: Program) -> None:
    on_page = blocks(page)
    text = "".join(f"{block.commands}\necho '{END}'\n" for block in on_page)
    port = service.address.rpartition(":")[2]
    printed = await pasted(text.replace("http://127.0.0.1:8000", service.address), service.folder, port)
    *parts, rest = printed.split(f"{END}\n")
    assert (len(parts), rest) == (len(on_page), "")
    for block, part in zip(on_page, parts, strict=True):
        require_shown(block, part)


def test_few_commands_are_not_run() -> None:
    left_out = [text for page in PAGES for _, info, text in FENCE.findall(page.read_text()) if NOT_RUN in info]
    assert len(left_out) <= MOST_NOT_RUN, left_out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_of_a_shell_is_one_that_is_run(page: Path) -> None:
    assert {language for language, _, _ in FENCE.findall(page.read_text())}.isdisjoint({"bash", "console", "shell"})


@pytest.mark.parametrize(
    ("block", "printed"),
    [
        (Block("", ['{"stored":2}'], None), '{"stored":1}'),
        (Block("", ["a…c", "d"], None), "d a b c"),
        (Block("", [], '{"a": [1]}'), '{"a": ["1"]}'),
        (Block("", [], '{"a": 1}'), '{"a": 1, "b": 2}'),
    ],
)
def test_what_is_shown_otherwise_is_found(block: Block, printed: str) -> None:
    with pytest.raises(AssertionError):
        require_shown(block, printed)
