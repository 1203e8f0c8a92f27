"""What was not acknowledged is sent again over the next link; nothing is sent twice as new."""

from boreas.agent import uploads
from boreas.testing.fake_gateway import an_order


async def test_reports_that_were_not_taken_are_sent_again(bench, gateway):
    gateway.acknowledges = False
    bench.start()
    await gateway.order(an_order(command="echo hi"))
    await gateway.until(lambda: "finished" in gateway.kinds())
    gateway.reports.clear()

    gateway.acknowledges = True
    bench.cut()
    report = await gateway.finished()

    assert report.outcome == "success"
    assert gateway.kinds() == ["started", "verb", "finished"]
    assert gateway.log_text() == "hi\n"


async def test_an_order_finished_without_a_link_is_reported_by_the_next(bench, gateway, tmp_path):
    bench.start()
    await gateway.order(an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"))
    await gateway.until(lambda: "verb" in gateway.kinds())

    bench.cut()
    (tmp_path / "go").touch()

    assert (await gateway.finished()).outcome == "success"


async def test_a_log_goes_on_at_the_durable_offset_over_many_cuts(bench, gateway):
    bench.start()
    slow = "for n in $(seq 1 400); do echo line $n; [ $((n % 20)) = 0 ] && sleep 0.05; done; true"
    await gateway.order(an_order(command=slow))

    for stored in (5, 100, 200, 300):
        await gateway.until(lambda: f"line {stored}\n" in gateway.log_text())  # noqa: B023
        bench.cut()
    await gateway.finished()

    assert gateway.log_text() == "".join(f"line {n}\n" for n in range(1, 401))


async def test_more_than_the_window_is_not_sent_before_it_is_stored(bench, gateway):
    gateway.acknowledges = False
    bench.start()
    await gateway.order(an_order(command="head -c 3000000 /dev/zero | tr '\\0' 'x' | fold -w 99"))
    await gateway.until(lambda: "finished" in gateway.kinds())
    await gateway.until(lambda: len(gateway.logs.get("dep_1.1#1", b"")) > 400_000)

    in_flight = len(gateway.logs["dep_1.1#1"])
    gateway.acknowledges = True
    bench.cut()
    await gateway.finished()

    assert in_flight <= 512 * 1024
    assert len(gateway.log_text().replace("\n", "")) == 3_000_000


async def test_the_inventory_names_what_is_not_settled(bench, gateway):
    gateway.acknowledges = False
    bench.start()
    await gateway.order(an_order(command="true"))
    await gateway.until(lambda: "finished" in gateway.kinds())

    bench.cut()
    await gateway.until(lambda: len(gateway.inventories) == 2)

    assert gateway.inventories[0].order_ids == ()
    assert gateway.inventories[1].order_ids == ("dep_1.1#1",)


async def test_a_busy_agent_leaves_a_silent_server_within_seconds(bench, gateway, tmp_path):
    bench.start()
    gateway.answers_heartbeats = False
    gateway.acknowledges = False

    await gateway.order(an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"))
    await gateway.until(lambda: len(gateway.inventories) == 2, at_most=9)

    gateway.answers_heartbeats = gateway.acknowledges = True
    (tmp_path / "go").touch()
    assert (await gateway.finished()).outcome == "success"


async def test_an_agent_with_unheard_news_dials_as_quickly_as_a_busy_one(bench, gateway):
    gateway.acknowledges = False
    bench.start()
    await gateway.order(an_order(command="true"))
    await gateway.until(lambda: "finished" in gateway.kinds())
    bench.refuse_dials = 4

    bench.cut()
    await gateway.until(lambda: len(gateway.inventories) == 2, at_most=5.5)

    assert bench.refuse_dials == 0


async def test_a_log_that_was_sent_but_never_stored_is_sent_again(bench, gateway, monkeypatch):
    monkeypatch.setattr(uploads, "STORED_WITHIN_SECONDS", 0.2)
    gateway.streams_to_lose = 2
    bench.start()

    await gateway.order(an_order(command="echo one; echo two"))

    await gateway.finished()
    assert gateway.log_text(stream=1) == "one\ntwo\n"
    await gateway.until(lambda: not list(bench.layout.orders.iterdir()))
