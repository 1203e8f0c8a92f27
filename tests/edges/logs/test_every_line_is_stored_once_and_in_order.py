"""The promise to the agent: whatever is sent again, cut off or killed, each line is there once."""

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boreas.domain.errors import NoSpace
from boreas.logs.chunks import (
    CONTINUES,
    FORCED,
    MAX_PAYLOAD,
    STDERR,
    STDOUT,
    BadChunk,
    OutputSplitter,
    decode,
)
from boreas.logs.lines import SPLIT_MARK
from boreas.logs.openlog import LogGap

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECES = st.sampled_from([b"a", b"bc\n", b"\n", b"d\ne\nf", b"g" * 300, b"\xff\n", b"h" * 30_000])
READS = st.lists(st.tuples(PIECES, st.booleans()), max_size=10)


def chunk_stream(reads, start):
    splitter, encoded = OutputSplitter(STDOUT), b""
    for read, idle in reads:
        encoded += splitter.feed(read, start)
        if idle:
            encoded += splitter.flush_idle(start)
    return encoded + splitter.end(start)


def lines_of(reads):
    raw = b"".join(read for read, _ in reads)
    lines = raw.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    shown = []
    for line in lines:
        while len(line) > MAX_PAYLOAD:
            shown.append(f"{line[:MAX_PAYLOAD].decode(errors='backslashreplace')} {SPLIT_MARK}")
            line = line[MAX_PAYLOAD:]
        shown.append(line.decode(errors="backslashreplace"))
    return shown


def borders(encoded):
    ends = [0]
    for chunk in decode(encoded):
        ends.append(ends[-1] + chunk.size)
    return ends


@given(READS, READS, st.data())
@SETTINGS
async def test_two_orders_interleaved_and_sent_again_and_again(new_bench, one, two, data):
    bench = new_bench()
    orders = {"d1.1#1": one, "d1.2#1": two}
    streams = {order: chunk_stream(reads, bench.start) for order, reads in orders.items()}
    left = list(streams)
    while left:
        order = data.draw(st.sampled_from(left))
        encoded, have = streams[order], bench.store.offset_of("d1", "t1", order)
        begin = data.draw(st.sampled_from([b for b in borders(encoded) if b <= have]))
        end = data.draw(st.integers(begin, len(encoded)) | st.just(len(encoded)))
        stored = bench.store.append(bench.source(order), begin, encoded[begin:end])
        assert stored in borders(encoded)
        if stored == len(encoded):
            left.remove(order)
        if data.draw(st.booleans()):
            bench.reopen()

    page = await bench.page(tail=10_000)

    assert [line.seq for line in page.lines] == list(range(1, len(page.lines) + 1))
    for order, reads in orders.items():
        execution = order.partition("#")[0]
        mine = [line.message for line in page.lines if line.execution_id == execution]
        assert mine == lines_of(reads)


@given(READS, st.data())
@SETTINGS
async def test_a_file_cut_at_any_byte_is_mended_and_completed(new_bench, reads, data):
    bench = new_bench()
    encoded = chunk_stream(reads, bench.start)
    bench.write("before", order="d1.9#1")
    for begin, end in zip(borders(encoded), borders(encoded)[1:], strict=False):
        bench.store.append(bench.source(), begin, encoded[begin:end])
        if data.draw(st.booleans()):
            await bench.store.flush()
    path = bench.log_file()
    cut = data.draw(st.integers(0, path.stat().st_size))
    os.truncate(path, cut)

    store = bench.reopen()
    again = store.offset_of("d1", "t1", "d1.1#1")
    assert again in borders(encoded)
    store.append(bench.source(), again, encoded[again:])

    mine = [x.message for x in (await bench.page(tail=999)).lines if x.execution_id == "d1.1"]
    assert mine == lines_of(reads)


async def test_garbage_at_the_end_is_cut_off(bench):
    bench.write("one", "two")
    with bench.log_file().open("ab") as file:
        file.write(os.urandom(500))

    bench.reopen()
    bench.write("three")

    assert await bench.messages() == ["one", "two", "three"]


async def test_a_flipped_bit_ends_what_is_believed(bench):
    bench.write("one")
    good = bench.log_file().stat().st_size
    bench.write("two")
    content = bytearray(bench.log_file().read_bytes())
    content[good + 45] ^= 1
    bench.log_file().write_bytes(content)

    bench.reopen()

    assert await bench.messages() == ["one"]


async def test_a_gap_is_refused_and_says_what_is_expected(bench):
    stored = bench.write("one")

    with pytest.raises(LogGap) as refused:
        bench.store.append(bench.source(), stored + 7, bench.chunk(b"two\n"))

    assert refused.value.parameters["expected"] == stored
    assert await bench.messages() == ["one"]


async def test_what_is_lost_for_good_is_said_in_the_log(bench):
    stored = bench.write("one")
    bench.store.skip_to(bench.source(), stored + 100)
    bench.sent[bench.source()] = stored + 100

    bench.write("two")

    lost = "[100 bytes of this log were lost before they arrived]"
    assert await bench.messages() == ["one", lost, "two"]


async def test_bytes_that_are_no_chunks_store_nothing(bench):
    with pytest.raises(BadChunk):
        bench.append(bench.chunk(b"good\n") + b"\xff" * 20)

    assert await bench.messages() == []


async def test_an_unfinished_chunk_waits_for_its_rest(bench):
    whole, torn = bench.chunk(b"one\n"), bench.chunk(b"two\n")

    assert bench.append(whole + torn[:-2]) == len(whole)
    assert bench.append(torn) == len(whole + torn)
    assert await bench.messages() == ["one", "two"]


async def test_pieces_of_a_line_become_one_line_whatever_comes_between(bench):
    bench.append(bench.chunk(b"Compiling... ", flags=CONTINUES))
    bench.append(bench.chunk(b"warned\n", stream=STDERR))
    bench.write("elsewhere", order="d1.2#1")
    bench.reopen()
    bench.append(bench.chunk(b"done\nnext\n"))

    assert await bench.messages() == ["warned", "elsewhere", "Compiling... done", "next"]


async def test_pieces_before_the_newest_index_entry_are_found_again(bench):
    bench.append(bench.chunk(b"Begun long ago, ", flags=CONTINUES))
    for _ in range(9):
        bench.append(bench.chunk(b"x" * 65_000 + b"\n"), order="d1.2#1")
        await bench.store.flush()
    bench.reopen()

    bench.append(bench.chunk(b"ended now\n"))

    assert (await bench.messages())[-1] == "Begun long ago, ended now"


async def test_pieces_that_grow_without_end_are_cut_on_the_server_too(bench):
    for _ in range(3):
        bench.append(bench.chunk(b"z" * 40_000, flags=CONTINUES))
    bench.append(bench.chunk(b"\n"))

    lengths = [len(message) for message in await bench.messages()]

    assert lengths == [40_000 + 1 + len(SPLIT_MARK)] * 2 + [40_000]


async def test_a_cut_line_shows_where_it_was_cut(bench):
    bench.append(bench.chunk(b"x" * MAX_PAYLOAD, flags=CONTINUES | FORCED) + bench.chunk(b"y\n"))

    first, second = await bench.messages()

    assert first == "x" * MAX_PAYLOAD + " [line split at 65536 bytes]"
    assert second == "y"


async def test_a_clock_that_is_ahead_does_not_pull_lines_into_the_future(bench):
    bench.write("from tomorrow", at=86_400_000_000)

    (line,) = (await bench.page(tail=1)).lines

    assert line.timestamp == "2026-01-01T00:00:00.000Z"


async def test_a_full_disk_is_said_and_leaves_the_log_readable(bench, monkeypatch):
    bench.write("one")
    real = os.pwrite

    def half_then_full(fd, content, place):
        if len(content) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, content[: len(content) // 2], place)

    monkeypatch.setattr("boreas.logs.disk.os.pwrite", half_then_full)
    with pytest.raises(NoSpace, match="disk is full"):
        bench.write("two" * 50)
    assert await bench.messages() == ["one"]

    monkeypatch.undo()
    bench.write("three")
    bench.reopen()
    assert await bench.messages() == ["one", "three"]


async def test_a_sync_that_fails_takes_back_what_was_not_durable(bench, monkeypatch):
    bench.write("one")
    await bench.store.flush()
    durable = bench.sent[bench.source()]
    bench.write("two")

    def refuse(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("boreas.logs.openlog.os.fsync", refuse)
    with pytest.raises(NoSpace, match="Input/output error"):
        await bench.store.flush()
    monkeypatch.undo()

    assert bench.store.offset_of("d1", "t1", "d1.1#1") == durable
    bench.store.append(bench.source(), durable, bench.chunk(b"two\n"))
    await bench.store.flush()
    assert await bench.messages() == ["one", "two"]


async def test_ids_may_be_any_text_and_stay_apart_inside_the_directory(bench):
    ids = ["..", "../../etc/passwd", "a/b", "a%2fb", "", ".", "a b", "部署", "x" * 400, "x" * 401]
    for number, name in enumerate(ids):
        bench.write(str(number), deployment=name, task=name)
    bench.reopen()

    for number, name in enumerate(ids):
        assert await bench.messages(deployment=name, task=name) == [str(number)]
    inside = [p for p in bench.directory.rglob("*.log") if p.parent.parent == bench.directory]
    assert len(inside) == len(ids)
