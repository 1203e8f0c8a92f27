"""From an order over the link to its reports and its log, with real bash."""

from boreas.logs.chunks import BOREAS, STDERR, STDOUT
from boreas.testing.fake_gateway import an_order


async def test_a_command_runs_and_its_exit_code_and_output_arrive(bench, gateway):
    bench.start()

    await gateway.order(an_order(command="echo out; echo err >&2; exit 3"))
    report = await gateway.finished()

    assert (report.outcome, report.exit_code) == ("failed", 3)
    assert report.reason == "the command ended with exit code 3"
    assert gateway.kinds() == ["started", "verb", "finished"]
    assert gateway.log_text(stream=STDOUT) == "out\n"
    assert gateway.log_text(stream=STDERR) == "err\n"


async def test_a_command_sees_a_clean_environment_with_the_orders_names(
    bench, gateway, monkeypatch
):
    monkeypatch.setenv("BOREAS_TOKEN", "secret")
    bench.start()

    await gateway.order(an_order(command="env | sort; pwd"))
    await gateway.finished()

    text = gateway.log_text()
    assert "BOREAS_PROJECT=shop" in text
    assert f"BOREAS_RELEASE_DIR={bench.layout.scope_dir('tgt_1/app_1')}" in text
    assert "secret" not in text


async def test_a_repeated_order_is_answered_and_not_run_again(bench, gateway, tmp_path):
    bench.start()
    body = an_order(command=f"echo x >> {tmp_path}/count")
    first = await gateway.order(body)
    await gateway.finished()

    gateway.reports.clear()
    await gateway.send(first)
    report = await gateway.finished(with_log=False)

    assert report.outcome == "success"
    assert (tmp_path / "count").read_text() == "x\n"


async def test_a_lower_fence_is_refused_with_the_reason(bench, gateway, tmp_path):
    bench.start()
    await gateway.order(an_order("dep_2.1#1", command="true"), fence=7)
    await gateway.finished("dep_2.1#1")

    await gateway.order(an_order("dep_1.1#1", command=f"touch {tmp_path}/no"), fence=6)
    report = await gateway.finished("dep_1.1#1")

    assert report.outcome == "refused"
    assert report.reason == "a newer deployment was here: fence 6 is lower than 7"
    assert not (tmp_path / "no").exists()


async def test_a_fence_is_remembered_over_a_restart(bench, gateway):
    bench.start()
    await gateway.order(an_order("dep_2.1#1", command="true"), fence=7)
    await gateway.finished("dep_2.1#1")
    await bench.kill()

    bench.start()
    await gateway.order(an_order("dep_1.1#1", command="true"), fence=6)

    assert (await gateway.finished("dep_1.1#1")).outcome == "refused"


async def test_orders_of_one_scope_run_one_after_another(bench, gateway, tmp_path):
    bench.start()
    for number in range(1, 4):
        command = (
            f"echo begin {number} >> {tmp_path}/a; sleep 0.1; echo end {number} >> {tmp_path}/a"
        )
        await gateway.order(an_order(f"dep_1.{number}#1", command=command))

    await gateway.finished("dep_1.3#1")

    lines = (tmp_path / "a").read_text().split("\n")
    assert lines[:6] == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]


async def test_orders_of_different_scopes_run_side_by_side(bench, gateway, tmp_path):
    bench.start()
    meet = "touch {0}/{1}; until [ -e {0}/{2} ]; do sleep 0.02; done"

    await gateway.order(an_order("o.1#1", command=meet.format(tmp_path, "a", "b")), scope="t/a")
    await gateway.order(an_order("o.2#1", command=meet.format(tmp_path, "b", "a")), scope="t/b")

    assert (await gateway.finished("o.1#1")).outcome == "success"
    assert (await gateway.finished("o.2#1")).outcome == "success"


async def test_an_order_that_cannot_be_read_is_refused(bench, gateway):
    bench.start()
    frame = await gateway.order(an_order(command="true"))
    await gateway.finished()

    await gateway.send(type(frame)(outbox_id=9, order_id="x#1", scope="s/a", fence=1, body=b"\xc1"))
    report = await gateway.finished("x#1")

    assert report.outcome == "refused"
    assert "cannot read the order" in report.reason


async def test_an_order_past_its_time_is_stopped_and_failed(bench, gateway):
    bench.start()

    await gateway.order(an_order(command="sleep 60", timeout_seconds=0.3))
    report = await gateway.finished()

    assert report.outcome == "failed"
    assert report.reason == "took longer than 0.3 s and was stopped"
    assert "took longer" in gateway.log_text(stream=BOREAS)


async def test_a_missing_program_says_so_in_the_log(bench, gateway):
    bench.start()

    await gateway.order(an_order(command="exec /no/such/program"))

    assert (await gateway.finished()).exit_code == 127
    assert "/no/such/program" in gateway.log_text()


async def test_all_of_a_long_output_arrives_exactly_once_and_in_order(bench, gateway):
    bench.start()

    await gateway.order(an_order(command="seq 1 200000"))
    await gateway.finished()

    assert gateway.log_text() == "".join(f"{n}\n" for n in range(1, 200_001))


async def test_a_settled_order_leaves_nothing_behind_but_the_answer(bench, gateway):
    bench.start()
    await gateway.order(an_order(command="echo hi"))
    await gateway.finished()
    await gateway.order(an_order("dep_1.2#1", command="true"))
    await gateway.finished("dep_1.2#1")

    assert not bench.layout.order_dir("dep_1.1#1").exists()


async def test_a_daemon_that_keeps_the_output_open_lives_on_and_the_order_ends(bench, gateway):
    bench.start()
    daemon = "(while echo tick; do sleep 0.05; done) & echo $!"

    await gateway.order(an_order(command=daemon))
    report = await gateway.finished()

    pid = next(int(line) for line in gateway.log_text().split("\n") if line.isdigit())
    assert report.outcome == "success"
    await gateway.order(an_order("o#2", command=f"sleep 0.3; kill -0 {pid} && kill {pid}"))
    assert (await gateway.finished("o#2")).outcome == "success"
