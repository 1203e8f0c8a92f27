"""Watches come on the link, looks go back; never while an order of the same scope is under way."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from boreas.agent.layout import Layout
from boreas.agent.lookout import LookingBench, Lookout
from boreas.domain.errors import Unavailable
from boreas.domain.ids import ReleaseId
from boreas.domain.orders import DriverKind, OrderBody, ReleaseBody, Verb, VerbOutcome
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.transport.codec import Inbox, encode_frame
from boreas.transport.frames import Hello, Seen, Watch

SCOPE = "tgt/app"


class Looker:
    """A driver that only looks; `open` lets a look end."""

    def __init__(self) -> None:
        self.looks = 0
        self.open = asyncio.Event()
        self.open.set()
        self.began = asyncio.Event()
        self.stopped = asyncio.Event()

    async def observe(self, bench: Any) -> VerbOutcome:
        self.looks += 1
        self.began.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return VerbOutcome(ok=True, result={"version": bench.order.release.version})


class FakeRunner:
    """Says which scopes are busy."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        self.on_begin: Any = None
        self.on_end: Any = None

    def works_on(self, scope: str) -> bool:
        return scope in self.busy

    def begin(self, scope: str) -> None:
        self.busy.add(scope)
        self.on_begin(scope)

    def end(self, scope: str) -> None:
        self.busy.discard(scope)
        self.on_end(scope)


def watch(version: str = "1", every: float = 0.05, **more: Any) -> Watch:
    release = {
        **{"release_id": f"rel{version}", "version_id": "v", "version": version},
        **{"application_id": "app", "application": "api", "driver": "script", "spec": {}},
    }
    names = (
        *("order_id", "execution_id", "deployment_id", "task_id", "task_name", "project_id"),
        *("project", "environment_id", "environment", "target_id", "target", "agent_id", "agent"),
    )
    body: Mapping[str, Any] = {name: "x" for name in names}
    told = {**body, "attempt": 1, "verbs": [Verb.OBSERVE.value], "release": release, **more}
    return Watch(scope=SCOPE, body=msgspec.msgpack.encode(told), every_seconds=every)


class House:
    """A lookout with everything around it made by hand."""

    def __init__(self, layout: Layout, tasks: TaskGroup) -> None:
        self.runner, self.driver = FakeRunner(), Looker()
        self.said: asyncio.Queue[Seen] = asyncio.Queue()
        self.lookout = Lookout(
            self.runner,  # type: ignore[arg-type]
            layout,
            lambda kind: self.driver,  # type: ignore[arg-type, return-value]
            SystemClock(),
            tasks,
        )
        tasks.start(self.lookout.run, name="lookout")
        self.lookout.opened(self.said.put_nowait)  # type: ignore[arg-type]

    async def next(self) -> Seen:
        return await asyncio.wait_for(self.said.get(), 10)


@pytest.fixture
async def house(tmp_path: Any) -> Any:
    async with TaskGroup("test") as tasks:
        yield House(Layout(data_dir=tmp_path), tasks)


async def test_what_is_watched_is_looked_at_again_and_again(house: House) -> None:
    house.lookout.take(watch())
    for _ in range(3):
        seen = await house.next()
        assert (seen.scope, seen.about, seen.ok) == (SCOPE, "rel1", True)
        assert seen.result == {"version": "1"}


async def test_another_watch_of_the_scope_replaces_the_first(house: House) -> None:
    house.lookout.take(watch("1"))
    house.lookout.take(watch("2"))
    assert (await house.next()).about == "rel2"


async def test_an_empty_watch_ends_it(house: House) -> None:
    house.lookout.take(watch())
    await house.next()
    house.driver.open.clear()
    house.lookout.take(Watch(scope=SCOPE))
    house.driver.open.set()
    assert house.lookout._begin_looks() is None


async def test_without_anything_to_watch_it_sleeps_for_ever(house: House) -> None:
    assert house.lookout._begin_looks() is None


async def test_an_order_stops_a_look_and_a_look_follows_its_end(house: House) -> None:
    house.driver.open.clear()
    house.lookout.take(watch(every=600))
    await asyncio.wait_for(house.driver.began.wait(), 10)
    house.runner.begin(SCOPE)
    await asyncio.wait_for(house.driver.stopped.wait(), 10)
    house.driver.open.set()
    assert house.said.empty()
    house.runner.end(SCOPE)
    assert (await house.next()).about == "rel1"


async def test_nothing_is_looked_at_while_an_order_is_under_way(house: House) -> None:
    house.runner.begin(SCOPE)
    house.lookout.take(watch(every=0.01))
    for _ in range(20):
        house.lookout._begin_looks()
        await SystemClock().sleep(0.01)
    assert house.driver.looks == 0


async def test_a_watch_that_cannot_be_read_is_passed_over(house: House) -> None:
    house.lookout.take(Watch(scope=SCOPE, body=b"\xc1"))
    house.lookout.take(watch())
    assert (await house.next()).ok


async def test_a_new_link_starts_from_nothing(house: House) -> None:
    house.lookout.take(watch())
    await house.next()
    house.lookout.closed()
    assert house.lookout._begin_looks() is None


async def test_a_look_cannot_change_anything(tmp_path: Any) -> None:
    body = msgspec.msgpack.decode(watch().body, type=OrderBody)
    bench = LookingBench(body, SCOPE, Layout(data_dir=tmp_path))
    with pytest.raises(Unavailable):
        await bench.run("step", ("true",))
    code, output = await bench.probe(("sh", "-c", "echo $BOREAS_VERSION"), at_most=5)
    assert (code, output) == (0, "1\n")


def test_an_agent_of_before_says_hello_without_abilities_and_is_understood() -> None:
    class OldHello(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag=2):
        protocol: int
        agent_version: str
        name: str
        labels: dict[str, str]
        instance: str = ""

    old = msgspec.msgpack.encode(OldHello(protocol=1, agent_version="0", name="n", labels={}))
    inbox = Inbox(max_unread=1000)
    inbox.feed(len(old).to_bytes(4, "big") + old)
    hello = inbox.frame()
    assert isinstance(hello, Hello)
    assert hello.abilities == ()
    new = encode_frame(
        Hello(protocol=1, agent_version="1", name="n", labels={}, abilities=("observes",))
    )
    assert msgspec.msgpack.decode(new[4:], type=OldHello).name == "n"


def test_a_release_is_named_by_what_was_watched() -> None:
    body = msgspec.msgpack.decode(watch("7").body, type=OrderBody)
    assert body.release is not None
    assert isinstance(body.release, ReleaseBody)
    assert body.release.release_id == ReleaseId("rel7")
    assert body.release.driver is DriverKind.SCRIPT
