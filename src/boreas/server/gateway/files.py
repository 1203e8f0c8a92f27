"""Files of orders over the link: an agent offers and fetches files of its own orders only."""

from boreas.domain.errors import InvalidInput
from boreas.domain.file_names import MAX_FILE_BYTES
from boreas.domain.ids import AgentId
from boreas.domain.outbox import Place
from boreas.server.gateway.places import Places
from boreas.server.task_files import TaskFiles
from boreas.transport.frames import FileOffer, FileRequest, StreamHeader
from boreas.transport.links import ProtocolViolation
from boreas.transport.streams import Stream
from boreas.transport.transfers import describe_file, receive_file, refuse_file, serve_file


class OrderFiles:
    """Serves the transfer streams of agents."""

    def __init__(self, files: TaskFiles, places: Places) -> None:
        self._files = files
        self._places = places

    async def serve(self, stream: Stream, header: StreamHeader, agent_id: AgentId) -> None:
        """Take or give one file; refuses by name whatever is not this agent's."""
        if not isinstance(header, FileOffer | FileRequest):
            raise ProtocolViolation(f"no stream begins with {type(header).__name__}")
        places = await self._places.of_orders((header.order_id,), agent_id)
        place = places.get(header.order_id)
        if place is None:
            refuse_file(stream, f"{header.name!r} is not a file of an order of this agent")
            return
        try:
            if isinstance(header, FileOffer):
                await self._take(stream, header, place)
            else:
                await self._give(stream, header, place)
        except InvalidInput as error:
            refuse_file(stream, error.message)

    async def _take(self, stream: Stream, offer: FileOffer, place: Place) -> None:
        path = self._files.output(place.deployment_id, place.task_id, place.target, offer.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        await receive_file(stream, offer, path, max_size=MAX_FILE_BYTES)

    async def _give(self, stream: Stream, request: FileRequest, place: Place) -> None:
        path = self._files.input(place.deployment_id, place.task_id, request.name)
        if not path.is_file():
            refuse_file(stream, f"the task has no file {request.name!r}: put it there first")
            return
        offer = await describe_file(
            path,
            transfer_id=request.transfer_id,
            order_id=request.order_id,
            name=request.name,
        )
        await serve_file(stream, path, offer)
