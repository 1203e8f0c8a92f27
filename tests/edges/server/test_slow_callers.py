"""Connections that never say what they want, or say it letter by letter (slow-loris)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from boreas.kit.clock import SystemClock
from boreas.server import slow_callers

HEAD = b"POST /api/release/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_callers, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(slow_callers, "_LOOK_EVERY_SECONDS", 0.05)


@pytest.fixture
async def caller(
    little_patience: None, served: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = served.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield reader, writer
    writer.close()


Caller = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def letter_by_letter(writer: asyncio.StreamWriter, text: bytes) -> None:
    for letter in text:
        writer.write(bytes([letter]))
        await SystemClock().sleep(0.05)


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /api/rel", HEAD, HEAD + b"Content-Length: 99\r\n\r\n", b"\r\n" * 3],
    ids=["nothing", "half a line", "half a head", "no body", "empty lines"],
)
async def test_who_falls_silent_is_told_so_and_closed(caller: Caller, said: bytes) -> None:
    reader, writer = caller
    writer.write(said)

    async with asyncio.timeout(5):
        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "before", [b"", HEAD + b"Content-Length: 200\r\n\r\n"], ids=["the head", "the body"]
)
async def test_who_speaks_letter_by_letter_is_closed(caller: Caller, before: bytes) -> None:
    reader, writer = caller
    writer.write(before)
    text = HEAD + b"X: " + b"x" * 200
    speaking = asyncio.ensure_future(letter_by_letter(writer, text if not before else b" " * 200))

    # What they were still saying may cost them our answer.
    with suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    speaking.cancel()


async def test_a_connection_is_as_closed_for_its_second_request_as_for_its_first(
    caller: Caller,
) -> None:
    reader, writer = caller
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /heal")

    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_keeps_coming_may_take_longer(caller: Caller) -> None:
    reader, writer = caller
    size = 20_000
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % size)
    for _ in range(20):
        writer.write(b" " * (size // 20))
        await SystemClock().sleep(0.06)

    async with asyncio.timeout(5):
        status = await reader.readline()

    assert b"408" not in status


async def test_an_answer_that_takes_long_is_waited_for(served: str) -> None:
    """A live stream says nothing and is asked nothing; only callers are under time."""
    async with httpx.AsyncClient(base_url=f"http://{served}") as client:
        first = await client.get("/healthz")
        await SystemClock().sleep(0.8)
        assert (await client.get("/healthz")).status_code == first.status_code == 200


async def test_a_crowd_of_slow_callers_holds_up_nobody(served: str) -> None:
    host, port = served.split(":")
    crowd = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    for _, writer in crowd:
        writer.write(HEAD)
    async with httpx.AsyncClient(base_url=f"http://{served}") as client:
        for _ in range(5):
            assert (await client.get("/healthz")).status_code == 200
    async with asyncio.timeout(5):
        for reader, writer in crowd:
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            writer.close()
