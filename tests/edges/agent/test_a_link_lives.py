"""Heartbeats, probes of the path, goodbyes: the life of a link beside its orders."""

from boreas.agent.uplink import KnownServers
from boreas.testing.fake_gateway import an_order
from boreas.transport.frames import Goodbye, Padding


async def test_an_agent_beats_at_once_and_says_when_it_becomes_busy(bench, gateway, tmp_path):
    bench.start()
    await gateway.until(lambda: gateway.heartbeats)
    await gateway.order(an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"))

    await gateway.until(lambda: gateway.heartbeats[-1].busy, at_most=1)

    assert not gateway.heartbeats[0].busy
    (tmp_path / "go").touch()
    await gateway.until(lambda: not gateway.heartbeats[-1].busy, at_most=5)


async def test_between_two_orders_an_agent_beats_as_often_as_during_one(bench, gateway):
    bench.start()
    await gateway.order(an_order(command="true"))
    await gateway.finished()
    await gateway.until(lambda: not gateway.heartbeats[-1].busy, at_most=5)
    known = len(gateway.heartbeats)

    # One that has been idle for long rests for 12 seconds and more.
    await gateway.until(lambda: len(gateway.heartbeats) >= known + 2, at_most=8)


async def test_facts_come_right_after_the_welcome_and_again_on_a_new_link(bench, gateway):
    bench.start()
    await gateway.until(lambda: any(beat.facts for beat in gateway.heartbeats), at_most=5)
    gateway.heartbeats.clear()

    bench.cut()

    await gateway.until(lambda: any(beat.facts for beat in gateway.heartbeats), at_most=5)


async def test_a_path_is_proven_by_a_full_packet_and_three_answers(bench, gateway, tmp_path):
    bench.start()

    await gateway.order(an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"))
    await gateway.until(lambda: len(gateway.heartbeats) >= 5)

    assert bench.proofs == 1
    (tmp_path / "go").touch()
    await gateway.finished()


async def test_a_probe_of_the_server_is_answered(bench, gateway):
    bench.start()
    await gateway.until(lambda: gateway.session is not None)

    await gateway.send(Padding(bytes_=b"are you there", echo=True))

    await gateway.until(lambda: b"are you there" in gateway.echoes)


async def test_after_a_goodbye_the_agent_comes_back(bench, gateway):
    bench.start()
    await gateway.until(lambda: gateway.session is not None)

    await gateway.send(Goodbye(reason="restart", retry_after=0.1))

    await gateway.until(lambda: len(gateway.inventories) == 2, at_most=10)


def test_every_server_ever_told_is_tried_in_turn(tmp_path):
    servers = KnownServers(("a:1",), tmp_path / "servers.json")
    servers.told(("b:1", "a:1"))

    again = KnownServers(("a:1",), tmp_path / "servers.json")

    assert [again.next() for _ in range(4)] == ["a:1", "b:1", "a:1", "b:1"]


def test_a_server_that_was_good_is_tried_first_again(tmp_path):
    servers = KnownServers(("a:1", "b:1"), tmp_path / "servers.json")
    servers.next()
    assert servers.next() == "b:1"

    servers.stay()

    assert servers.next() == "b:1"


def test_a_damaged_list_of_servers_is_forgotten(tmp_path):
    (tmp_path / "servers.json").write_text("{broken")

    assert KnownServers(("a:1",), tmp_path / "servers.json").all() == ("a:1",)
