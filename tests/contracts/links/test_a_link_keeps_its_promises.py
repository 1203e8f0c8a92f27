"""What every kind of link promises, held against all three by one suite."""

import hashlib
import tracemalloc

import pytest

from boreas.kit.clock import SystemClock
from boreas.transport.links import (
    MAX_STREAMS,
    CloseCode,
    CloseKind,
    LinkClosed,
    StreamLimitReached,
    is_unidirectional,
    opened_by_server,
)

from .conftest import End, Pair

KIB, MIB = 1024, 1024 * 1024


async def test_using_a_finished_stream_does_nothing(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_bidi()
    agent.link.send(stream, b"all", end=True)
    await server.until(lambda: stream in server.ended)
    server.link.send(stream, b"good", end=True)
    await agent.until(lambda: stream in agent.ended)

    for end in (agent, server):
        end.link.send(stream, b"too late")
        end.link.reset(stream)
        end.link.stop(stream)
    agent.link.send(0, b"still here")
    await server.until(lambda: server.received.get(0) == b"still here")

    assert agent.link.closing is server.link.closing is None


async def test_bytes_of_a_stream_arrive_whole_and_in_order(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()

    for number in range(500):
        agent.link.send(stream, b"%06d" % number)
    agent.link.send(stream, b"", end=True)
    await server.until(lambda: stream in server.ended)

    assert server.received[stream] == b"".join(b"%06d" % number for number in range(500))


async def test_stream_numbers_say_who_opened_them_and_which_way_they_go(pair: Pair) -> None:
    agent, server = pair

    numbers = [agent.link.open_uni(), agent.link.open_bidi(), server.link.open_uni()]

    assert [is_unidirectional(number) for number in numbers] == [True, False, True]
    assert [opened_by_server(number) for number in numbers] == [False, False, True]


async def test_one_direction_may_end_while_the_other_goes_on(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_bidi()

    agent.link.send(stream, b"question", end=True)
    await server.until(lambda: stream in server.ended)
    server.link.send(stream, b"long ")
    server.link.send(stream, b"answer", end=True)
    await agent.until(lambda: stream in agent.ended)

    assert agent.received[stream] == b"long answer"


async def test_either_side_opens_streams(pair: Pair) -> None:
    agent, server = pair

    stream = server.link.open_bidi()
    server.link.send(stream, b"here is a file", end=True)
    await agent.until(lambda: stream in agent.ended)
    agent.link.send(stream, b"thanks", end=True)
    await server.until(lambda: stream in server.ended)

    assert (agent.received[stream], server.received[stream]) == (b"here is a file", b"thanks")


async def test_a_reset_reaches_the_other_side_with_its_code(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()
    agent.link.send(stream, b"begun")
    await server.until(lambda: server.received.get(stream))

    agent.link.reset(stream, 77)
    agent.link.send(stream, b"never heard")
    await server.until(lambda: server.resets)

    assert server.resets == [(stream, 77)]
    assert server.received[stream] == b"begun"


async def test_a_stop_reaches_the_sender_and_ends_the_stream(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()
    agent.link.send(stream, b"begun")
    await server.until(lambda: server.received.get(stream))

    server.link.stop(stream, 5)
    await agent.until(lambda: agent.stops)
    agent.link.send(stream, b"ignored")
    await server.until(lambda: server.resets)

    assert agent.stops == [(stream, 5)]
    assert server.received[stream] == b"begun"


async def test_a_reset_of_one_stream_leaves_the_others_alone(pair: Pair) -> None:
    agent, server = pair
    doomed, lasting = agent.link.open_uni(), agent.link.open_uni()

    agent.link.send(doomed, b"x" * 300 * KIB)
    agent.link.send(lasting, b"y" * 300 * KIB, end=True)
    agent.link.reset(doomed)
    await server.until(lambda: lasting in server.ended)

    assert len(server.received[lasting]) == 300 * KIB


async def test_hundreds_of_streams_follow_each_other(pair: Pair) -> None:
    agent, server = pair

    for number in range(400):
        stream = agent.link.open_uni()
        agent.link.send(stream, b"%d" % number, end=True)
        await server.until(lambda: len(server.ended) > number)  # noqa: B023
    for _ in range(300):
        stream = agent.link.open_bidi()
        agent.link.send(stream, b"?", end=True)
        await server.until(lambda: stream in server.ended)  # noqa: B023
        server.link.send(stream, b"!", end=True)
        await agent.until(lambda: stream in agent.ended)  # noqa: B023

    assert len(server.ended) == 700


async def test_opening_too_many_is_refused_and_harms_nothing(pair: Pair) -> None:
    agent, server = pair
    for _ in range(5):
        opened = as_many_streams_as_allowed(agent)
        assert MAX_STREAMS - 1 <= len(opened) <= MAX_STREAMS

        for stream in opened:
            agent.link.send(stream, b"z", end=True)
        await server.until(lambda: set(opened) <= set(server.ended))  # noqa: B023
        await until_a_stream_can_be_opened(agent)

    assert agent.link.closing is None


def as_many_streams_as_allowed(end: End) -> list[int]:
    opened: list[int] = []
    while True:
        try:
            opened.append(end.link.open_uni())
        except StreamLimitReached:
            return opened


async def until_a_stream_can_be_opened(end: End) -> None:
    """The credit of ended streams comes back with the next packets."""
    for _ in range(1000):
        try:
            end.link.send(end.link.open_uni(), b"", end=True)
        except StreamLimitReached:
            await SystemClock().sleep(0.001)
        else:
            await SystemClock().sleep(0.02)
            return
    pytest.fail("no stream could be opened again")


async def test_a_sender_that_drains_keeps_little_in_memory(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()
    digest, seen = hashlib.sha256(), hashlib.sha256()
    server.on_data = lambda number, data, *, end: (  # type: ignore[method-assign]
        seen.update(data),
        server.ended.append(number) if end else None,
        server.changed.raise_(),
    )
    tracemalloc.start()

    for number in range(640):
        block = bytes([number % 251]) * 64 * KIB
        digest.update(block)
        await agent.link.drain(stream, at_most=256 * KIB)
        agent.link.send(stream, block)
    agent.link.send(stream, b"", end=True)
    await server.until(lambda: stream in server.ended)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seen.digest() == digest.digest()
    assert peak < 8 * MIB


async def test_backlog_counts_what_waits_and_falls_to_nothing(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()

    agent.link.send(stream, b"x" * 3 * MIB)
    waiting = agent.link.backlog(stream)
    await agent.link.drain(stream, at_most=0)
    await server.until(lambda: len(server.received.get(stream, b"")) == 3 * MIB)

    assert waiting > MIB
    assert agent.link.backlog(stream) == 0


async def test_control_overtakes_bulk(pair: Pair) -> None:
    agent, server = pair
    bulk = agent.link.open_uni()
    agent.link.send(bulk, b"x" * 8 * MIB)

    agent.link.send(0, b"order")
    await server.until(lambda: server.received.get(0) == b"order")
    ahead = len(server.received.get(bulk, b""))

    assert ahead < 6 * MIB


async def test_a_goodbye_carries_code_and_reason_to_the_other_side(pair: Pair) -> None:
    agent, server = pair

    server.link.close(CloseCode.REVOKED, "this agent was revoked")
    await agent.until(lambda: agent.closings)

    (closing,) = agent.closings
    assert (closing.kind, closing.code) == (CloseKind.PEER, CloseCode.REVOKED)
    assert closing.reason == "this agent was revoked"
    assert server.closings[0].kind is CloseKind.LOCAL


async def test_a_closed_link_says_so_to_whoever_uses_it(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()

    server.link.close(CloseCode.GOING_AWAY, "bye")
    await agent.until(lambda: agent.closings)

    for use in (
        agent.link.open_uni,
        agent.link.open_bidi,
        lambda: agent.link.send(stream, b"x"),
    ):
        with pytest.raises(LinkClosed) as closed:
            use()
        assert closed.value.closing.reason == "bye"
    with pytest.raises(LinkClosed):
        await agent.link.drain(stream, at_most=0)
    agent.link.reset(stream)
    agent.link.stop(stream)
    agent.link.close()
    assert len(agent.closings) == 1


async def test_both_ends_know_the_same_server_certificate(pair: Pair) -> None:
    agent, server = pair

    assert agent.link.server_leaf == server.link.server_leaf != b""


async def test_events_before_a_listener_are_kept_for_it(pair: Pair) -> None:
    agent, server = pair
    stream = agent.link.open_uni()
    server.link._mailbox._listener = None  # type: ignore[attr-defined]

    agent.link.send(stream, b"early", end=True)
    while not server.link._mailbox._kept:  # type: ignore[attr-defined]
        await SystemClock().sleep(0.001)
    server.link.attach(server)
    await server.until(lambda: stream in server.ended)

    assert server.received[stream] == b"early"
