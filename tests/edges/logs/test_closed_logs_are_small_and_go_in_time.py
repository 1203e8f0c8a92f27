"""Closing, late bytes, retention."""

import errno
import os
from datetime import timedelta

import pytest

from boreas.domain.errors import NoSpace
from boreas.logs.closedlog import LogUnreadable


def fill(bench, **source):
    for number in range(40):
        bench.write(*(f"line {number}.{n} of a build that says much" for n in range(200)), **source)


async def test_a_closed_log_reads_the_same_and_is_much_smaller(bench):
    fill(bench)
    before = await bench.page(tail=10_000)
    size = bench.log_file().stat().st_size

    await bench.store.close("d1", "t1")

    assert await bench.page(tail=10_000) == before
    assert (await bench.page(after=100, limit=2)).lines == before.lines[100:102]
    assert bench.log_file(".logz").stat().st_size < size / 4
    assert sorted(path.suffix for path in bench.directory.glob("d1/*")) == [".logz"]
    bench.reopen()
    assert await bench.page(tail=10_000) == before


async def test_bytes_that_come_again_after_closing_change_nothing(bench):
    first = bench.chunk(b"one\n")
    stored = bench.append(first)
    await bench.store.close("d1", "t1")

    assert bench.store.append(bench.source(), 0, first) == stored

    assert bench.log_file(".logz").exists()


async def test_bytes_that_come_late_open_the_log_again(bench):
    bench.write("one")
    await bench.store.close("d1", "t1")

    bench.write("two")

    assert await bench.messages() == ["one", "two"]
    assert bench.store.open_logs() == (("d1", "t1"),)
    await bench.store.close("d1", "t1")
    assert await bench.messages() == ["one", "two"]
    assert bench.store.open_logs() == ()


async def test_a_crash_between_the_two_steps_of_closing_loses_nothing(bench):
    bench.write("one")
    content = bench.log_file().read_bytes()
    path = bench.log_file()
    await bench.store.close("d1", "t1")
    path.write_bytes(content)

    bench.reopen()
    bench.write("two")

    assert await bench.messages() == ["one", "two"]
    assert bench.store.open_logs() == (("d1", "t1"),)


async def test_lines_that_arrive_while_the_log_is_compressed_are_kept(bench, monkeypatch):
    bench.write("one")
    real = bench.store._search

    async def search_while_a_line_arrives(work):
        answer = await real(work)
        monkeypatch.undo()
        bench.write("two")
        return answer

    monkeypatch.setattr(bench.store, "_search", search_while_a_line_arrives)
    await bench.store.close("d1", "t1")

    assert await bench.messages() == ["one", "two"]


async def test_a_full_disk_while_closing_leaves_the_open_log(bench, monkeypatch):
    bench.write("one")

    def refuse(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("boreas.logs.closedlog.os.fsync", refuse)
    with pytest.raises(NoSpace):
        await bench.store.close("d1", "t1")
    monkeypatch.undo()

    assert await bench.messages() == ["one"]
    bench.write("two")
    assert await bench.messages() == ["one", "two"]


async def test_a_damaged_closed_log_is_said_to_be_damaged(bench):
    bench.write("one")
    await bench.store.close("d1", "t1")
    os.truncate(bench.log_file(".logz"), 30)
    bench.reopen()

    with pytest.raises(LogUnreadable):
        await bench.page(tail=1)


async def test_closing_what_never_said_a_word_is_no_mistake(bench):
    await bench.store.close("d1", "t1")

    assert await bench.messages() == []


async def test_closed_logs_go_by_age_and_by_size_and_open_ones_never(bench):
    for task in ("old", "middle", "young"):
        fill(bench, task=task, order=f"{task}.1#1")
        await bench.store.close("d1", task)
        await bench.clock.advance(86_400)
    bench.write("still open", task="open", order="open.1#1")
    before = await bench.store.usage()

    by_age, _ = await bench.store.prune(max_age=timedelta(days=2, hours=12))
    after_age = await bench.store.usage()
    one = after_age.open_bytes + after_age.closed_bytes - 1
    by_size, freed = await bench.store.prune(max_bytes=one)

    assert (before.open_logs, before.closed_logs) == (1, 3)
    assert (by_age, by_size) == (1, 1)
    assert freed > 0
    assert await bench.messages(task="old") == []
    assert await bench.messages(task="middle") == []
    assert len(await bench.messages(task="young")) == 8_000
    await bench.store.prune(max_age=timedelta(0), max_bytes=0)
    assert await bench.messages(task="open") == ["still open"]


async def test_more_logs_than_a_process_may_have_files(bench):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(400):
        bench.write("here", task=f"t{number}", order=f"d1.{number}#1")
        if number % 50 == 0:
            await bench.store.flush()
    await bench.store.flush()

    assert len(os.listdir("/proc/self/fd")) - before < 300
    assert await bench.messages(task="t3") == ["here"]
    assert await bench.messages(task="t399") == ["here"]
