"""Which transport wins, and what an agent remembers of the way to its server."""

import asyncio
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.transport.dial import Dialled, Dialler, TransportMode, first_welcome
from boreas.transport.frames import Goodbye
from boreas.transport.handshake import Enrolling, Welcomed
from boreas.transport.identity import AgentVault
from boreas.transport.links import CloseCode, CloseKind, Closing, LinkClosed
from boreas.transport.memory import memory_pair
from boreas.transport.paths import FIRST_PENALTY, LONGEST_PENALTY, PathMemory
from boreas.transport.refusals import Refusal, ServerNotTrusted
from boreas.transport.session import Session

from .conftest import Place, a_hello, a_welcome

AUTO, TCP = TransportMode.AUTO, TransportMode.TCP


async def test_quic_is_taken_where_udp_works(place: Place, tmp_path: Path) -> None:
    dialled, _ = await place.enrol(tmp_path, AUTO)

    assert dialled.kind == "quic"


async def test_tcp_is_taken_soon_after_the_head_start_where_udp_is_swallowed(
    place: Place, tmp_path: Path
) -> None:
    place.reception.quic._transport.pause_reading()
    start = SystemClock().monotonic()

    dialled, _ = await place.enrol(tmp_path, AUTO)

    assert dialled.kind == "tcp"
    # Half a second after the head start; the rest is room for a busy test machine.
    assert 2.4 < SystemClock().monotonic() - start < 4.0


async def test_tcp_is_taken_at_once_where_the_udp_port_is_refused(
    place: Place, tmp_path: Path
) -> None:
    address = place.address
    place.reception.quic.close()
    await SystemClock().sleep(0.05)
    vault = AgentVault(tmp_path)
    credentials = Enrolling(token=place.token_for(address), csr_pem=vault.csr())
    start = SystemClock().monotonic()

    dialler = Dialler(hello=a_hello(), credentials=credentials, clock=SystemClock())
    dialled = await dialler.dial(address)

    assert dialled.kind == "tcp"
    assert SystemClock().monotonic() - start < 2.0, "the head start was waited for"


async def test_a_network_that_drops_quic_after_the_handshake_is_not_waited_for(
    place: Place, tmp_path: Path
) -> None:
    quic = place.reception.quic
    quic._on_link = lambda link: quic._transport.pause_reading()

    dialled, _ = await place.enrol(tmp_path, AUTO)

    assert dialled.kind == "tcp"


async def test_a_server_that_is_not_there_is_reported_as_such() -> None:
    dialler = Dialler(
        hello=a_hello(),
        credentials=None,
        clock=SystemClock(),
        head_start=0.2,  # type: ignore[arg-type]
    )

    with pytest.raises((OSError, LinkClosed)):
        await dialler.dial("127.0.0.1:1")


# --- the race alone -----------------------------------------------------------------------------


def a_session() -> Dialled:
    agent, _ = memory_pair()
    welcomed = Welcomed(welcome=a_welcome("agt_1"), certificate_der=None, ca=None)  # type: ignore[arg-type]
    return Dialled(session=Session(agent, is_server=False), welcomed=welcomed)


async def never() -> Dialled:
    await asyncio.Event().wait()
    raise AssertionError


def fails_with(error: Exception):
    async def attempt() -> Dialled:
        raise error

    return attempt


def gives(dialled: Dialled):
    async def attempt() -> Dialled:
        return dialled

    return attempt


BROKEN = LinkClosed(Closing(kind=CloseKind.IDLE))


async def test_the_second_is_not_even_tried_if_the_first_is_welcome() -> None:
    first = a_session()

    won = await first_welcome(gives(first), fails_with(AssertionError()), head_start=1)

    assert won is first


async def test_the_second_starts_at_once_when_the_first_has_failed() -> None:
    second = a_session()

    assert await first_welcome(fails_with(BROKEN), gives(second), head_start=1000) is second


async def test_the_first_may_still_win_after_the_second_has_failed() -> None:
    first, go = a_session(), asyncio.Event()

    async def late() -> Dialled:
        await go.wait()
        return first

    async def second() -> Dialled:
        go.set()
        raise BROKEN

    assert await first_welcome(late, second, head_start=0.01) is first


async def test_of_two_welcomes_at_once_one_is_closed() -> None:
    first, second, go = a_session(), a_session(), asyncio.Event()

    async def slow() -> Dialled:
        await go.wait()
        return first

    async def fast() -> Dialled:
        go.set()
        return second

    won = await first_welcome(slow, fast, head_start=0.01)

    lost = first if won is second else second
    await asyncio.sleep(0)  # noqa: TID251
    assert won.session.closing is None
    assert lost.session.closing is None or lost.session.closing.code == CloseCode.REPLACED


@pytest.mark.parametrize(
    "word", [Refusal("agent_revoked", "no"), ServerNotTrusted("another CA")], ids=["refusal", "pin"]
)
async def test_a_word_of_the_server_is_final(word: Exception) -> None:
    with pytest.raises(type(word)):
        await first_welcome(fails_with(word), fails_with(AssertionError()), head_start=1)


async def test_if_both_fail_the_servers_word_is_told_rather_than_the_broken_path() -> None:
    with pytest.raises(Refusal):
        await first_welcome(
            fails_with(BROKEN), fails_with(Refusal("token_used", "no")), head_start=0.01
        )


async def test_a_dial_that_is_given_up_leaves_nothing_behind() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await first_welcome(never, never, head_start=0.01)

    assert len(asyncio.all_tasks()) == 1


async def test_a_welcome_that_nobody_waits_for_any_more_is_closed() -> None:
    won, cleaned = a_session(), asyncio.Event()

    async def slow_to_leave() -> Dialled:
        try:
            return await never()
        finally:
            cleaned.set()
            await asyncio.sleep(0.05)  # noqa: TID251

    dialling = asyncio.ensure_future(first_welcome(slow_to_leave, gives(won), head_start=0.01))
    await cleaned.wait()
    dialling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert won.session.closing is not None


# --- the memory ---------------------------------------------------------------------------------


def test_one_death_of_silence_is_no_reason_to_leave_quic() -> None:
    memory = PathMemory().after_end("quic", CloseKind.IDLE, 1000.0)

    assert memory.mode(AUTO, 1001.0) is AUTO


def test_two_deaths_within_ten_minutes_mean_tcp_for_ten_minutes() -> None:
    memory = PathMemory().after_end("quic", CloseKind.IDLE, 1000.0)
    memory = memory.after_end("quic", CloseKind.IDLE, 1500.0)

    assert memory.mode(AUTO, 1501.0) is TCP
    assert memory.mode(AUTO, 1500.0 + FIRST_PENALTY) is AUTO
    assert memory.mode(TransportMode.QUIC, 1501.0) is TransportMode.QUIC


def test_two_deaths_far_apart_mean_nothing() -> None:
    memory = PathMemory().after_end("quic", CloseKind.IDLE, 1000.0)
    memory = memory.after_end("quic", CloseKind.IDLE, 1601.0)

    assert memory.mode(AUTO, 1602.0) is AUTO


def test_the_penalty_doubles_up_to_six_hours() -> None:
    memory, now, penalties = PathMemory(), 0.0, []
    for _ in range(8):
        for _ in range(2):
            now += 1
            memory = memory.after_end("quic", CloseKind.IDLE, now)
        penalties.append(memory.avoid_quic_until - now)
        now = memory.avoid_quic_until

    assert penalties[:3] == [600, 1200, 2400]
    assert penalties[-1] == LONGEST_PENALTY


def test_only_silence_on_quic_counts() -> None:
    memory = PathMemory()
    for transport, kind in (
        ("tcp", CloseKind.IDLE),
        ("quic", CloseKind.PEER),
        ("quic", CloseKind.REFUSED_PORT),
    ):
        for now in (1.0, 2.0):
            memory = memory.after_end(transport, kind, now)

    assert memory == PathMemory()


def test_an_agent_on_tcp_tries_to_get_back_when_the_penalty_is_over() -> None:
    memory = PathMemory(avoid_quic_until=1000.0)

    assert not memory.should_upgrade("tcp", AUTO, 999.0)
    assert memory.should_upgrade("tcp", AUTO, 1000.0)
    assert not memory.should_upgrade("quic", AUTO, 1000.0)
    assert not memory.should_upgrade("tcp", TCP, 1000.0)
    assert memory.after_proof() == PathMemory()


async def test_an_upgrade_is_made_before_the_old_link_is_broken(
    place: Place, tmp_path: Path
) -> None:
    slow, identity = await place.enrol(tmp_path, TCP)
    old = await place.arrived.get()

    fast = await place.dial(identity, TransportMode.QUIC)
    new = await place.arrived.get()
    slow.session.control.send(Goodbye(reason="found a better path", retry_after=0))

    assert (slow.kind, fast.kind) == ("tcp", "quic")
    assert await old.session.control.receive() == Goodbye(
        reason="found a better path", retry_after=0
    )
    assert old.hello.instance == new.hello.instance
