"""Transfers over every kind of link: whole, resumed, in a window, or refused with a reason."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from boreas.kit.tasks import TaskGroup
from boreas.transport import transfers
from boreas.transport.dial import TransportMode
from boreas.transport.frames import FileOffer, FileRequest, FileStored, FileWanted
from boreas.transport.links import LinkClosed
from boreas.transport.memory import memory_pair
from boreas.transport.session import Session
from boreas.transport.streams import Stream
from boreas.transport.transfers import (
    TRANSFER_WINDOW,
    TransferFailed,
    describe_file,
    fetch_file,
    push_file,
    receive_file,
    refuse_file,
    serve_file,
)

from .conftest import CLOCK, Place, until

MIB = 1024 * 1024
Sessions = tuple[Session, Session]


@pytest.fixture(params=["memory", "quic", "tcp"])
async def sessions(
    request: pytest.FixtureRequest, place: Place, tmp_path: Path
) -> AsyncIterator[Sessions]:
    if request.param != "memory":
        yield await place.sessions(tmp_path / "agent", TransportMode(request.param))
        return
    yield memory_sessions()


def part_of(target: Path, offer: FileOffer) -> Path:
    return target.with_name(f"{target.name}.{offer.sha256.hex()[:16]}.part")


def memory_sessions() -> Sessions:
    agent_link, server_link = memory_pair()
    agent, server = Session(agent_link, is_server=False), Session(server_link, is_server=True)
    agent.admit()
    server.admit()
    return agent, server


def a_file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


async def an_offer(path: Path) -> FileOffer:
    return await describe_file(path, transfer_id="t1", order_id="o1#1", name="artifact.tar")


async def while_receiving(
    session: Session, receive: Callable[[Stream], Awaitable[object]], work: Awaitable[object]
) -> None:
    async with TaskGroup("receiver") as tasks:

        async def first_stream() -> None:
            await receive(await anext(session.incoming()))

        receiving = tasks.start(first_stream, name="stream")
        await work
        await receiving


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 10 * MIB + 3])
async def test_a_pushed_file_arrives_as_it_was(
    sessions: Sessions, tmp_path: Path, size: int
) -> None:
    agent, server = sessions
    source, target = a_file(tmp_path / "source", size), tmp_path / "target"

    async def take(stream: Stream) -> None:
        header = await stream.header()
        assert isinstance(header, FileOffer)
        await receive_file(stream, header, target, max_size=20 * MIB)

    await while_receiving(server, take, push_file(agent, source, await an_offer(source)))

    assert target.read_bytes() == source.read_bytes()
    assert not part_of(target, await an_offer(source)).exists()


async def test_a_fetched_file_arrives_as_it_was(sessions: Sessions, tmp_path: Path) -> None:
    agent, server = sessions
    source, target = a_file(tmp_path / "source", 3 * MIB), tmp_path / "target"
    request = FileRequest(transfer_id="t1", order_id="o1#1", name="artifact.tar")

    async def serve(stream: Stream) -> None:
        assert await stream.header() == request
        await serve_file(stream, source, await an_offer(source))

    await while_receiving(server, serve, fetch_file(agent, request, target, max_size=20 * MIB))

    assert target.read_bytes() == source.read_bytes()


async def test_the_server_pushes_files_too(sessions: Sessions, tmp_path: Path) -> None:
    agent, server = sessions
    source, target = a_file(tmp_path / "source", MIB), tmp_path / "target"

    async def take(stream: Stream) -> None:
        header = await stream.header()
        assert isinstance(header, FileOffer)
        await receive_file(stream, header, target, max_size=MIB)

    await while_receiving(agent, take, push_file(server, source, await an_offer(source)))

    assert target.read_bytes() == source.read_bytes()


async def test_a_cut_transfer_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, target = a_file(tmp_path / "source", 8 * MIB), tmp_path / "target"
    offer = await an_offer(source)
    part = part_of(target, offer)
    agent, server = memory_sessions()

    async def cut_in_the_middle() -> None:
        await until(lambda: part.exists() and part.stat().st_size > 2 * MIB)
        agent.link.cut()  # type: ignore[attr-defined]

    async with TaskGroup("cut") as tasks:
        cutting = tasks.start(cut_in_the_middle, name="scissors")

        async def take() -> None:
            stream = await anext(server.incoming())
            with pytest.raises(LinkClosed):
                await receive_file(stream, await stream.header(), target, max_size=9 * MIB)

        taking = tasks.start(take, name="receiver")
        with pytest.raises(LinkClosed):
            await push_file(agent, source, offer)
        await asyncio.gather(cutting, taking)
    had = part.stat().st_size
    assert 2 * MIB < had < 8 * MIB
    assert not target.exists()

    agent, server = memory_sessions()
    wanted: list[int] = []

    async def take_the_rest(stream: Stream) -> None:
        header = await stream.header()
        send = stream.send_header
        stream.send_header = lambda frame, **more: (  # type: ignore[method-assign,assignment]
            wanted.append(frame.offset) if isinstance(frame, FileWanted) else None,
            send(frame, **more),
        )
        await receive_file(stream, header, target, max_size=9 * MIB)

    await while_receiving(server, take_the_rest, push_file(agent, source, offer))

    assert wanted == [had]
    assert target.read_bytes() == source.read_bytes()


async def test_a_damaged_part_is_found_out_and_dropped(tmp_path: Path) -> None:
    source, target = a_file(tmp_path / "source", MIB), tmp_path / "target"
    offer = await an_offer(source)
    part = part_of(target, offer)
    part.write_bytes(b"x" * 1000)
    agent, server = memory_sessions()

    async def take(stream: Stream) -> None:
        with pytest.raises(TransferFailed, match="hash"):
            await receive_file(stream, await stream.header(), target, max_size=MIB)

    async def push() -> None:
        with pytest.raises(TransferFailed, match="hash"):
            await push_file(agent, source, offer)

    await while_receiving(server, take, push())

    assert not target.exists()
    assert not part.exists()


async def test_a_file_that_is_too_big_is_refused_before_a_byte_of_it(
    sessions: Sessions, tmp_path: Path
) -> None:
    agent, server = sessions
    source = a_file(tmp_path / "source", MIB)

    async def take(stream: Stream) -> None:
        with pytest.raises(TransferFailed):
            await receive_file(stream, await stream.header(), tmp_path / "target", max_size=1000)

    async def push() -> None:
        with pytest.raises(TransferFailed, match="more than the 1000 allowed"):
            await push_file(agent, source, await an_offer(source))

    await while_receiving(server, take, push())


async def test_a_request_for_nothing_is_answered(sessions: Sessions, tmp_path: Path) -> None:
    agent, server = sessions
    request = FileRequest(transfer_id="t1", order_id="o1#1", name="nothing")

    async def refuse(stream: Stream) -> None:
        await stream.header()
        refuse_file(stream, "no such artifact")

    async def fetch() -> None:
        with pytest.raises(TransferFailed, match="no such artifact"):
            await fetch_file(agent, request, tmp_path / "target", max_size=MIB)

    await while_receiving(server, refuse, fetch())


async def test_a_slow_disk_slows_the_sender_and_fills_no_memory(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, server = sessions
    source = a_file(tmp_path / "source", 12 * MIB)
    offer = await an_offer(source)
    taken, unread = hashlib.sha256(), []

    async def take_slowly(stream: Stream) -> None:
        await stream.header()
        stream.send_header(FileWanted(offset=0))
        received = 0
        async for block in stream.blocks():
            received += len(block.payload)
            taken.update(block.payload)
            unread.append(len(stream._inbox))
            if received % (256 * 1024) == 0:
                await CLOCK.sleep(0.005)
                stream.send_header(FileStored(offset=received))
        stream.send_header(transfers.FileTaken(ok=True), end=True)

    await while_receiving(server, take_slowly, push_file(agent, source, offer))

    assert taken.digest() == offer.sha256
    assert max(unread) <= TRANSFER_WINDOW + 64 * 1024
