"""What commands leave in BOREAS_OUTPUT_DIR reaches the server; nothing else of the node does."""

import hashlib

from boreas.testing.fake_gateway import an_order
from boreas.transport.frames import FileOffer, FileTaken


async def test_output_files_reach_the_server_and_leave_the_node(bench, gateway):
    bench.start()
    make = "cd $BOREAS_OUTPUT_DIR; echo hello > report.txt; head -c 300000 /dev/zero > big.bin"

    await gateway.order(an_order(command=make))
    await gateway.until(lambda: len(gateway.files) == 2)

    assert gateway.files == {"report.txt": b"hello\n", "big.bin": bytes(300_000)}
    while bench.layout.order_dir("dep_1.1#1").exists():
        await bench.pause()


async def test_links_and_odd_names_are_not_followed(bench, gateway, tmp_path):
    (tmp_path / "secret").write_text("secret")
    bench.start()
    make = f"cd $BOREAS_OUTPUT_DIR; ln -s {tmp_path}/secret a; echo b > .hidden; echo c > good"

    await gateway.order(an_order(command=make))
    await gateway.until(lambda: gateway.files)

    assert gateway.files == {"good": b"c\n"}


async def test_files_wait_for_a_link(bench, gateway):
    bench.start()
    await gateway.until(lambda: gateway.session is not None)
    await gateway.order(an_order(command="sleep 0.3; echo late > $BOREAS_OUTPUT_DIR/late"))
    await gateway.until(lambda: "verb" in gateway.kinds())

    await bench.kill()
    bench.start()
    await gateway.until(lambda: gateway.files)

    assert gateway.files == {"late": b"late\n"}


async def test_a_file_that_is_refused_does_not_hold_up_the_rest(bench, gateway):
    bench.start()
    make = "cd $BOREAS_OUTPUT_DIR; head -c 2000000 /dev/zero > a-too-big; echo z > z"

    await gateway.order(an_order(command=make))
    await gateway.until(lambda: gateway.files)

    assert gateway.files == {"z": b"z\n"}
    assert "2000000 bytes are more than" in gateway.refused_files["a-too-big"]


async def test_a_file_that_nobody_asked_for_is_refused(bench, gateway):
    bench.start()
    await gateway.until(lambda: gateway.session is not None)
    offer = FileOffer(
        transfer_id="t", order_id="o", name="x", size=1, sha256=hashlib.sha256(b"x").digest()
    )

    stream = gateway.session.open_transfer(offer)
    answer = await stream.header()

    assert isinstance(answer, FileTaken)
    assert answer.reason == "this agent takes no file that it has not asked for"
