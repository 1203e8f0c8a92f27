"""A git host that lets in who has the right name and password, and remembers what it was shown."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Door:
    """Who may come in, or where everybody is sent; `shown` is what callers brought."""

    username: str
    password: str
    elsewhere: str = ""
    shown: list[str] = field(default_factory=list)
    address: str = ""

    def opens_for(self, header: str) -> bool:
        wanted = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return header == f"Basic {wanted}"


@contextmanager
def behind_a_door(directory: Path, door: Door) -> Iterator[Door]:
    """Everything in the directory over plain HTTP, for callers that the door opens for."""
    serve = partial(_Doorkeeper, door, directory=str(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    door.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Doorkeeper(SimpleHTTPRequestHandler):
    def __init__(self, door: Door, *arguments: object, directory: str) -> None:
        self.door = door
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        header = self.headers.get("Authorization", "")
        self.door.shown.append(header)
        if self.door.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.door.elsewhere + self.path)
            self.end_headers()
        elif self.door.opens_for(header):
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""
