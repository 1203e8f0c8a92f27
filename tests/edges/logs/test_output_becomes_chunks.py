"""What the agent does with the bytes of a pipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.logs.chunks import (
    BOREAS,
    CONTINUES,
    FORCED,
    HEADER,
    MAX_PAYLOAD,
    STDOUT,
    BadChunk,
    OutputSplitter,
    decode,
    spoken,
    whole_length,
)

PIECES = st.sampled_from(
    [b"", b"\n", b"a", b"one\ntwo", b"\xff\x00\r\n", b"x" * 40_000, b"y" * MAX_PAYLOAD, b"\n\n\nz"]
)
READS = st.lists(st.tuples(PIECES, st.booleans()), max_size=12)


def split(reads):
    splitter = OutputSplitter(STDOUT)
    encoded = b""
    for micros, (read, idle) in enumerate(reads):
        encoded += splitter.feed(read, micros)
        if idle:
            encoded += splitter.flush_idle(micros)
    return encoded + splitter.end(len(reads))


@given(READS)
def test_no_byte_is_lost_or_added_however_it_is_read(reads):
    raw = b"".join(read for read, _ in reads)

    together = b"".join(chunk.payload for chunk in decode(split(reads)))

    assert together == raw + (b"" if raw.endswith(b"\n") or not raw else b"\n")


@given(READS)
def test_a_chunk_ends_with_a_newline_unless_it_says_that_the_line_goes_on(reads):
    for chunk in decode(split(reads)):
        assert len(chunk.payload) <= MAX_PAYLOAD
        assert chunk.payload.endswith(b"\n") != chunk.continues or not chunk.payload


@given(READS)
def test_a_line_is_cut_after_64_kib_wherever_it_was_flushed_before(reads):
    line = 0
    for chunk in decode(split(reads)):
        first, newline, _ = chunk.payload.partition(b"\n")
        line += len(first)
        assert line <= MAX_PAYLOAD
        if chunk.forced:
            assert line == MAX_PAYLOAD
        line = 0 if newline or chunk.forced else line


def test_a_line_of_exactly_64_kib_is_not_cut():
    chunks = list(decode(split([(b"x" * MAX_PAYLOAD + b"\nnext\n", False)])))

    assert [chunk.flags for chunk in chunks] == [CONTINUES, 0, 0]


def test_a_longer_line_is_cut_and_says_so():
    chunks = list(decode(split([(b"x" * (MAX_PAYLOAD + 1) + b"\n", False)])))

    assert [chunk.flags for chunk in chunks] == [CONTINUES | FORCED, 0]


def test_a_prompt_is_shown_when_nothing_follows():
    splitter = OutputSplitter(STDOUT)

    assert splitter.feed(b"Continue? ", 1) == b""
    assert splitter.holds_back
    (prompt,) = decode(splitter.flush_idle(2))

    assert prompt.payload == b"Continue? "
    assert prompt.continues
    assert not splitter.holds_back


def test_a_torn_chunk_is_not_counted():
    whole = spoken("one\ntwo", 5)

    assert whole_length(whole + whole[:-1]) == len(whole)


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(MAX_PAYLOAD + 1, 0, STDOUT, 0),
        HEADER.pack(0, 0, 9, 0),
        HEADER.pack(0, 2**63, BOREAS, 0),
    ],
    ids=["too long", "unknown stream", "beyond the calendar"],
)
def test_what_is_no_chunk_is_refused(header):
    with pytest.raises(BadChunk):
        list(decode(header))
