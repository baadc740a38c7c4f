"""Requests that are no HTTP, or hardly: the connection is refused or answered, and the next one served."""

import asyncio
import re
from urllib.parse import urlsplit

import httpx
import pytest

POST = b"POST /sensors HTTP/1.1\r\nHost: x\r\n"
REQUESTS = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03rubbish\r\n\r\n",
    "only an end": b"\r\n\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length that is no number": POST + b"Content-Length: five\r\n\r\n",
    "a length of two spellings": POST + b"Content-Length: 1_0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n5",
    "a length beyond all numbers": POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
    "a length beyond the limit": POST + b"Content-Length: 99999999999\r\n\r\n",
    "a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n5\r\n0\r\n\r\n",
    "a header without a colon": POST + b"rubbish\r\n\r\n",
    "a header of binary": POST + b"Idempotency-Key: \xff\x80\xfe\r\nContent-Length: 1\r\n\r\n5",
    "a header of 100 KB": POST + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
    "a path of 100 KB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path of binary": b"GET /series/\xff%ff%00%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"BREW /sensors HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an upgrade": b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a body that breaks off": POST + b"Content-Length: 1000\r\n\r\n[1,",
}


async def answer_to(address: str, request: bytes) -> bytes:
    """What comes before the connection is closed, or until all has been sent and nothing more comes."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_broken_request_harms_nobody(address: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await answer_to(address, REQUESTS[name])
    assert re.match(rb"HTTP/1\.1 (2|4)\d\d |$", answer), answer[:200]
    assert b"Traceback" not in answer
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        assert (await client.get("/health/live")).status_code == 200
    printed = "".join(capsys.readouterr())
    assert "Traceback" not in printed
    assert "request failed" not in printed
