"""Fetches the files that a task asks for (payload `files`) before its first verb.

They lie in BOREAS_INPUT_DIR while the order runs. A cut link is waited for; a file that the server
does not have is a reason for the order to fail, because a command without its input is worse.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from boreas.agent.layout import Layout
from boreas.domain.errors import InvalidInput
from boreas.domain.file_names import MAX_FILE_BYTES, is_file_name
from boreas.domain.orders import OrderBody
from boreas.kit.until import Hint
from boreas.transport.frames import FileRequest
from boreas.transport.links import LinkClosed, StreamReset
from boreas.transport.session import Session
from boreas.transport.streams import StreamEnded
from boreas.transport.transfers import fetch_file


class InputFiles:
    """The way to the server's files, over whichever link there is."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._session: Session | None = None
        self._linked = Hint()

    @contextmanager
    def over(self, session: Session) -> Iterator[None]:
        """This is the link to fetch over while the block lasts."""
        self._session = session
        self._linked.raise_()
        try:
            yield
        finally:
            if self._session is session:
                self._session = None

    async def fetch(self, order: OrderBody) -> None:
        """Every file of the order that is not here yet. Raises `TransferFailed`."""
        for name in order.files:
            if not is_file_name(name):
                raise InvalidInput(f"{name!r} is no name for a file")
            target = self._layout.input_dir(order.order_id) / name
            target.parent.mkdir(mode=0o700, exist_ok=True)
            while not target.exists():
                await self._fetch_once(order, name)

    async def _fetch_once(self, order: OrderBody, name: str) -> None:
        session = self._session
        if session is None or session.closing is not None:
            await self._linked.wait()
            return
        request = FileRequest(
            transfer_id=f"{order.order_id}/{name}", order_id=order.order_id, name=name
        )
        target = self._layout.input_dir(order.order_id) / name
        try:
            await fetch_file(session, request, target, max_size=MAX_FILE_BYTES)
        except (LinkClosed, StreamReset, StreamEnded):
            return  # the next link begins where this one stopped
