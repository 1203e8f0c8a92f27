"""A pair of links inside one process, for tests and the simulator.

Bytes really go through the multiplexing of mux.py; only the pipe is a list. `cut` is a pulled
cable: both sides see a lost link and whatever was on its way is gone. `pause` holds one direction.
"""

import asyncio
from collections import deque

from boreas.transport.links import CloseKind, Closing
from boreas.transport.mux import MuxLink

# As much as a socket would buffer; beyond it senders feel back-pressure.
PIPE_ROOM = 64 * 1024


class MemoryLink(MuxLink):
    """One end of a pair; make them with `memory_pair`."""

    kind = "memory"

    def __init__(self, *, is_server: bool, server_leaf: bytes) -> None:
        address = "agent:0" if is_server else "server:0"
        super().__init__(is_server=is_server, peer_address=address, server_leaf=server_leaf)
        self.other: MemoryLink = self
        self._loop = asyncio.get_running_loop()
        self._pipe: deque[bytes] = deque()
        self._pipe_size = 0
        self._delivery_planned = False
        self._paused = False
        self._finished = False

    def pause(self) -> None:
        """Deliver nothing that this end sends until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Deliver again."""
        self._paused = False
        self._plan_delivery()

    def cut(self) -> None:
        """Pull the cable."""
        for end in (self, self.other):
            end._pipe.clear()
            end._lost(Closing(kind=CloseKind.LOST, reason="the cable was pulled"))

    def _write(self, data: bytes) -> None:
        if not self._finished:
            self._pipe.append(data)
            self._pipe_size += len(data)
            self._plan_delivery()

    def _pipe_has_room(self) -> bool:
        return self._pipe_size < PIPE_ROOM

    def _finish_pipe(self) -> None:
        self._finished = True

    def _plan_delivery(self) -> None:
        if not self._delivery_planned and not self._paused:
            self._delivery_planned = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivery_planned = False
        if self._paused:
            return
        pipe, self._pipe, self._pipe_size = self._pipe, deque(), 0
        for data in pipe:
            self.other._arrived(data)
        if self.closing is None:
            self._pump()


def memory_pair(*, server_leaf: bytes = b"memory") -> tuple[MemoryLink, MemoryLink]:
    """`(agent's end, server's end)`, connected."""
    agent = MemoryLink(is_server=False, server_leaf=server_leaf)
    server = MemoryLink(is_server=True, server_leaf=server_leaf)
    agent.other, server.other = server, agent
    return agent, server
