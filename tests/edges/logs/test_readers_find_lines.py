"""Pages, filters, live reading, downloads, and all tasks in one."""

import asyncio
import json
import os
from contextlib import aclosing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boreas.domain.errors import InvalidInput
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint
from boreas.logs.chunks import CONTINUES, STDERR
from boreas.logs.lines import Level, level_of, may_hold
from boreas.logs.merging import Cursor
from boreas.logs.pages import Window
from boreas.logs.reader import Mark
from boreas.logs.reading import Query

SETTINGS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = st.sampled_from(["ok", "ERROR here", "WARN there", "DEBUG", "Needle", "部署完成", "é"])
QUERIES = st.builds(
    Query,
    level=st.sampled_from(Level),
    text=st.sampled_from(["", "needle", "ERR", "部署", "É", "\\xff"]),
    target=st.sampled_from([None, "web-1", "web-2"]),
)


async def walk(bench, query, *, limit, forwards):
    """All lines of a log by turning pages in one direction."""
    turned, mark = [], {"after": 0} if forwards else {}
    while True:
        page = await bench.page(query, limit=limit, **mark)
        turned = turned + list(page.lines) if forwards else list(page.lines) + turned
        if not (page.has_newer if forwards else page.has_older):
            return turned
        mark = {"after": page.lines[-1].seq} if forwards else {"before": page.lines[0].seq}


@given(st.lists(st.tuples(WORDS, st.booleans()), max_size=40), QUERIES, st.integers(1, 7))
@SETTINGS
async def test_pages_forwards_and_backwards_and_the_whole_agree(new_bench, said, query, limit):
    bench = new_bench()
    for word, first in said:
        order, target = ("d1.1#1", "web-1") if first else ("d1.2#1", "web-2")
        bench.write(word, word + "!", order=order, target=target)
        bench.append(bench.chunk(b"\xff\n"), order=order, target=target)
    everything = (await bench.page(tail=10_000)).lines
    wanted = [
        line
        for line in everything
        if line.level >= query.level
        and query.text.lower() in line.message.lower()
        and query.target in (None, line.target)
    ]

    for closed in (False, True):
        if closed:
            await bench.store.close("d1", "t1")
        assert await walk(bench, query, limit=limit, forwards=True) == wanted
        assert await walk(bench, query, limit=limit, forwards=False) == wanted


async def test_a_tail_of_a_long_log_reads_only_its_end(bench, monkeypatch):
    block = b"".join(b"%0119d\n" % n for n in range(500))
    for _ in range(200):
        bench.append(bench.chunk(block))
    await bench.store.flush()
    size = bench.log_file().stat().st_size
    bench.reopen()
    read, real = [], os.pread

    def counting(fd, length, place):
        read.append(length)
        return real(fd, length, place)

    monkeypatch.setattr("boreas.logs.openlog.os.pread", counting)
    page = await bench.page(tail=10)

    assert [line.seq for line in page.lines] == list(range(99_991, 100_001))
    assert size > 12_000_000
    assert sum(n for n in read if n < 4_000_000) < 1_000_000
    middle = await bench.page(limit=3, before=50_001)
    assert [int(line.message) for line in middle.lines] == [497, 498, 499]


async def test_a_line_has_the_agreed_shape(bench):
    bench.append(bench.chunk(b"\x1b[31mred\x1b[0m \x00 \xff ERROR\r\n", stream=STDERR))

    (line,) = (await bench.page(tail=1)).lines

    assert json.loads(json.dumps(line.as_json())) == {
        "timestamp": "2025-12-31T23:00:00.000Z",
        "level": "error",
        "message": "\x1b[31mred\x1b[0m \x00 \\xff ERROR",
        "seq": 1,
        "stream": "stderr",
        "target": "web-1",
        "executionId": "d1.1",
    }


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (b"all good", Level.INFO),
        (b"gcc: error: no input", Level.ERROR),
        (b"FATAL", Level.ERROR),
        (b"WARNING: old", Level.WARN),
        (b"DEBUG x", Level.DEBUG),
        (b"DEBUG an ERROR", Level.ERROR),
    ],
)
def test_the_text_tells_the_level(line, level):
    assert level_of(line) is level
    assert all(may_hold(line, least) for least in Level if least <= level)


@pytest.mark.parametrize(
    "asked", [{"tail": 1, "before": 2}, {"limit": -1}, {"tail": 1, "limit": 1}]
)
def test_contradicting_parameters_are_refused(asked):
    with pytest.raises(InvalidInput):
        Window.asked(**asked)


async def test_a_follower_sees_what_was_and_what_comes_until_the_log_is_closed(bench):
    bench.write("one", "two")
    seen, grown = [], Hint()

    async def follow():
        async with aclosing(bench.store.follow("d1", "t1", after=1)) as batches:
            async for batch in batches:
                seen.extend(line.message for line in batch)
                grown.raise_()

    async def until_seen(message):
        while message not in seen:
            assert await grown.wait(at_most=5)

    async with TaskGroup("test") as tasks:
        following = tasks.start(follow, name="follow")
        await until_seen("two")
        for number in range(1_200):
            bench.write(f"line {number}")
        await until_seen("line 1199")
        bench.append(bench.chunk(b"no end", flags=CONTINUES))
        await bench.store.close("d1", "t1")
        await asyncio.wait_for(following, 5)

    assert seen == ["two", *(f"line {n}" for n in range(1_200)), "no end"]


async def test_a_batch_of_long_lines_is_of_few_lines(bench):
    for number in range(20):
        bench.write(f"{number} ".ljust(40_000, "x"))
    await bench.store.close("d1", "t1")

    async with aclosing(bench.store.follow("d1", "t1")) as batches:
        seen = [[line.seq for line in batch] async for batch in batches]

    assert max(len(batch) for batch in seen) == 4
    assert [seq for batch in seen for seq in batch] == list(range(1, 21))


async def test_a_follower_has_come_as_far_as_its_reader_took_lines(bench):
    for number in range(600):
        bench.write(f"line {number}")
    mark = Mark()

    async with aclosing(bench.store.follow("d1", "t1", mark=mark)) as batches:
        assert len(await anext(batches)) == 500
        assert mark.seq == 0
        assert len(await anext(batches)) == 100
        assert mark.seq == 500

    assert bench.store.last_seq("d1", "t1") == 600


async def test_a_follower_may_come_before_the_first_line(bench):
    async with aclosing(bench.store.follow("d1", "t1")) as batches, TaskGroup("test") as tasks:
        first = tasks.start(lambda: anext(batches), name="first")
        await asyncio.wait([first], timeout=0)
        bench.write("one")
        assert [line.message for line in await asyncio.wait_for(first, 5)] == ["one"]


async def test_a_prompt_can_be_shown_before_its_line_ends(bench):
    bench.append(bench.chunk(b"Password: ", flags=CONTINUES))

    (prompt,) = bench.store.unfinished("d1", "t1")

    assert prompt.as_json()["partial"] is True
    assert (prompt.message, prompt.seq) == ("Password: ", 0)
    bench.append(bench.chunk(b"\n"))
    assert bench.store.unfinished("d1", "t1") == ()
    assert await bench.messages() == ["Password: "]


async def test_a_download_has_the_very_bytes(bench):
    raw = b"\x1b[1mbold\x1b[0m\r\n\xff\x00\n" + b"many\n" * 12_000
    bench.append(bench.split(raw))

    blocks = [block async for block in bench.store.download("d1", "t1")]

    assert b"".join(blocks) == raw
    assert len(blocks) > 1


async def test_a_download_can_say_when_and_where(bench):
    bench.write("WARN hot")

    (block,) = [block async for block in bench.store.download("d1", "t1", prefixed=True)]

    assert block == b"2025-12-31T23:00:00.000Z web-1 stdout warn WARN hot\n"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30), st.data())
@SETTINGS
async def test_all_tasks_of_a_deployment_are_merged_by_time(new_bench, said, data):
    bench = new_bench()
    for number, (task, at) in enumerate(said):
        bench.write(str(number), task=task, order=f"d1.{task}#1", at=at)
        if data.draw(st.booleans()):
            await bench.store.close("d1", task)
            bench.sent.clear()
            bench.sent = {
                bench.source(f"d1.{t}#1", t): bench.store.offset_of("d1", t, f"d1.{t}#1")
                for t in "abc"
            }

    whole = await bench.store.deployment_page("d1", limit=100)
    paged, before = [], None
    while page := await bench.store.deployment_page("d1", limit=4, before=before):
        paged = [*page, *paged]
        before = Cursor.parsed(str(page[0].cursor))
    ahead, after = [], Cursor(0, "", 0)
    while page := await bench.store.deployment_page("d1", limit=4, after=after):
        ahead += page
        after = page[-1].cursor

    assert list(whole) == paged == ahead
    assert len(whole) == len(said)
    moments = [merged.line.moment for merged in whole]
    assert moments == sorted(moments)
    for task in "abc":
        mine = [int(m.line.message) for m in whole if m.task == task]
        assert mine == sorted(mine)
