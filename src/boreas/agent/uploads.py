"""Sends the spools of orders to the server over one link, each from the server's durable offset.

A new link starts anew: what the server has stored it says right after the inventory, and nothing of
an older order is sent before that. Bytes stay in the spool until they are stored.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import structlog

from boreas.agent.journal import Journal, OrderState
from boreas.agent.layout import Layout
from boreas.agent.spoolfile import SpoolFile
from boreas.domain.ids import OrderId
from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint
from boreas.transport.codec import MAX_BLOCK
from boreas.transport.links import LinkClosed, StreamLimitReached, StreamReset
from boreas.transport.log_stream import LogSender
from boreas.transport.session import Session

logger = structlog.get_logger(__name__)


# Keepers tell of output, but not for certain; a look at the size of a file costs microseconds.
LOOK_AGAIN_SECONDS = 0.1
RETRY_SECONDS = 0.5
# A server whose disk was full may have let go what it had read to its end: nothing tells of that
# but that nothing more is stored. It stores five times a second.
STORED_WITHIN_SECONDS = 5.0
_MOST_PATIENCE_SECONDS = 60.0

# Give room back in pieces worth a system call.
_PUNCH_BYTES = 1024 * 1024
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02
_libc = ctypes.CDLL(None, use_errno=True)


class Uploads:
    """All log streams of one link; made for it and dropped with it."""

    def __init__(
        self,
        session: Session,
        *,
        journal: Journal,
        layout: Layout,
        clock: Clock,
        settle: Callable[[OrderId], None],
    ) -> None:
        self._session = session
        self._journal = journal
        self._layout = layout
        self._clock = clock
        self._settle = settle
        self._known: dict[OrderId, _Upload] = {}
        self._by_directory: dict[str, _Upload] = {}

    def begin(self, tasks: TaskGroup, order_id: OrderId, *, offset: int) -> None:
        """Send what there is and what comes, from this offset on; a second call does nothing."""
        order = self._journal.orders.get(order_id)
        if order is None or order.log_settled or order_id in self._known:
            return
        path = str(self._layout.spool(order_id))
        if order.finished is None:
            self._layout.order_dir(order_id).mkdir(exist_ok=True, mode=0o700)
        elif not os.path.exists(path):
            self._settle(order_id)  # Ended before it began, or its log is gone: nothing to send.
            return
        upload = _Upload(order, SpoolFile(path), self._session, self._clock, offset)
        self._known[order_id] = upload
        self._by_directory[self._layout.order_dir(order_id).name] = upload
        tasks.start(upload.run, name=f"log of {order_id}")
        self.stored(order_id, offset)

    def is_known(self, order_id: OrderId) -> bool:
        return order_id in self._known

    def stored(self, order_id: OrderId, offset: int) -> None:
        """The server has everything below this offset."""
        upload = self._known.get(order_id)
        if upload is not None and upload.stored(offset):
            self._settle(order_id)

    def output_came(self, order_dir: Path) -> None:
        """A command of the order in this directory printed something."""
        upload = self._by_directory.get(order_dir.name)
        if upload is not None:
            upload.hint.raise_()

    def look_again(self, order_id: OrderId) -> None:
        """Something happened to this order; its log may be complete."""
        upload = self._known.get(order_id)
        if upload is not None:
            upload.hint.raise_()
            if upload.is_complete:
                self._settle(order_id)


class _Upload:
    """The log of one order on its way."""

    def __init__(
        self, order: OrderState, spool: SpoolFile, session: Session, clock: Clock, offset: int
    ) -> None:
        self._order = order
        self._spool = spool
        self._session = session
        self._clock = clock
        self._punched = spool.base()
        # Below the base nothing is here any more, whatever the server has lost of it.
        self._durable = max(offset, self._punched)
        self._sender: LogSender | None = None
        self._is_over = False
        self._synced = self._durable
        self._stored_more = Hint()
        self._patience = STORED_WITHIN_SECONDS
        self.hint = Hint()

    @property
    def total(self) -> int | None:
        """How long the log is, once the order has ended."""
        finished = self._order.finished
        return None if finished is None else finished.log_bytes or 0

    @property
    def is_complete(self) -> bool:
        """The server has all of it."""
        return self.total is not None and self._durable >= self.total

    def stored(self, offset: int) -> bool:
        """The server has everything below `offset`; True when that is all there will be."""
        if offset > self._durable:
            self._durable = offset
            self._stored_more.raise_()
        if self._sender is not None:
            self._sender.stored(offset)
        if not self._is_over and self._durable - self._punched >= _PUNCH_BYTES:
            _give_back(self._spool, self._punched, self._durable)
            self._punched = self._durable
        return self.is_complete

    async def run(self) -> None:
        """Send until everything is stored; begin again at the durable offset where that ends."""
        try:
            if self._durable > self._spool.size():
                _forget_stored(self._spool, self._durable)
            while not self.is_complete:
                try:
                    await self._send_all()
                    await self._until_stored()
                except LinkClosed:
                    return
                except (StreamReset, StreamLimitReached) as error:
                    logger.info("log stream waits", action="log_retry", reason=error.message)
                    await self._clock.sleep(RETRY_SECONDS)
        finally:
            self._is_over = True
            self._spool.close()

    async def _send_all(self) -> None:
        offset = self._durable
        # A stream is opened for bytes only: orders that wait for their turn must not use them up.
        while self.total is None and not self._spool.read_block(offset, at_most=1):
            await self.hint.wait(at_most=LOOK_AGAIN_SECONDS)
        if self.is_complete:
            return  # It said nothing: no stream, and no file on the server.
        self._sender = self._session.open_log(self._order.order_id, start_offset=offset)
        self._sender.stored(offset)
        while self.total is None or offset < self.total:
            block = self._spool.read_block(offset, at_most=MAX_BLOCK)
            if not block:
                await self.hint.wait(at_most=LOOK_AGAIN_SECONDS)
                continue
            offset += len(block)
            await self._make_durable(offset)
            await self._sender.send(block, last=offset == self.total)
            if offset == self.total:
                return
        await self._sender.send(b"", last=True)

    async def _until_stored(self) -> None:
        """All of it, or for too long nothing more; each time in vain it waits longer."""
        while not self.is_complete:
            if not await self._stored_more.wait(at_most=self._patience):
                logger.info("log is sent again", action="log_again", order=self._order.order_id)
                self._patience = min(2 * self._patience, _MOST_PATIENCE_SECONDS)
                return
            self._patience = STORED_WITHIN_SECONDS

    async def _make_durable(self, offset: int) -> None:
        """What the server is told must survive here too, or offsets would mean two things.

        One sync covers all that was written so far, so a busy log pays for few of them.
        """
        if offset > self._synced:
            end = self._spool.size()
            await asyncio.to_thread(self._spool.sync)
            self._synced = end


def _give_back(spool: SpoolFile, start: int, end: int) -> None:
    """Punch what is stored out of the file; where that is not supported the room stays taken."""
    if _forget_stored(spool, end):
        _libc.fallocate(
            spool.fileno(),
            _KEEP_SIZE_AND_PUNCH,
            ctypes.c_long(start),
            ctypes.c_long(end - start),
        )


def _forget_stored(spool: SpoolFile, offset: int) -> bool:
    try:
        spool.set_base(offset)
    except OSError as error:
        logger.warning("spool not shortened", action="spool_kept", error=str(error))
        return False
    return True
