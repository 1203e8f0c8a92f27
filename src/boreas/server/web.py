"""uvicorn inside our own event loop: started, stopped and signalled by us."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.server.settings import Address
from boreas.server.slow_callers import TimedRequests, send_slow_away

# Live streams never end by themselves; give answers in flight a moment, not more.
_FAREWELL_SECONDS = 1


class _Server(uvicorn.Server):
    """Leaves the process's signals to `server.main`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def listening_socket(address: Address) -> socket.socket:
    """Bound and listening, so that nobody is refused while the application starts."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.create_server((address.host, address.port), family=family, backlog=1024)
    listening.setblocking(False)
    return listening


@contextlib.asynccontextmanager
async def serve_web(app: FastAPI, listening: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP while the block lasts."""
    config = uvicorn.Config(
        app,
        http=TimedRequests,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        # Peers come from the socket alone: whom to believe about others is `server.guards`' task.
        proxy_headers=False,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
        ws="websockets-sansio",
        ws_max_size=1024 * 1024,
    )
    server = _Server(config)
    async with TaskGroup("web") as tasks:
        serving = tasks.start(lambda: server.serve(sockets=[listening]), name="uvicorn")
        connections = server.server_state.connections
        tasks.start(lambda: send_slow_away(connections, SystemClock()), name="slow callers")
        try:
            yield
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
