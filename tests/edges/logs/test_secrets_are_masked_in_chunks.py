"""Hazards 49, 52: the server masks what an agent did not, and offsets stay what they were."""

from hypothesis import given
from hypothesis import strategies as st

from boreas.logs.chunk_masking import ChunkMasker
from boreas.logs.chunks import CONTINUES, STDERR, STDOUT, Chunk, decode, encode
from boreas.logs.masking import forms_in

FORMS = forms_in(["hunter2hunter2", "line one 1\nline two 2"])


def chunk(payload, stream=STDOUT, flags=0):
    return encode(Chunk(micros=1, stream=stream, flags=flags, payload=payload))


def payloads(encoded):
    return [one.payload for one in decode(encoded)]


def test_a_clean_chunk_goes_through_at_once_and_unchanged():
    block = chunk(b"all is well\n") + chunk(b"really\n", STDERR)

    assert ChunkMasker(FORMS).feed(block) == block


def test_a_secret_becomes_stars_of_its_length():
    out = ChunkMasker(FORMS).feed(chunk(b"token hunter2hunter2\n"))

    assert payloads(out) == [b"token **************\n"]


def test_a_secret_cut_between_chunks_is_masked_in_both():
    masker = ChunkMasker(FORMS)

    first = masker.feed(chunk(b"token hunter2h", flags=CONTINUES))
    between = masker.feed(chunk(b"warning\n", STDERR))
    last = masker.feed(chunk(b"unter2\n"))

    assert first == b""
    assert between == b""
    assert payloads(last) == [b"token ********", b"warning\n", b"******\n"]


def test_a_cut_that_was_no_secret_comes_out_at_the_end():
    masker = ChunkMasker(FORMS)
    block = chunk(b"token hunter2h", flags=CONTINUES)

    assert masker.feed(block) == b""
    assert masker.end() == block


def test_the_lines_of_a_secret_stay_lines():
    out = ChunkMasker(FORMS).feed(chunk(b"line one 1\nline two 2\nx\n"))

    assert payloads(out) == [b"**********\n**********\nx\n"]


def test_what_only_seems_to_begin_a_secret_does_not_pile_up():
    masker = ChunkMasker(FORMS)
    masker.feed(chunk(b"hunter2", flags=CONTINUES))
    came = sum(len(masker.feed(chunk(b"x" * 1000 + b"\n", STDERR))) for _ in range(400))

    assert came > 100_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"hunter2", b"hunter2hunter2", b"\n", b"ok ", b"line one 1", b"h"]),
            st.sampled_from([STDOUT, STDERR]),
        ),
        max_size=20,
    ),
    st.integers(1, 5),
)
def test_chunks_keep_their_lengths_and_order_however_they_come(parts, together):
    chunks = [chunk(payload, stream, CONTINUES) for payload, stream in parts]
    masker = ChunkMasker(FORMS)
    out = b"".join(
        masker.feed(b"".join(chunks[at : at + together])) for at in range(0, len(chunks), together)
    )
    out += masker.end()

    before = list(decode(b"".join(chunks)))
    after = list(decode(out))
    assert [(c.stream, c.size, c.flags) for c in before] == [
        (c.stream, c.size, c.flags) for c in after
    ]
    for stream in (STDOUT, STDERR):
        said = b"".join(c.payload for c in after if c.stream == stream)
        assert b"hunter2hunter2" not in said
