"""Sends up what an order's commands left in BOREAS_OUTPUT_DIR, once the order has ended.

A file stays on the node until the server has it whole; a cut link begins again where it stopped.
Nothing is taken from the server unasked: a stream that it opens is refused with a reason.
"""

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from boreas.agent.journal import Journal
from boreas.agent.layout import Layout
from boreas.domain.errors import BoreasError
from boreas.domain.file_names import is_file_name
from boreas.domain.ids import OrderId
from boreas.kit.until import Hint
from boreas.transport.links import LinkClosed
from boreas.transport.session import Session
from boreas.transport.transfers import describe_file, push_file, refuse_file

logger = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS = 60.0


class OutputFiles:
    """The files of ended orders, over one link."""

    def __init__(
        self,
        session: Session,
        *,
        journal: Journal,
        layout: Layout,
        sent_all: Callable[[OrderId], None],
    ) -> None:
        self._session = session
        self._journal = journal
        self._layout = layout
        self._sent_all = sent_all
        self.hint = Hint()
        """Raised when an order has ended."""

    async def run(self) -> None:
        """Look for files and send them, for as long as the link lives."""
        while True:
            for order in list(self._journal.orders.values()):
                if order.finished is not None and self._layout.output_dir(order.order_id).is_dir():
                    await self._send_up(order.order_id)
            await self.hint.wait(at_most=LOOK_AGAIN_SECONDS)

    async def refuse_incoming(self) -> None:
        """The server has no business opening streams to an agent of this version."""
        async for stream in self._session.incoming():
            refuse_file(stream, "this agent takes no file that it has not asked for")

    async def _send_up(self, order_id: OrderId) -> None:
        directory = self._layout.output_dir(order_id)
        for path in sorted(directory.iterdir()):
            if _is_plain_file(path):
                await self._send(order_id, path)
        shutil.rmtree(directory, ignore_errors=True)
        self._sent_all(order_id)

    async def _send(self, order_id: OrderId, path: Path) -> None:
        name = path.name
        log = logger.bind(order=order_id, file=name)
        try:
            offer = await describe_file(
                path, transfer_id=f"{order_id}/{name}", order_id=order_id, name=name
            )
            await push_file(self._session, path, offer)
        except LinkClosed:
            raise
        except (BoreasError, OSError) as error:
            log.warning("file not sent", action="file_refused", reason=str(error))
        else:
            log.info("file sent", action="file_sent", bytes=offer.size)


def _is_plain_file(path: Path) -> bool:
    """No links, no devices, no directories: what a name leads to must lie right here."""
    return bool(stat.S_ISREG(path.lstat().st_mode) and is_file_name(path.name))
