"""Asked for, then done: `cancelled` is said only when nothing of the order is left."""

from pathlib import Path

from boreas.testing.fake_gateway import an_order


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_in(text: str) -> list[int]:
    return [int(line) for line in text.split() if line.isdigit()]


async def test_a_cancel_kills_the_whole_tree_and_those_who_left_it(bench, gateway):
    bench.start()
    stubborn = "trap '' TERM; echo $$; while :; do sleep 0.1; done"
    command = f"""
        setsid bash -c "{stubborn}" &
        (setsid setsid bash -c "{stubborn}" &)
        bash -c "{stubborn}" &
        echo $$; wait
    """.replace("$$;", "\\$\\$;").replace("echo \\$\\$; wait", "echo $$; wait")
    await gateway.order(an_order(command=command))
    await gateway.until(lambda: len(pids_in(gateway.log_text())) == 4)
    pids = pids_in(gateway.log_text())

    await gateway.cancel("dep_1.1#1", grace_seconds=0.3)
    await gateway.until(lambda: "finished" in gateway.kinds())

    assert not any(is_alive(pid) for pid in pids)
    report = await gateway.finished()
    assert (report.outcome, report.reason) == ("cancelled", "stopped by ada")
    assert "Stopped: stopped by ada" in gateway.log_text()


async def test_a_command_that_obeys_term_may_clean_up(bench, gateway, tmp_path):
    bench.start()
    trap = f"trap 'echo tidied; touch {tmp_path}/tidy; exit 0' TERM"
    tidy = f"{trap}; echo up; while :; do sleep 0.02; done"
    await gateway.order(an_order(command=tidy))
    await gateway.until(lambda: "up" in gateway.log_text())

    await gateway.cancel("dep_1.1#1", grace_seconds=10)
    report = await gateway.finished()

    assert report.outcome == "cancelled"
    assert (tmp_path / "tidy").exists()
    assert "tidied" in gateway.log_text()


async def test_a_waiting_order_is_cancelled_without_having_begun(bench, gateway, tmp_path):
    bench.start()
    await gateway.order(an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"))
    await gateway.order(an_order("o#2", command=f"touch {tmp_path}/no"))
    await gateway.cancel("o#2")
    report = await gateway.finished("o#2")

    (tmp_path / "go").touch()
    await gateway.finished()

    assert report.outcome == "cancelled"
    assert gateway.kinds("o#2") == ["finished"]
    assert not (tmp_path / "no").exists()


async def test_a_cancel_of_a_finished_order_is_answered_with_how_it_ended(bench, gateway):
    bench.start()
    await gateway.order(an_order(command="true"))
    await gateway.finished()
    gateway.reports.clear()

    await gateway.cancel("dep_1.1#1")

    assert (await gateway.finished(with_log=False)).outcome == "success"


async def test_a_cancel_that_comes_before_its_order_holds(bench, gateway, tmp_path):
    bench.start()
    await gateway.cancel("dep_1.1#1")
    await gateway.until(lambda: gateway.taken == [1])

    await gateway.order(an_order(command=f"touch {tmp_path}/no"))
    report = await gateway.finished()

    assert report.outcome == "cancelled"
    assert not (tmp_path / "no").exists()


async def test_a_cancel_is_carried_on_by_the_next_agent(bench, gateway):
    bench.start()
    stubborn = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
    await gateway.order(an_order(command=stubborn))
    await gateway.until(lambda: pids_in(gateway.log_text()))
    await gateway.cancel("dep_1.1#1", grace_seconds=1)
    await gateway.until(lambda: len(gateway.taken) == 2)
    await bench.kill()

    bench.start()
    report = await gateway.finished()

    assert report.outcome == "cancelled"
    assert not is_alive(pids_in(gateway.log_text())[0])
