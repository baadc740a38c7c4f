"""Java's own client, which offers to upgrade each connection."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.unit.http.echo import server

JAVA = """
import java.net.URI;
import java.net.http.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        for (var text : new String[] {"first", "second"}) {
            var body = HttpRequest.BodyPublishers.ofString(text);
            var request = HttpRequest.newBuilder(URI.create(arguments[0])).POST(body).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java on PATH")
async def test_javas_own_client_is_answered(tmp_path: Path) -> None:
    (tmp_path / "Client.java").write_text(JAVA)
    async with server() as address:
        program = await asyncio.create_subprocess_exec(
            "java", str(tmp_path / "Client.java"), f"{address}/java", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await program.communicate()
    assert [json.loads(row)["body"] for row in out.splitlines()] == ["first", "second"]
