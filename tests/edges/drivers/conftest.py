"""Fixtures that several themes of driver tests share."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.testing.workbench import Scope


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return Scope(tmp_path / "scope")


class Page(http.server.BaseHTTPRequestHandler):
    """Answers whatever the test put into the server."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        status, body, headers = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[http.server.ThreadingHTTPServer]:
    """A real HTTP server; set `page.answer`, read `page.asked`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.answer = (200, b"all is well", {})  # type: ignore[attr-defined]
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return int(port)
