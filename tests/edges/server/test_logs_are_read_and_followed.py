"""Logs over HTTP: pages, filters, download, and live streams that resume without loss."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from boreas.logs.chunks import STDERR, STDOUT, Chunk, encode
from boreas.logs.openlog import LogSource

TASK = "user-service-deploy"


class Log:
    """Writes into one task's log as the gateway does."""

    def __init__(self, services: Any, deployment: str, task: str = TASK) -> None:
        self._logs = services.logs
        self._source = LogSource(
            deployment=deployment,
            task=task,
            execution_id=f"{deployment}.1",
            target="target-0",
            order_id=f"{deployment}.1#1",
        )
        self._offset = 0
        self._micros = 1_700_000_000_000_000

    def write(self, *lines: str, stream: int = STDOUT) -> None:
        payload = "".join(f"{line}\n" for line in lines).encode()
        self._micros += 1_000_000
        chunk = encode(Chunk(micros=self._micros, stream=stream, flags=0, payload=payload))
        self._offset = self._logs.append(self._source, self._offset, chunk)

    async def close(self) -> None:
        await self._logs.close(self._source.deployment, self._source.task)


@pytest.fixture
async def running(deploy: Any) -> Any:
    return await deploy()


@pytest.fixture
def log(services: Any, running: Any) -> Log:
    return Log(services, running["id"])


@pytest.fixture
def path(running: Any) -> str:
    return f"/api/v1/deployments/{running['id']}/tasks/{TASK}/logs"


async def test_a_page_has_the_documents_shape(
    admin: httpx.AsyncClient, log: Log, path: str
) -> None:
    log.write("开始构建 user-service", "ERROR: no space")

    page = (await admin.get(path)).json()

    assert page["taskId"] == TASK
    first = page["logs"][0]
    documents = {"timestamp", "level", "message"}
    assert set(first) == {*documents, "seq", "stream", "target", "executionId"}
    assert first["message"] == "开始构建 user-service"
    assert first["timestamp"].endswith("Z")
    assert [line["level"] for line in page["logs"]] == ["info", "error"]
    assert (page["firstSeq"], page["lastSeq"], page["complete"]) == (1, 2, False)


async def test_a_task_without_lines_has_an_empty_page(admin: Any, path: str) -> None:
    page = (await admin.get(path)).json()

    assert (page["logs"], page["firstSeq"], page["lastSeq"]) == ([], 0, 0)


async def test_lines_are_paged_from_the_tail(admin: Any, log: Log, path: str) -> None:
    log.write(*(f"line {number}" for number in range(1, 101)))

    async def page(**query: Any) -> list[int]:
        answer = await admin.get(path, params=query)
        return [line["seq"] for line in answer.json()["logs"]]

    assert await page(tail=3) == [98, 99, 100]
    assert await page(limit=2, before=98) == [96, 97]
    assert await page(limit=2, after=50) == [51, 52]
    assert await page(limit=2) == [99, 100]
    assert await page(q="LINE 77") == [77]
    assert await page(target="elsewhere") == []
    assert (await admin.get(path, params={"tail": 1, "after": 1})).status_code == 422
    assert (await admin.get(path, params={"tail": -1})).status_code == 422
    assert (await admin.get(path, params={"tail": "x"})).status_code == 422
    assert (await admin.get(path, params={"level": "loud"})).status_code == 422


async def test_a_level_means_that_one_and_worse(admin: Any, log: Log, path: str) -> None:
    log.write("fine", "WARN careful", "ERROR broken", stream=STDERR)

    lines = (await admin.get(path, params={"level": "warn"})).json()["logs"]

    assert [line["level"] for line in lines] == ["warn", "error"]
    assert {line["stream"] for line in lines} == {"stderr"}


async def test_the_whole_log_can_be_taken_away(admin: Any, log: Log, path: str) -> None:
    log.write("\x1b[31mred\x1b[0m", "二")

    plain = await admin.get(f"{path}/download")
    prefixed = await admin.get(f"{path}/download", params={"prefixed": True})

    assert plain.content == "\x1b[31mred\x1b[0m\n二\n".encode()
    assert plain.headers["content-disposition"].startswith("attachment; filename*=UTF-8''dep_")
    assert "target-0 stdout" in prefixed.text


async def test_a_deployment_shows_the_last_lines_of_its_tasks(
    admin: Any, services: Any, running: Any, log: Log
) -> None:
    log.write(*(f"line {number}" for number in range(30)))
    async with services.store.transaction() as tx:
        from dataclasses import replace

        await tx.work.claim([running["id"]])
        before = await tx.deployments.get(running["id"])
        now = services.clock.now()
        tasks = tuple(
            replace(task, started_at=now) if task.id == TASK else task for task in before.tasks
        )
        await tx.work.save(before, replace(before, tasks=tasks), wake_at=None, now=now)

    found = (await admin.get(f"/api/v1/deployments/{running['id']}")).json()

    task = next(task for task in found["tasks"] if task["id"] == TASK)
    assert task["logs"][-1] == "line 29"
    assert len(task["logs"]) == 20
    assert found["logs"][-1]["taskId"] == TASK


async def test_all_tasks_are_read_as_one(admin: Any, services: Any, running: Any) -> None:
    first = Log(services, running["id"])
    second = Log(services, running["id"], "order-service-deploy")
    for number in range(3):
        first.write(f"a{number}")
        second.write(f"b{number}")
    path = f"/api/v1/deployments/{running['id']}/logs"

    page = (await admin.get(path, params={"limit": 4})).json()
    older = (await admin.get(path, params={"before": page["firstCursor"]})).json()

    messages = [line["message"] for line in older["logs"] + page["logs"]]
    assert sorted(messages) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert [m[1] for m in messages] == sorted(m[1] for m in messages)
    assert page["logs"][0]["taskId"]
    assert (await admin.get(path, params={"before": "nonsense"})).status_code == 422


# --- streams, over a real socket -----------------------------------------------------------------


class Events:
    """Reads server-sent events one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line and event:
                    return event
                name, colon, value = line.partition(": ")
                if name and colon:
                    event[name] = json.loads(value) if name == "data" else value
        raise EOFError


@pytest.fixture
def listen(served: str, admin: httpx.AsyncClient) -> Any:
    @asynccontextmanager
    async def opened(path: str, **headers: str) -> AsyncIterator[Events]:
        auth = {"authorization": admin.headers["authorization"]}
        async with (
            httpx.AsyncClient(base_url=f"http://{served}", timeout=30) as client,
            client.stream("GET", path, headers=auth | headers) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield Events(answer)

    return opened


async def test_lines_come_as_they_are_written(listen: Any, log: Log, path: str) -> None:
    log.write("before")
    async with listen(f"{path}/stream") as events:
        first = await events.next()
        log.write("during")
        second = await events.next()

    assert (first["id"], first["data"]["logs"][0]["message"]) == ("1", "before")
    assert (second["id"], second["data"]["logs"][0]["message"]) == ("2", "during")
    assert second["data"]["taskId"] == TASK


async def test_a_stream_resumes_after_the_last_event(listen: Any, log: Log, path: str) -> None:
    log.write("one", "two", "three")

    async with listen(f"{path}/stream", **{"last-event-id": "2"}) as events:
        by_header = await events.next()
    async with listen(f"{path}/stream?after=2") as events:
        by_query = await events.next()

    assert [line["message"] for line in by_header["data"]["logs"]] == ["three"]
    assert by_query["data"] == by_header["data"]


async def test_many_lines_come_in_few_events(listen: Any, log: Log, path: str) -> None:
    log.write(*(f"line {number}" for number in range(1200)))

    sizes = []
    async with listen(f"{path}/stream") as events:
        while sum(sizes) < 1200:
            sizes.append(len((await events.next())["data"]["logs"]))

    assert sum(sizes) == 1200
    assert len(sizes) <= 4


async def test_a_closed_log_ends_its_stream(listen: Any, log: Log, path: str) -> None:
    log.write("last words")

    async with listen(f"{path}/stream") as events:
        await events.next()
        await log.close()
        end = await events.next()
        with pytest.raises(EOFError):
            await events.next()

    assert end["event"] == "end"
    assert end["data"] == {"taskId": TASK, "lastSeq": 1}


async def test_a_finished_task_that_never_spoke_ends_its_stream(
    listen: Any, admin: httpx.AsyncClient, running: Any, path: str
) -> None:
    await admin.post(f"/api/v1/deployments/{running['id']}/tasks/{TASK}/skip")

    async with listen(f"{path}/stream") as events:
        assert (await events.next())["event"] == "end"


async def test_a_finished_task_ends_its_stream_while_its_deployment_goes_on(
    listen: Any, admin: httpx.AsyncClient, running: Any, log: Log, path: str
) -> None:
    log.write("the last word, and the log stays open")
    await admin.post(f"/api/v1/deployments/{running['id']}/tasks/{TASK}/skip")

    async with listen(f"{path}/stream") as events:
        await events.next()
        assert (await events.next())["event"] == "end"

    deployment = (await admin.get(f"/api/v1/deployments/{running['id']}")).json()
    assert deployment["completedAt"] is None
    assert (await admin.get(path)).json()["complete"]


async def test_all_tasks_stream_as_one_and_resume_where_each_was(
    listen: Any, services: Any, running: Any
) -> None:
    first = Log(services, running["id"])
    second = Log(services, running["id"], "order-service-deploy")
    first.write("a0")
    second.write("b0")
    path = f"/api/v1/deployments/{running['id']}/logs/stream"

    async with listen(path) as events:
        seen = [await events.next(), await events.next()]
    first.write("a1")
    second.write("b1")
    async with listen(path, **{"last-event-id": seen[-1]["id"]}) as events:
        resumed = [await events.next(), await events.next()]

    def messages(found: list[dict[str, Any]]) -> set[str]:
        return {line["message"] for event in found for line in event["data"]["logs"]}

    assert messages(seen) == {"a0", "b0"}
    assert messages(resumed) == {"a1", "b1"}


async def test_a_deleted_token_ends_its_streams_within_five_seconds(
    listen: Any, browser: httpx.AsyncClient, log: Log, path: str, services: Any
) -> None:
    log.write("one")
    async with listen(f"{path}/stream") as events:
        await events.next()
        for token in (await browser.get("/api/release/tokens")).json()["items"]:
            await browser.delete(f"/api/release/tokens/{token['id']}")
        began = services.clock.monotonic()
        with pytest.raises(EOFError):
            await events.next()

    assert services.clock.monotonic() - began < 5


async def test_a_hint_to_resume_that_is_not_ours_is_refused(
    admin: httpx.AsyncClient, running: Any, path: str
) -> None:
    wrong = {"last-event-id": "../../x"}

    assert (await admin.get(f"{path}/stream", headers=wrong)).status_code == 422
    whole = f"/api/v1/deployments/{running['id']}/logs/stream"
    assert (await admin.get(whole, headers=wrong)).status_code == 422
