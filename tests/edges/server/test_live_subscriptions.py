"""The WebSocket: snapshot first, then every change, nothing missed, gone when signed out."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

DEPLOYMENTS = "/api/v1/deployments"


class Reader:
    """A tab that reads messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def subscribe(self, topic: str, **more: Any) -> None:
        await self.say(type="subscribe", topic=topic, **more)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] != "ping":
                    return message

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not wanted(message := await self.next()):
            pass
        return message


Open = Callable[..., AbstractAsyncContextManager[Reader]]


@pytest.fixture
def tab(served: str, admin: httpx.AsyncClient) -> Open:
    @asynccontextmanager
    async def opened(**headers: str) -> AsyncIterator[Reader]:
        sent = headers or {"authorization": admin.headers["authorization"]}
        url = f"ws://{served}/api/v1/ws"
        async with connect(url, additional_headers=sent, close_timeout=1) as socket:
            yield Reader(socket)

    return opened


async def start(admin: httpx.AsyncClient, found: Any, what: str = "start") -> Any:
    answer = await admin.post(f"{DEPLOYMENTS}/{found['id']}/{what}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_snapshot_comes_first_then_changes_with_a_growing_v(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    topic = f"deployment:{found['id']}"
    async with tab() as reader:
        await reader.subscribe(topic)
        snapshot = await reader.next()
        started = await start(admin, found)
        change = await reader.next()

    assert (snapshot["type"], snapshot["topic"]) == ("snapshot", topic)
    assert snapshot["v"] == found["revision"]
    assert len(snapshot["data"]["tasks"]) == 4
    assert change["type"] == "change"
    assert change["v"] == started["revision"] > snapshot["v"]
    assert change["data"]["deployment"]["autoStart"] is True
    assert change["data"]["tasks"] == [], "no task changed"


async def test_only_tasks_that_changed_are_told(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    async with tab() as reader:
        await reader.subscribe(f"deployment:{found['id']}")
        await reader.next()
        await start(admin, found, "tasks/user-service-health-check/skip")
        change = await reader.next()

    told = change["data"]["tasks"]
    assert [task["id"] for task in told] == ["user-service-health-check"]
    assert told[0]["status"] == "success"
    assert {row["state"] for row in told[0]["executions"]} == {"skipped"}


async def test_a_removed_task_is_told(tab: Open, admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)
    async with tab() as reader:
        await reader.subscribe(f"deployment:{found['id']}")
        await reader.next()
        path = f"{DEPLOYMENTS}/{found['id']}/tasks/order-service-health-check"
        assert (await admin.delete(path)).status_code == 204
        change = await reader.next()

    assert change["data"]["removedTasks"] == ["order-service-health-check"]


async def test_who_comes_back_with_the_last_v_is_told_what_was_missed(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    topic = f"deployment:{found['id']}"
    async with tab() as watching:
        await watching.subscribe(topic)
        await watching.next()
        async with tab() as reader:
            await reader.subscribe(topic)
            last = (await reader.next())["v"]
        await start(admin, found, "tasks/user-service-health-check/skip")
        await start(admin, found)
        async with tab() as reader:
            await reader.subscribe(topic, v=last)
            caught_up = await reader.next()

    assert caught_up["type"] == "change"
    assert caught_up["v"] == last + 2
    assert [task["id"] for task in caught_up["data"]["tasks"]] == ["user-service-health-check"]
    assert caught_up["data"]["deployment"]["autoStart"] is True


async def test_who_comes_back_after_too_long_gets_a_snapshot(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    await start(admin, found)
    async with tab() as reader:
        await reader.subscribe(f"deployment:{found['id']}", v=found["revision"])
        message = await reader.next()

    assert message["type"] == "snapshot"
    assert message["v"] == found["revision"] + 1


async def test_an_impossible_v_is_answered_with_a_snapshot(tab: Open, deploy: Any) -> None:
    found = await deploy(autoStart=False)
    for v in (10**9, -1, "7", None, 1.5, True):
        async with tab() as reader:
            await reader.subscribe(f"deployment:{found['id']}", v=v)
            assert (await reader.next())["type"] == "snapshot"


async def test_the_list_of_deployments_is_kept_up_to_date(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    first = await deploy(autoStart=False)
    async with tab() as reader:
        await reader.subscribe("deployments")
        snapshot = await reader.next()
        second = await deploy(autoStart=False)
        change = await reader.next()

    assert [each["id"] for each in snapshot["data"]["deployments"]] == [first["id"]]
    assert [each["id"] for each in change["data"]["deployments"]] == [second["id"]]
    assert change["v"] > snapshot["v"]
    assert "tasks" not in change["data"]["deployments"][0]


async def test_agents_are_a_topic_too(tab: Open, site: Any, services: Any) -> None:
    async with tab() as reader:
        await reader.subscribe("agents")
        snapshot = await reader.next()
        async with services.store.transaction() as tx:
            await tx.announce("boreas_agents", site.agents[1])
            await tx.announce("boreas_agents", "agt_gone")
        change = await reader.next()

    assert [agent["name"] for agent in snapshot["data"]["agents"]] == ["node-0", "node-1", "node-2"]
    assert [agent["id"] for agent in change["data"]["agents"]] == [site.agents[1]]
    assert change["data"]["removed"] == ["agt_gone"]


async def test_what_is_not_there_is_said_and_the_connection_lives(tab: Open) -> None:
    async with tab() as reader:
        await reader.subscribe("deployment:dep_x")
        unknown = await reader.next()
        await reader.subscribe("weather")
        nonsense = await reader.next()
        for broken in ("{", "[]", "7", '{"type": "dance"}', "[" * 100_000):
            await reader.socket.send(broken)
            assert (await reader.next())["type"] == "error"
        await reader.say(type="ping")
        pong = await reader.next()

    assert (unknown["type"], unknown["code"]) == ("error", "not_found")
    assert (nonsense["type"], nonsense["code"]) == ("error", "invalid")
    assert pong == {"type": "pong"}


async def test_after_unsubscribing_nothing_more_comes(
    tab: Open, admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    async with tab() as reader:
        await reader.subscribe(f"deployment:{found['id']}")
        await reader.next()
        await reader.say(type="unsubscribe", topic=f"deployment:{found['id']}")
        await reader.say(type="ping")
        await reader.next()
        await start(admin, found)
        await reader.say(type="ping")

        assert (await reader.next())["type"] == "pong"


async def test_a_tab_cannot_watch_without_end(tab: Open) -> None:
    async with tab() as reader:
        for number in range(150):
            await reader.subscribe(f"deployment:dep_{number}")
        refused = await reader.until(lambda message: message.get("code") == "invalid")

    assert "more than 100" in refused["detail"]


async def refused_with(tab: Open, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with tab(**headers):
            pass
    return caught.value.response.status_code


async def test_nobody_and_strangers_are_refused_before_the_socket_opens(
    tab: Open, browser: httpx.AsyncClient, served: str, admin: httpx.AsyncClient
) -> None:
    cookie = f"boreas_session={browser.cookies['boreas_session']}"
    token = admin.headers["authorization"]

    assert await refused_with(tab, **{"x-nothing": "1"}) == 401
    assert await refused_with(tab, authorization="Bearer bapi_guess") == 401
    assert await refused_with(tab, cookie=cookie) == 403
    assert await refused_with(tab, cookie=cookie, origin="https://evil.example") == 403
    assert await refused_with(tab, cookie=cookie, origin="null") == 403
    assert await refused_with(tab, authorization=token, origin="https://evil.example") == 403
    async with tab(cookie=cookie, origin=f"http://{served}") as reader:
        await reader.say(type="ping")
        assert (await reader.next())["type"] == "pong"


async def test_signing_out_closes_the_socket_within_five_seconds(
    tab: Open, browser: httpx.AsyncClient, served: str, services: Any
) -> None:
    cookie = f"boreas_session={browser.cookies['boreas_session']}"
    async with tab(cookie=cookie, origin=f"http://{served}") as reader:
        await browser.post("/api/release/logout")
        began = services.clock.monotonic()
        with pytest.raises(ConnectionClosed) as caught:
            await reader.next()

    assert services.clock.monotonic() - began < 5
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4401


async def test_a_slow_reader_is_told_that_it_lagged_and_starts_over(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    """On the connection alone, with a socket that takes longer than a reader may."""
    from boreas.server import live
    from boreas.server.auth.callers import Caller
    from boreas.server.live_pictures import Pictures

    found = await deploy(autoStart=False)

    class SlowSocket:
        def __init__(self) -> None:
            self.sent: list[dict[str, Any]] = []

        async def send_text(self, text: str) -> None:
            self.sent.append(json.loads(text))
            if len(self.sent) == 1:
                slow_clock.late += live.LAG_SECONDS + 1

    class SlowClock:
        late = 0.0

        def monotonic(self) -> float:
            return float(services.clock.monotonic()) + self.late

    slow_clock, socket = SlowClock(), SlowSocket()
    async with services.store.reading() as tx:
        user = await tx.users.named("ada")
    connection = live.LiveConnection(socket, Caller(user=user), services, Pictures(services))
    connection._clock = slow_clock  # type: ignore[assignment]
    connection._subscribe(f"deployment:{found['id']}", None)

    await connection._write_all()

    assert [message["type"] for message in socket.sent] == ["snapshot", "lagged", "snapshot"]
