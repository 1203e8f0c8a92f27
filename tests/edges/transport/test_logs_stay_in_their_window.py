"""Log streams: a window of unacknowledged bytes, and nothing lost when the link is cut."""

import pytest

from boreas.kit.tasks import TaskGroup
from boreas.transport.frames import LogStored, LogStream
from boreas.transport.links import LinkClosed, StreamReset
from boreas.transport.log_stream import LOG_WINDOW, LogSender
from boreas.transport.streams import Stream, StreamEnded

from .conftest import until
from .test_files_move_whole import Sessions, sessions  # noqa: F401

BLOCK = b"x" * 64 * 1024


async def send_blocks(log: LogSender, count: int) -> None:
    for number in range(count):
        await log.send(BLOCK, last=number == count - 1)


async def test_a_reader_that_never_acknowledges_stops_the_sender_at_the_window(
    sessions: Sessions,  # noqa: F811
) -> None:
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)
    async with TaskGroup("log") as tasks:
        tasks.start(lambda: send_blocks(log, 1000), name="sender")
        stream = await anext(server.incoming())
        await until(lambda: len(stream._inbox) >= LOG_WINDOW)

        assert log.sent == LOG_WINDOW
        assert len(stream._inbox) < LOG_WINDOW + 4096


async def test_acknowledged_bytes_make_room_for_more(sessions: Sessions) -> None:  # noqa: F811
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)

    async def hear_acknowledgements() -> None:
        async for frame in agent.control:
            assert isinstance(frame, LogStored)
            log.stored(frame.offset)

    async with TaskGroup("log") as tasks:
        tasks.start(lambda: send_blocks(log, 64), name="sender")
        tasks.start(hear_acknowledgements, name="ears")
        stream, offset = await anext(server.incoming()), 0
        await stream.header()
        async for block in stream.blocks():
            offset += len(block.payload)
            server.control.send(LogStored(order_id="o1#1", offset=offset))

        assert offset == 64 * len(BLOCK)
        await until(lambda: log.durable == offset)


async def test_a_sender_that_waits_for_room_hears_that_the_link_is_gone(
    sessions: Sessions,  # noqa: F811
) -> None:
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)

    async def send_too_much() -> None:
        with pytest.raises(LinkClosed):
            await send_blocks(log, 1000)

    async with TaskGroup("log") as tasks:
        sending = tasks.start(send_too_much, name="sender")
        await until(lambda: log.sent == LOG_WINDOW)
        server.close()
        await sending


async def test_a_stopped_log_stops_its_sender(sessions: Sessions) -> None:  # noqa: F811
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)

    async def send_too_much() -> None:
        with pytest.raises(StreamReset):
            await send_blocks(log, 1000)

    async with TaskGroup("log") as tasks:
        sending = tasks.start(send_too_much, name="sender")
        stream = await anext(server.incoming())
        await until(lambda: log.sent == LOG_WINDOW)
        stream.abandon()
        await sending


async def test_an_abandoned_log_ends_the_readers_stream(sessions: Sessions) -> None:  # noqa: F811
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=7)
    await log.send(b"begun\n")
    stream = await anext(server.incoming())
    assert await stream.header() == LogStream(order_id="o1#1", start_offset=7)
    await stream.block()

    log.abandon()

    with pytest.raises(StreamReset):
        await stream.block()


async def test_a_log_that_is_cut_inside_a_block_does_not_end_cleanly(
    sessions: Sessions,  # noqa: F811
) -> None:
    agent, server = sessions
    log = agent.open_log("o1#1", start_offset=0)
    agent.link.send(log._stream.id, b"\x00\x00\x01\x00\x00half", end=True)
    stream = await anext(server.incoming())
    await stream.header()

    with pytest.raises(StreamEnded) as ended:
        await stream.block()

    assert not ended.value.clean


async def test_finished_logs_leave_nothing_behind(sessions: Sessions) -> None:  # noqa: F811
    agent, server = sessions

    async def read(stream: Stream) -> None:
        await stream.header()
        assert [block.payload async for block in stream.blocks()] == [b"line\n"]

    incoming = server.incoming()
    for number in range(300):
        log = agent.open_log(f"o{number}#1", start_offset=0)
        await log.send(b"line\n", last=True)
        await read(await anext(incoming))

    await until(lambda: not server._streams and not agent._streams)
