"""What the load balancer does with requests, replicas that die, and answers that break off."""

import http.client
import json
import re
import socket
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from tests.process.deploy.balancer import NGINX, REPLICAS, TEMPLATE, Balanced, balanced

HEARTBEAT = 15  # seconds
pytestmark = pytest.mark.skipif(not NGINX.exists(), reason="there is no wheel of nginx for this system")


@pytest.fixture
def service(tmp_path: Path) -> Generator[Balanced]:
    with balanced(tmp_path) as running:
        yield running


def answering(client: httpx.Client, method: str = "GET", content: bytes | None = None) -> set[str]:
    """The replicas that answer 20 requests, each of which must succeed."""
    answers = [client.request(method, "/graphql", content=content).raise_for_status() for _ in range(20)]
    return {answer.json()["replica"] for answer in answers}


def test_requests_go_to_every_replica(service: Balanced) -> None:
    assert answering(service.client) == set(REPLICAS)


@pytest.mark.parametrize(("method", "content"), [("GET", None), ("POST", None), ("POST", bytes(1 << 20))])
def test_a_replica_that_dies_costs_no_request(service: Balanced, method: str, content: bytes | None) -> None:
    answering(service.client)
    service.stop(REPLICAS[0])
    assert answering(service.client, method, content) == {REPLICAS[1]}


def test_with_no_replica_left_the_answer_is_a_problem_that_says_when_to_try_again(service: Balanced) -> None:
    for address in REPLICAS:
        service.stop(address)
    answer = service.client.get("/graphql", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Bad Gateway",
        "status": 502,
        "detail": "The service can't be reached now, or broke off before it answered; try again in a few seconds.",
        "request_id": "mine-1",
    }


@pytest.mark.parametrize("path", ["/changes?series=datacosmos", "/changes/discards"])
def test_with_no_replica_left_a_browser_that_comes_back_for_changes_is_told_to_try_again(
    service: Balanced, path: str
) -> None:
    """After any other status than 200 it would not."""
    assert service.client.get(path).json()["replica"] in REPLICAS
    for address in REPLICAS:
        service.stop(address)
    answer = service.client.get(path, headers={"Last-Event-ID": "a-cursor"})
    assert (answer.status_code, answer.text) == (200, "retry: 2000\n\n")
    assert answer.headers["Content-Type"] == "text/event-stream"
    begun = service.client.get(path)
    assert (begun.status_code, begun.json()["status"]) == (502, 502)


@pytest.mark.parametrize("content", [b"", b"once"])
def test_a_post_that_a_replica_has_taken_is_not_sent_to_another(service: Balanced, content: bytes) -> None:
    assert service.client.post("/break", content=content).status_code == 502
    assert sum(replica.broken for replica in service.replicas.values()) == 1


def test_an_answer_of_the_api_passes_unchanged_whatever_its_status(service: Balanced) -> None:
    answer = service.client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["replica"] in REPLICAS


def test_a_streamed_answer_arrives_while_it_is_made_and_breaks_off_where_it_breaks_off(service: Balanced) -> None:
    with service.client.stream("GET", "/points") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"[first,"
        for replica in service.replicas.values():
            replica.go_on.set()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def upgraded(service: Balanced, protocol: str) -> tuple[http.client.HTTPResponse, socket.socket]:
    """What comes of asking for another protocol, and the connection."""
    url = service.client.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=5)
    connection.request("GET", "/graphql", headers={"Upgrade": protocol, "Connection": "Upgrade"})
    assert connection.sock is not None
    return connection.getresponse(), connection.sock


def test_a_websocket_passes_both_ways_as_long_as_it_is_open(service: Balanced) -> None:
    answer, talk = upgraded(service, "WebSocket")
    with answer, talk:
        assert (answer.status, answer.getheader("Upgrade")) == (101, "websocket")
        for word in (b"one\n", b"two\n"):
            talk.sendall(word)
            assert talk.recv(100) == word


def test_no_other_upgrade_is_passed_on(service: Balanced) -> None:
    answer, talk = upgraded(service, "h2c")
    with answer, talk:
        told = json.load(answer)["headers"]
        assert told.keys().isdisjoint({"Upgrade", "Connection"})


def test_a_stream_that_is_silent_between_two_heartbeats_is_not_cut() -> None:
    limits = re.findall(r"^\s*(\w+_timeout) (\d+)s;", TEMPLATE.read_text(), re.MULTILINE)
    streams = {name: int(seconds) for name, seconds in limits if name in ("proxy_read_timeout", "send_timeout")}
    assert min(streams.values()) > 3 * HEARTBEAT


@pytest.mark.parametrize("path", ["/series", "/changes"])
def test_a_body_over_the_limit_is_refused_before_it_is_sent(service: Balanced, path: str) -> None:
    url = service.client.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=5)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(66 << 20))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.getheader("Content-Type") == "application/problem+json"
    connection.close()


def test_a_body_of_64_mib_passes(service: Balanced) -> None:
    answer = service.client.post("/series", content=bytes(64 << 20))
    assert answer.json()["size"] == 64 << 20


def test_a_replica_is_told_who_asks_by_which_name_and_under_which_id(service: Balanced) -> None:
    given = {"Host": "data.example.org", "X-Request-ID": "abc-123", "X-Forwarded-Proto": "https"}
    told = service.client.get("/graphql", headers=given).json()["headers"]
    assert told["Host"] == told["X-Forwarded-Host"] == "data.example.org"
    assert told["X-Request-ID"] == "abc-123"
    assert told["X-Forwarded-For"] == told["X-Real-IP"] == "127.0.0.1"
    assert told["X-Forwarded-Proto"] == "https"


@pytest.mark.parametrize("given", [None, 'a"b', "x" * 65, "two words"])
def test_a_request_without_a_proper_id_gets_one(service: Balanced, given: str | None) -> None:
    headers = {"X-Request-ID": given} if given else {}
    told = service.client.get("/graphql", headers=headers).json()["headers"]
    assert len(told["X-Request-ID"]) == 32
    assert told["X-Request-ID"] != given


def test_metrics_are_not_shown_to_the_outside(service: Balanced) -> None:
    assert service.client.get("/metrics").status_code == 404


def test_the_log_names_the_request_but_not_its_query_and_no_check_of_its_own_health(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with balanced(tmp_path) as service:
        service.client.get("/health/ready", headers={"X-Request-ID": "its-own"})
        service.client.get("/graphql?query=secret", headers={"X-Request-ID": "seen-1"})
        service.client.post("/break?query=secret", headers={"X-Request-ID": "seen-2"})
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    seen = {line["request_id"]: line for line in lines}
    assert "its-own" not in seen
    assert [seen["seen-1"][name] for name in ("method", "path", "status")] == ["GET", "/graphql", 200]
    assert [seen["seen-2"][name] for name in ("method", "path", "status")] == ["POST", "/break", 502]
    assert not [line for line in lines if "secret" in str(line)]
