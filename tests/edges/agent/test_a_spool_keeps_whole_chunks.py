"""The spool file under several writers, torn tails, full disks and punched holes."""

import errno
import os
import resource

import pytest

from boreas.agent import spoolfile
from boreas.agent.spoolfile import SpoolFile
from boreas.agent.uploads import _give_back
from boreas.logs.chunks import BOREAS, STDOUT, Chunk, decode, encode


def a_chunk(text: str = "hello\n", stream: int = STDOUT) -> bytes:
    return encode(Chunk(micros=1, stream=stream, flags=0, payload=text.encode()))


def text_of(block: bytes) -> str:
    return b"".join(chunk.payload for chunk in decode(block)).decode()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "spool")


def test_two_writers_share_a_spool(path):
    one, two = SpoolFile(path), SpoolFile(path)

    one.append(a_chunk("1\n"))
    two.append(a_chunk("2\n"))
    one.append(a_chunk("3\n"))

    assert text_of(two.read_block(0, at_most=65536)) == "1\n2\n3\n"


@pytest.mark.parametrize("torn_at", range(1, 20))
def test_a_torn_tail_is_cut_by_the_next_writer(path, torn_at):
    one, two = SpoolFile(path), SpoolFile(path)
    one.append(a_chunk("1\n"))
    border = one.size()
    os.truncate(path, border)
    with open(path, "ab") as dying_writer:
        dying_writer.write(a_chunk("never whole")[:torn_at])

    two.append(a_chunk("2\n"))

    assert text_of(one.read_block(0, at_most=65536)) == "1\n2\n"
    assert one.size() == 2 * border


def test_zeros_after_a_power_cut_are_cut_away(path):
    one = SpoolFile(path)
    one.append(a_chunk("1\n"))
    os.truncate(path, 5000)

    late = SpoolFile(path)
    late.append(a_chunk("2\n"))

    assert text_of(late.read_block(0, at_most=65536)) == "1\n2\n"


def test_a_block_holds_whole_chunks_only(path):
    spool = SpoolFile(path)
    for n in range(10):
        spool.append(a_chunk(f"{n}\n"))

    block = spool.read_block(0, at_most=40)

    assert text_of(block) == "0\n1\n"


def test_a_hole_below_the_base_is_never_read_as_chunks(path):
    writer, early, reader = SpoolFile(path), SpoolFile(path), SpoolFile(path)
    for _ in range(4):
        writer.append(a_chunk("x" * 60_000 + "\n"))
    end = writer.size()
    _give_back(reader, 0, end)
    writer.append(a_chunk("after\n"))

    assert early.size() == writer.size()
    assert text_of(SpoolFile(path).read_block(end, at_most=65536)) == "after\n"
    assert os.stat(path).st_blocks * 512 < end / 2


def test_a_spool_shorter_than_what_the_server_has_goes_on_behind_it(path):
    spool = SpoolFile(path)
    spool.set_base(1000)

    spool.append(a_chunk("next\n"))

    assert text_of(spool.read_block(1000, at_most=65536)) == "next\n"


def test_past_its_limit_output_is_dropped_and_counted(path):
    spool = SpoolFile(path, limit=200_000)
    chunk = a_chunk("x" * 50_000 + "\n")
    taken = [spool.append(chunk) for _ in range(8)]
    dropped = taken.count(False)
    _give_back(spool, 0, spool.size())
    end = spool.size()

    spool.append(a_chunk("more\n"))

    chunks = list(decode(spool.read_block(end, at_most=65536)))
    assert dropped >= 3
    assert chunks[0].stream == BOREAS
    said = chunks[0].payload.decode()
    assert said == f"{dropped * len(chunk)} bytes dropped: the spool is full\n"
    assert chunks[1].payload == b"more\n"


def test_a_full_disk_never_leaves_half_a_chunk(path):
    spool = SpoolFile(path)
    spool.append(a_chunk("before\n"))
    whole = spool.size()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 100, hard))
    try:
        assert not spool.append(a_chunk("y" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    spool.append(a_chunk("after\n"))

    text = text_of(spool.read_block(0, at_most=65536))
    assert text == "before\n1014 bytes dropped: no space left on the disk\nafter\n"


def test_an_error_that_is_not_want_of_room_is_not_hidden(path, monkeypatch):
    spool = SpoolFile(path)

    def broken(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(spoolfile.os, "pwrite", broken)

    with pytest.raises(OSError, match="input/output"):
        spool.append(a_chunk())
