"""Files over a two-way stream: offered, wanted from an offset, sent in a window, proven by a hash.

Both directions are the same: who has the file sends `FileOffer`, who wants it asks `FileRequest`
first. The receiver keeps what it has in a `.part` file named by the content's hash, so a transfer
that was cut goes on where it stopped, and never with the bytes of another file.
"""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from boreas.domain.errors import BoreasError
from boreas.transport.frames import (
    FileOffer,
    FileRequest,
    FileStored,
    FileTaken,
    FileWanted,
    StreamHeader,
)
from boreas.transport.links import CloseCode, ProtocolViolation
from boreas.transport.session import Session
from boreas.transport.streams import Stream, StreamEnded

# Bytes beyond the receiver's last `FileStored`. Bounds its memory where its disk is slow.
TRANSFER_WINDOW = 1024 * 1024
_STORED_EVERY = 256 * 1024
_READ_AT_ONCE = 1024 * 1024
_CHUNK = 64 * 1024


class TransferFailed(BoreasError):
    """The file was not taken over."""


async def describe_file(path: Path, *, transfer_id: str, order_id: str, name: str) -> FileOffer:
    """The offer for a file on disk; reads all of it once for the hash."""
    size, digest = await asyncio.to_thread(_size_and_hash, path)
    return FileOffer(
        transfer_id=transfer_id, order_id=order_id, name=name, size=size, sha256=digest
    )


async def push_file(session: Session, path: Path, offer: FileOffer) -> None:
    """Offer a file and send it. Returns once the other side has it whole; else raises."""
    await send_file(session.open_transfer(offer), path, offer)


async def fetch_file(
    session: Session, request: FileRequest, target: Path, *, max_size: int
) -> FileOffer:
    """Ask for a file and store it at `target`. Returns what it was; else raises."""
    stream = session.open_transfer(request)
    answer = await stream.header()
    match answer:
        case FileOffer():
            await receive_file(stream, answer, target, max_size=max_size)
            return answer
        case FileTaken():
            raise TransferFailed(answer.reason or "the other side does not have this file")
        case _:
            raise _unexpected(stream, answer)


async def serve_file(stream: Stream, path: Path, offer: FileOffer) -> None:
    """Answer a `FileRequest` that was read from `stream`."""
    stream.send_header(offer)
    await send_file(stream, path, offer)


def refuse_file(stream: Stream, reason: str) -> None:
    """Answer an offer or a request with no."""
    stream.send_header(FileTaken(ok=False, reason=reason), end=True)


async def send_file(stream: Stream, path: Path, offer: FileOffer) -> None:
    """Send what the receiver wants of an offer already made; raises `TransferFailed`, as reads do.

    The file must not change meanwhile; if it does, the receiver's hash tells.
    """
    answer = await stream.header()
    match answer:
        case FileWanted() if 0 <= answer.offset <= offer.size:
            pass
        case FileTaken():
            _must_be_taken(answer)
            return
        case _:
            raise _unexpected(stream, answer)
    file = await asyncio.to_thread(path.open, "rb")
    try:
        await _Sending(stream, file, offer.size, answer.offset).run()
    finally:
        await asyncio.to_thread(file.close)


class _Sending:
    """One file on its way out."""

    def __init__(self, stream: Stream, file: BinaryIO, size: int, offset: int) -> None:
        self.stream = stream
        self.file = file
        self.size = size
        self.sent = self.stored = offset

    async def run(self) -> None:
        self.file.seek(self.sent)
        while self.sent < self.size:
            piece = await asyncio.to_thread(self.file.read, _READ_AT_ONCE)
            if not piece:
                self.stream.abandon()
                raise TransferFailed("the file became shorter while it was sent")
            for start in range(0, len(piece), _CHUNK):
                await self.send(piece[start : start + _CHUNK])
        await self.stream.send_block(b"", last=True, end=True)
        while await self.answer() is None:
            pass

    async def send(self, block: bytes) -> None:
        while self.sent + len(block) - self.stored > TRANSFER_WINDOW:
            await self.answer()
        await self.stream.send_block(block)
        self.sent += len(block)

    async def answer(self) -> FileTaken | None:
        frame = await self.stream.header()
        match frame:
            case FileStored():
                self.stored = max(self.stored, min(frame.offset, self.sent))
                return None
            case FileTaken():
                _must_be_taken(frame)
                return frame
            case _:
                raise _unexpected(self.stream, frame)


async def receive_file(stream: Stream, offer: FileOffer, target: Path, *, max_size: int) -> None:
    """Take an offer that was read from `stream`; `target` appears whole or not at all.

    Raises `TransferFailed` after telling the sender why, and as reads do; then what has arrived
    stays for the next try. The name in the offer is the sender's word: `target` is the caller's.
    """
    if offer.size > max_size:
        reason = f"{offer.size} bytes are more than the {max_size} allowed"
        refuse_file(stream, reason)
        raise TransferFailed(reason)
    part = target.with_name(f"{target.name}.{offer.sha256.hex()[:16]}.part")
    try:
        file, digest = await asyncio.to_thread(_open_part, part, offer.size)
        try:
            await _receive_blocks(stream, file, digest, offer)
        finally:
            await asyncio.to_thread(_settle, file)
        await asyncio.to_thread(os.replace, part, target)
    except OSError as error:
        refuse_file(stream, f"cannot be stored: {error.strerror}")
        raise TransferFailed(f"{target}: {error.strerror}") from error
    except TransferFailed as failure:
        await asyncio.to_thread(part.unlink, missing_ok=True)
        refuse_file(stream, failure.message)
        raise
    stream.send_header(FileTaken(ok=True), end=True)


async def _receive_blocks(
    stream: Stream, file: BinaryIO, digest: "hashlib._Hash", offer: FileOffer
) -> None:
    received = told = file.tell()
    stream.send_header(FileWanted(offset=received))
    is_whole = False
    async for block in stream.blocks():
        received += len(block.payload)
        if received > offer.size:
            raise TransferFailed("the file is longer than it was said to be")
        await asyncio.to_thread(_append, file, digest, block.payload)
        is_whole = block.last
        if received - told >= _STORED_EVERY:
            told = received
            stream.send_header(FileStored(offset=told))
    if not is_whole:
        raise StreamEnded(clean=False)
    if received != offer.size or digest.digest() != offer.sha256:
        raise TransferFailed("the file is not what it was said to be: its hash is another")


def _size_and_hash(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return file.tell(), digest


def _open_part(part: Path, size: int) -> "tuple[BinaryIO, hashlib._Hash]":
    """The part file at its end, and the hash of what it holds."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    if os.fstat(descriptor).st_size > size:
        file.truncate(0)
    digest = hashlib.sha256()
    while piece := file.read(_READ_AT_ONCE):
        digest.update(piece)
    return file, digest


def _append(file: BinaryIO, digest: "hashlib._Hash", payload: bytes) -> None:
    file.write(payload)
    digest.update(payload)


def _settle(file: BinaryIO) -> None:
    os.fsync(file.fileno())
    file.close()


def _must_be_taken(taken: FileTaken) -> None:
    if not taken.ok:
        raise TransferFailed(taken.reason or "the other side did not take the file")


def _unexpected(stream: Stream, frame: StreamHeader) -> ProtocolViolation:
    stream.abandon(CloseCode.PROTOCOL_VIOLATION)
    return ProtocolViolation(f"{type(frame).__name__} does not belong here")
