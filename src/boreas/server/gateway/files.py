"""Files of orders, up and down: an agent may offer and fetch files of its own orders only.

They lie in `<data-dir>/files/<deployment>/<task>/<target>/<name>`; every part of the path that came
from outside is hashed or checked, so that no name can leave the directory.
"""

import re
from pathlib import Path

from boreas.domain.ids import AgentId
from boreas.domain.outbox import Place
from boreas.logs.names import file_name
from boreas.server.gateway.places import Places
from boreas.transport.frames import FileOffer, FileRequest, StreamHeader
from boreas.transport.links import ProtocolViolation
from boreas.transport.streams import Stream
from boreas.transport.transfers import describe_file, receive_file, refuse_file, serve_file

MAX_FILE_BYTES = 1024**3
_FILE_NAME = re.compile(r"[\w][\w.+-]{0,199}", re.ASCII)


class OrderFiles:
    """Serves the transfer streams of agents."""

    def __init__(self, directory: Path, places: Places) -> None:
        self._directory = directory
        self._places = places

    async def serve(self, stream: Stream, header: StreamHeader, agent_id: AgentId) -> None:
        """Take or give one file; refuses by name whatever is not this agent's."""
        match header:
            case FileOffer():
                await self._take(stream, header, agent_id)
            case FileRequest():
                await self._give(stream, header, agent_id)
            case _:
                raise ProtocolViolation(f"no stream begins with {type(header).__name__}")

    def path_of(self, place: Place, name: str) -> Path:
        """Where a file of an execution lies."""
        parts = (place.deployment_id, place.task_id, place.target)
        return self._directory.joinpath(*(file_name(part) for part in parts), name)

    async def _take(self, stream: Stream, offer: FileOffer, agent_id: AgentId) -> None:
        path = await self._path_for(offer.order_id, offer.name, agent_id)
        if path is None:
            refuse_file(stream, f"{offer.name!r} is not a file of an order of this agent")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        await receive_file(stream, offer, path, max_size=MAX_FILE_BYTES)

    async def _give(self, stream: Stream, request: FileRequest, agent_id: AgentId) -> None:
        path = await self._path_for(request.order_id, request.name, agent_id)
        if path is None or not path.is_file():
            refuse_file(stream, f"there is no file {request.name!r} of this order")
            return
        offer = await describe_file(
            path,
            transfer_id=request.transfer_id,
            order_id=request.order_id,
            name=request.name,
        )
        await serve_file(stream, path, offer)

    async def _path_for(self, order_id: str, name: str, agent_id: AgentId) -> Path | None:
        place = (await self._places.of_orders((order_id,), agent_id)).get(order_id)
        if place is None or not _FILE_NAME.fullmatch(name):
            return None
        return self.path_of(place, name)
