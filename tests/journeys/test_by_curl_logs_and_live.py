"""Logs by page, as a stream and as a file, the WebSocket, and what every command sees."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

NAMES = (
    *("PROJECT", "APPLICATION", "ENVIRONMENT", "TARGET", "AGENT", "VERSION", "PREVIOUS_VERSION"),
    *("DEPLOYMENT_ID", "TASK_ID", "EXECUTION_ID", "RELEASE_DIR"),
)


def log_path(deployment: str, task: str = "web-deploy") -> str:
    return f"/api/v1/deployments/{deployment}/tasks/{task}/logs"


def run_once(whole: Installation, script: str, version: str = "v1") -> str:
    """Deploys the script to n1 and waits until its log is whole."""
    whole.make_script("web", script)
    deployment = whole.deploy(version)
    whole.until_status(deployment, "success")
    until(
        lambda: whole.get(log_path(deployment))["complete"],
        why=lambda: whole.get(log_path(deployment)),
    )
    return deployment


def printed(whole: Installation, deployment: str, query: str) -> list[Any]:
    lines: list[Any] = whole.get(f"{log_path(deployment)}?{query}")["logs"]
    return lines


def test_every_command_sees_all_variables(fleet: Installation) -> None:
    fleet.make_project("variables", targets=["n1"])
    show = "".join(f'echo "{name}=$BOREAS_{name}"; ' for name in NAMES)
    check = {"type": "command", "command": show, "interval": 0.2, "retries": 2}
    fleet.make_application("web", "script", {"scripts": {"deploy": show + "pwd"}}, check)
    first = fleet.deploy("v1")
    fleet.until_status(first, "success")
    second = fleet.deploy("v2")
    shown = fleet.until_status(second, "success")
    execution = shown["tasks"][0]["executions"][0]["id"]
    lines = until(lambda: fleet.messages(second, "web-deploy"))
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    directory = seen.pop("RELEASE_DIR")
    assert seen == {
        **{"PROJECT": "variables", "APPLICATION": "web", "ENVIRONMENT": "prod"},
        **{"TARGET": "n1", "AGENT": "n1", "VERSION": "v2", "PREVIOUS_VERSION": "v1"},
        **{"DEPLOYMENT_ID": second, "TASK_ID": "web-deploy", "EXECUTION_ID": execution},
    }
    assert directory in lines
    assert "PREVIOUS_VERSION=" in fleet.messages(first, "web-deploy")


def test_pages_lead_through_a_log_without_gap_or_double(fleet: Installation) -> None:
    fleet.make_project("pages", targets=["n1"])
    script = 'for i in $(seq 1 500); do echo "line $i"; done; echo "it WARNs: WARN"; '
    script += 'echo "ERROR oops" >&2'
    deployment = run_once(fleet, script)
    whole = printed(fleet, deployment, "tail=10000")
    assert [line["message"] for line in whole if line["stream"] == "stdout"][:500] == [
        f"line {i}" for i in range(1, 501)
    ]
    assert set(whole[0]) >= {"timestamp", "level", "message", "seq", "stream", "target"}
    assert whole[0]["target"] == "n1"
    assert whole[0]["timestamp"].endswith("Z")
    numbers = [line["seq"] for line in whole]
    assert numbers == list(range(numbers[0], numbers[0] + len(whole)))

    backwards: list[Any] = printed(fleet, deployment, "tail=70")
    assert backwards == whole[-70:]
    while older := printed(fleet, deployment, f"limit=70&before={backwards[0]['seq']}"):
        backwards = older + backwards
    assert backwards == whole
    forwards: list[Any] = []
    after = 0
    while newer := printed(fleet, deployment, f"limit=70&after={after}"):
        forwards += newer
        after = newer[-1]["seq"]
    assert forwards == whole

    assert [line["message"] for line in printed(fleet, deployment, "q=LINE+49&tail=100")] == [
        *("line 49", *(f"line {i}" for i in range(490, 500))),
    ]
    assert [line["message"] for line in printed(fleet, deployment, "level=error")] == ["ERROR oops"]
    warned = [line["message"] for line in printed(fleet, deployment, "level=warn")]
    assert sorted(warned) == ["ERROR oops", "it WARNs: WARN"]
    bad = fleet.refused("GET", log_path(deployment) + "?level=loud")
    assert bad["status"] == 422

    merged = fleet.get(f"/api/v1/deployments/{deployment}/logs?tail=3")["logs"]
    assert merged[-1]["taskId"] == "web-deploy"


def test_strange_output_is_kept_and_shown_safely(fleet: Installation) -> None:
    fleet.make_project("strange", targets=["n1"])
    script = r"""
head -c 150000 /dev/zero | tr '\0' x; echo
printf 'a\0b\n'
printf 'broken \xff\xfe utf\n'
printf '\033[31mred\033[0m\n'
printf 'no newline at the end'
"""
    deployment = run_once(fleet, script)
    lines = [
        line["message"]
        for line in printed(fleet, deployment, "tail=1000")
        if line["stream"] == "stdout"
    ]
    long = [line for line in lines if line.startswith("xxx")]
    assert "".join(line.rstrip("…").partition(" ")[0] for line in long).count("x") == 150000
    assert all(len(line) <= 65_600 for line in long)
    assert len(long) == 3
    assert "\x1b[31mred\x1b[0m" in lines
    assert "no newline at the end" in lines
    assert any("broken" in line and "utf" in line for line in lines)
    json.dumps(lines).encode()

    raw = fleet.call("GET", log_path(deployment) + "/download").content
    assert b"\x1b[31mred\x1b[0m\n" in raw
    assert b"a\x00b\n" in raw
    assert b"broken \xff\xfe utf\n" in raw
    assert raw.count(b"x") >= 150000


def test_a_stream_goes_on_where_the_last_event_was(fleet: Installation, live: Live) -> None:
    fleet.make_project("stream", targets=["n1"])
    go = live.directory / "go"
    script = f"for i in $(seq 1 20); do echo $i; done; until test -e {go}; do sleep 0.05; done; "
    fleet.make_script("web", script + "for i in $(seq 21 40); do echo $i; done")
    deployment = fleet.deploy("v1")
    until(lambda: "20" in fleet.messages(deployment, "web-deploy"))

    first, last_id = read_events(fleet, deployment, None, until_line="20")
    go.touch()
    second, _ = read_events(fleet, deployment, last_id, until_line=None)

    shown = [line["message"] for line in first + second if line["stream"] == "stdout"]
    assert shown == [str(i) for i in range(1, 41)]
    numbers = [line["seq"] for line in first + second]
    assert numbers == sorted(set(numbers))


def read_events(
    whole: Installation, deployment: str, last_id: str | None, *, until_line: str | None
) -> tuple[list[Any], str | None]:
    headers = {"Authorization": f"Bearer {whole.token}", "Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    lines: list[Any] = []
    url = whole.url + log_path(deployment) + "/stream"
    with httpx.stream("GET", url, headers=headers, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = ""
        for text in answer.iter_lines():
            if text.startswith("event:"):
                event = text.partition(":")[2].strip()
            elif text.startswith("id:"):
                last_id = text.partition(":")[2].strip()
            elif text.startswith("data:") and event in ("", "message", "logs"):
                lines += json.loads(text.partition(":")[2])["logs"]
            elif not text:
                if event == "end":
                    break
                event = ""
                if until_line and any(line["message"] == until_line for line in lines):
                    break
    return lines, last_id


@pytest.fixture
def socket(fleet: Installation) -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {fleet.token}"}
    url = fleet.url.replace("http", "ws") + "/api/v1/ws"
    with connect(url, additional_headers=headers) as link:
        yield link


def receive(link: ClientConnection, kind: str) -> Any:
    while True:
        message = json.loads(link.recv(timeout=15))
        if message["type"] == kind:
            return message
        assert message["type"] not in ("error", "lagged"), message


def test_the_socket_gives_a_snapshot_then_changes_and_resumes(
    fleet: Installation, live: Live, socket: ClientConnection
) -> None:
    fleet.make_project("socket", targets=["n1", "n2"])
    fleet.make_script("web", live.deploy())
    steps = [{"batchSize": 1, "canaryRatio": 0.5, "manualApprovalStatus": None}]
    fleet.until_status(fleet.deploy("v0"), "success")
    deployment = fleet.deploy("v1", strategy=steps, autoStart=False)
    topic = f"deployment:{deployment}"
    socket.send(json.dumps({"type": "subscribe", "topic": topic}))
    snapshot = receive(socket, "snapshot")
    assert snapshot["data"]["id"] == deployment
    assert snapshot["data"]["tasks"][0]["status"] in ("pending", "blocked")

    fleet.act(deployment, "start")
    seen, versions = [], [snapshot["v"]]
    while not seen or seen[-1] != "waiting_confirm":
        change = receive(socket, "change")
        assert change["topic"] == topic
        versions.append(change["v"])
        seen.append(change["data"]["deployment"]["status"])
    assert versions == sorted(set(versions))
    socket.close()

    fleet.act(deployment, "confirm")
    fleet.until_status(deployment, "success")
    headers = {"Authorization": f"Bearer {fleet.token}"}
    with connect(
        fleet.url.replace("http", "ws") + "/api/v1/ws", additional_headers=headers
    ) as again:
        again.send(json.dumps({"type": "subscribe", "topic": topic, "v": versions[-1]}))
        while True:
            message = json.loads(again.recv(timeout=15))
            if message["type"] in ("snapshot", "change"):
                break
        assert message["v"] > versions[-1]
        status = message["data"].get("status") or message["data"]["deployment"]["status"]
        while status != "success":
            message = receive(again, "change")
            status = message["data"]["deployment"]["status"]


def test_nobody_listens_without_a_caller(fleet: Installation) -> None:
    place = fleet.url.replace("http", "ws") + "/api/v1/ws"
    with pytest.raises((InvalidStatus, ConnectionClosed)), connect(place) as link:
        link.recv(timeout=5)
    for path in ("/api/v1/deployments", "/api/release/projects", "/api/release/agents"):
        assert httpx.get(fleet.url + path).status_code == 401
    for path in ("/healthz", "/readyz"):
        assert httpx.get(fleet.url + path).status_code == 200
    assert fleet.call("GET", "/openapi.json").status_code == 200
