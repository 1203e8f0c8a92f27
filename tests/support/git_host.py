"""A git repository that a test writes to, offered as a file and over HTTP."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class GitHost:
    """A bare repository and a clone to commit in."""

    directory: Path

    @property
    def bare(self) -> Path:
        return self.directory / "shop.git"

    @property
    def clone(self) -> Path:
        return self.directory / "clone"

    def make(self) -> "GitHost":
        self.directory.mkdir(parents=True)
        self._run("init", "--quiet", "--bare", "-b", "main", str(self.bare), cwd=self.directory)
        self._run("clone", "--quiet", str(self.bare), str(self.clone), cwd=self.directory)
        return self

    def commit(self, name: str, text: str, *, tag: str = "") -> str:
        """Writes a file, commits and pushes it; the commit's id."""
        (self.clone / name).write_text(text)
        self._run("add", name)
        author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        self._run(*author, "commit", "--quiet", "-m", text)
        if tag:
            self._run("tag", tag)
        self._run("push", "--quiet", "--tags", "origin", "HEAD:main")
        self._run("update-server-info", cwd=self.bare)
        return self._run("rev-parse", "HEAD").strip()

    @contextmanager
    def over_http(self) -> Iterator[str]:
        """The repository's address over plain (dumb) HTTP."""
        serve = partial(_Quiet, directory=str(self.directory))
        server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/shop.git"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _run(self, *arguments: str, cwd: Path | None = None) -> str:
        argv = ["git", *arguments]
        where = cwd or self.clone
        return subprocess.run(argv, cwd=where, check=True, capture_output=True, text=True).stdout


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""
