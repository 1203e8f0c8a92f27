"""Debian's docker-registry on the loopback, open or behind a password."""

import contextlib
import ctypes
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import free_port
from tests.support.waiting import until


@contextlib.contextmanager
def running_registry(password: str | None = None) -> Iterator[str]:
    """Its address, `127.0.0.1:<port>`; with a password only `ada` comes in."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    home = Path(tempfile.mkdtemp(prefix="br", dir="/tmp"))
    port = free_port()
    auth = ""
    if password is not None:
        (home / "people").write_text(f"ada:{_bcrypt(password)}\n")
        auth = f"auth: {{htpasswd: {{realm: tests, path: {home}/people}}}}\n"
    (home / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {home}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\nlog: {{level: error}}\n{auth}"
    )
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(home / "config.yml")], stdout=log, stderr=log
        )
    try:
        until(lambda: _accepts(port), at_most=30)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(home, ignore_errors=True)


def _bcrypt(password: str) -> str:
    """As htpasswd would write it, without another program: the C library knows how."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    hashed: bytes = library.crypt(password.encode(), b"$2b$05$abcdefghijklmnopqrstuu")
    return hashed.decode()


def _accepts(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
