"""The agent's end of a log stream: blocks out, durable offsets in, a window between them."""

from boreas.transport.links import CloseCode
from boreas.transport.streams import Stream

# Unacknowledged log bytes in flight for one order; the rest stays in the agent's spool. It bounds
# the server's memory, because QUIC gives receive credit back before anything is stored.
LOG_WINDOW = 512 * 1024


class LogSender:
    """Sends the log of one order. Offsets count payload bytes only."""

    def __init__(self, stream: Stream, *, start_offset: int) -> None:
        self._stream = stream
        self.sent = start_offset
        self.durable = start_offset

    def stored(self, offset: int) -> None:
        """The server said `LogStored`: bytes below this offset are durable."""
        if offset > self.durable:
            self.durable = offset
            self._stream.room.raise_()

    async def send(self, block: bytes, *, last: bool = False) -> None:
        """Send whole chunks, at most 64 KiB; waits for window and path. Raises `LinkClosed`."""
        while self.sent + len(block) - self.durable > LOG_WINDOW:
            await self._stream.room.wait()
            self._stream.must_be_wanted()
        self.sent += len(block)
        await self._stream.send_block(block, last=last, end=last)

    def abandon(self) -> None:
        """Stop in the middle; a later stream goes on from the durable offset."""
        self._stream.abandon(CloseCode.CANCELLED)
