"""The codec alone: what goes in comes out, and limits hold before anything is kept."""

import contextlib
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.transport.codec import MAX_BLOCK, Inbox, encode_block, encode_frame
from boreas.transport.frames import (
    MAX_FRAME,
    Cancel,
    Challenge,
    FileWanted,
    Heartbeat,
    Hello,
    LogStream,
    Order,
    Padding,
    Report,
    Welcome,
)
from boreas.transport.links import ProtocolViolation

FRAMES = [
    Challenge(protocol=1, nonce=b"n" * 32),
    Hello(protocol=1, agent_version="1", name="é", labels={"role": "web"}),
    Welcome(
        agent_id="a",
        server_id="s",
        server_time=1.5,
        heartbeat_seconds=15,
        busy_heartbeat_seconds=2,
        servers=("a:1", "b:2"),
    ),
    Order(outbox_id=1, order_id="o#1", scope="t/a", fence=3, body=b"\x00" * 1000),
    Cancel(outbox_id=2, order_id="o#1", grace_seconds=5, reason="asked"),
    Report(order_id="o#1", sequence=1, kind="finished", at=1.0, result={"a": [1, None]}),
    Heartbeat(sequence=1, busy=True, facts={"load": [0.1, 0.2]}),
]


def an_inbox(max_unread: int = 1 << 20) -> Inbox:
    return Inbox(max_unread=max_unread)


@given(st.lists(st.sampled_from(FRAMES), max_size=8), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(frames, cut):
    wire = b"".join(encode_frame(frame) for frame in frames)
    inbox, out = an_inbox(), []

    for start in range(0, len(wire), cut):
        inbox.feed(wire[start : start + cut])
        while (frame := inbox.frame()) is not None:
            out.append(frame)

    assert out == frames
    assert len(inbox) == 0


@given(st.lists(st.binary(max_size=3000), max_size=8), st.integers(1, 5000))
def test_blocks_come_out_as_they_went_in(payloads, cut):
    wire = b"".join(encode_block(payload, last=not payload) for payload in payloads)
    inbox, out = an_inbox(), []

    for start in range(0, len(wire), cut):
        inbox.feed(wire[start : start + cut])
        while (block := inbox.block()) is not None:
            out.append((block.payload, block.last))

    assert out == [(payload, not payload) for payload in payloads]


@given(st.binary(max_size=300))
def test_garbage_is_a_violation_or_waits_for_more_and_never_anything_else(rubbish):
    for read in (Inbox.frame, Inbox.header, Inbox.block):
        inbox = an_inbox()
        inbox.feed(rubbish)
        with contextlib.suppress(ProtocolViolation):
            while read(inbox) is not None:
                pass


@given(st.binary(max_size=300))
def test_garbage_inside_a_frame_is_a_violation(rubbish):
    inbox = an_inbox()
    inbox.feed(struct.pack(">I", len(rubbish)) + rubbish)
    try:
        frame = inbox.frame()
    except ProtocolViolation:
        return
    assert frame is not None


@pytest.mark.parametrize("size", [MAX_FRAME + 1, 1 << 30, 0xFFFFFFFF])
def test_a_length_over_the_limit_is_refused_by_its_four_bytes_alone(size):
    inbox = an_inbox()
    inbox.feed(struct.pack(">I", size))

    with pytest.raises(ProtocolViolation, match="over 262144"):
        inbox.frame()


def test_a_block_over_the_limit_is_refused_by_its_head_alone():
    inbox = an_inbox()
    inbox.feed(struct.pack(">IB", MAX_BLOCK + 1, 0))

    with pytest.raises(ProtocolViolation, match=f"over {MAX_BLOCK}"):
        inbox.block()


def test_a_peer_that_sends_past_its_window_is_cut_off():
    inbox = an_inbox(max_unread=100)
    inbox.feed(b"x" * 100)

    with pytest.raises(ProtocolViolation, match="unread"):
        inbox.feed(b"y")


def test_an_unknown_tag_is_refused_with_what_was_wrong():
    inbox = an_inbox()
    body = msgspec.msgpack.encode([99, 1])
    inbox.feed(struct.pack(">I", len(body)) + body)

    with pytest.raises(ProtocolViolation, match="99"):
        inbox.frame()


def test_a_log_header_is_not_a_message_of_the_control_stream():
    inbox = an_inbox()
    inbox.feed(encode_frame(LogStream(order_id="o", start_offset=0)))

    with pytest.raises(ProtocolViolation):
        inbox.frame()


def test_an_older_peer_reads_a_frame_with_more_fields_and_a_newer_one_with_fewer():
    inbox = an_inbox()
    for body in ([63, 5, "from the future"], [1, 1, b"nonce"]):
        wire = msgspec.msgpack.encode(body)
        inbox.feed(struct.pack(">I", len(wire)) + wire)

    assert inbox.header() == FileWanted(offset=5)
    assert inbox.frame() == Challenge(protocol=1, nonce=b"nonce")


def test_what_is_too_big_is_not_sent_either():
    with pytest.raises(ValueError, match="over"):
        encode_frame(Padding(bytes_=b"x" * MAX_FRAME, echo=False))
    with pytest.raises(ValueError, match="over"):
        encode_block(b"x" * (MAX_BLOCK + 1))
