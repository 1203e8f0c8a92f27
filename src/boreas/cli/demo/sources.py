"""The web application of the demo: a git repository with three versions, the third one broken."""

import subprocess
from pathlib import Path
from typing import Final

from boreas.cli.demo.world import World
from boreas.cli.failures import Failure

VERSIONS: Final = ("v1", "v2", "v3")
BROKEN: Final = "v3"

SERVICE: Final = '''\
"""The web application of the Boreas demo: one page and its health."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "{version}"
HEALTHY = {healthy}


def greeting(settings):
    with open(settings) as file:
        return json.load(file)["greeting"]


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200 if HEALTHY else 500, "ok" if HEALTHY else "no database")
        else:
            self.answer(200, VERSION + ": " + greeting(sys.argv[3]))

    def answer(self, status, text):
        body = (text + "\\n").encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def end_with(owner):
    """The demo leaves nothing behind, even when it is killed."""
    while os.path.exists("/proc/" + owner):
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(sys.argv[4],), daemon=True).start()
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
'''


def make_repository(world: World) -> None:
    """A bare repository with one commit and one tag per version."""
    work = world.directory / "sources" / "web"
    work.mkdir(parents=True, exist_ok=True)
    _git(work, "init", "--quiet", "--initial-branch=main")
    for version in VERSIONS:
        source = SERVICE.format(version=version, healthy=version != BROKEN)
        (work / "serve.py").write_text(source)
        _git(work, "add", "serve.py")
        _git(work, "commit", "--quiet", "--message", f"The web application, {version}")
        _git(work, "tag", version)
    _git(world.directory, "clone", "--quiet", "--bare", str(work), str(world.repository))


def _git(directory: Path, *arguments: str) -> None:
    """Run git without anybody's own hooks, signing or names."""
    own = ("user.name=Boreas demo", "user.email=demo@localhost", "commit.gpgsign=false")
    settings = [word for each in (*own, "core.hooksPath=/dev/null") for word in ("-c", each)]
    try:
        done = subprocess.run(
            ("git", *settings, *arguments), cwd=directory, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise Failure("git is not installed", mend="apt-get install git") from error
    if done.returncode != 0:
        raise Failure(f"git {arguments[0]}: {done.stderr.strip()}")
