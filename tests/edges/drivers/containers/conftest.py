"""A real Docker Engine for container tests: the node's own, or one started by hand."""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.registry import running_registry

from boreas.drivers.container import ContainerDriver
from boreas.kit.clock import SystemClock

_APPLETS = ("sh", "httpd", "sleep", "cat", "echo", "test", "env")


def wait_for(is_so: Callable[[], bool], what: str, *, at_most: float = 30) -> None:
    """Poll a state of a process that cannot tell us."""
    end = time.monotonic() + at_most
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come up in {at_most} s")
        time.sleep(0.05)


def accepts(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Docker:
    """The command line of one engine, for setting the scene and looking at the result."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str, stdin: bytes | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "-H", self.url, *arguments], input=stdin, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(done.stderr.decode())
        return done.stdout.decode().strip()

    def answers(self) -> bool:
        done = subprocess.run(["docker", "-H", self.url, "info"], capture_output=True, check=False)
        return done.returncode == 0

    def image(self, name: str, *changes: str, page: str = "") -> None:
        """Make an image of busybox alone, with one page for its web server."""
        options = [part for one in changes for part in ("--change", one)]
        self("import", *options, "-", name, stdin=_root_filesystem(page or name))

    def names(self, *, running: bool = False) -> set[str]:
        every = () if running else ("--all",)
        return set(self("ps", *every, "--format", "{{.Names}}").split())


def _root_filesystem(page: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        text = tarfile.TarInfo("www/index.html")
        text.size = len(page.encode())
        tar.addfile(text, io.BytesIO(page.encode()))
    return out.getvalue()


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    """The node's engine, or our own with its own bridge and directories."""
    for program in ("docker", "busybox"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if Path("/var/run/docker.sock").is_socket():
        yield "unix:///var/run/docker.sock"
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("no Docker Engine answers, and only root can start dockerd")
    with contextlib.ExitStack() as undo:
        yield undo.enter_context(_own_engine())


@contextlib.contextmanager
def _own_engine() -> Iterator[str]:
    # Short, because a socket's path may have 108 bytes only.
    home = Path(tempfile.mkdtemp(prefix="bd", dir="/tmp"))
    bridge = f"bd{os.getpid()}"
    # With an address of its own: else the bridge takes a new one whenever a container comes or
    # goes, and the others' packets are lost until they have found out.
    address = f"02:42:ac:{os.getpid() >> 16 & 255:02x}:{os.getpid() >> 8 & 255:02x}:01"
    create = ["ip", "link", "add", "name", bridge, "address", address, "type", "bridge"]
    subprocess.run(create, check=True)
    network = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}.1/24"
    subprocess.run(["ip", "address", "add", network, "dev", bridge], check=True)
    subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
    places = [f"--data-root={home}/data", f"--exec-root={home}/exec", f"--pidfile={home}/pid"]
    # No rules in the node's packet filter: other engines on this machine have theirs.
    quiet = [f"--bridge={bridge}", "--iptables=false", "--ip6tables=false"]
    with (home / "log").open("wb") as log:
        engine = subprocess.Popen(
            ["dockerd", "-H", f"unix://{home}/sock", *places, *quiet], stdout=log, stderr=log
        )
    try:
        docker = Docker(f"unix://{home}/sock")
        wait_for(lambda: docker.answers() or engine.poll() is not None, "dockerd")
        if engine.poll() is not None:
            pytest.skip(f"dockerd does not run here: {(home / 'log').read_text()[-300:]}")
        yield docker.url
        left = docker("ps", "--all", "--quiet").split()
        if left:
            docker("rm", "--force", *left)
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.wait(30)
        subprocess.run(["ip", "link", "delete", bridge], check=False)
        shutil.rmtree(home, ignore_errors=True)


# Process 1 has no handler of its own for TERM, and without one a stop takes ten seconds.
_UNTIL_TERM = "trap 'exit 0' TERM; httpd -p 80 -h /www; while :; do sleep 60 & wait $!; done"
_SERVE = f'CMD ["/bin/sh", "-c", "{_UNTIL_TERM}"]'


@pytest.fixture(scope="session")
def images(engine_url: str) -> Docker:
    """An engine that has `boreas-demo:v1` to `:v9`, `:broken` and `:sick`."""
    docker = Docker(engine_url)
    for number in range(1, 10):
        docker.image(f"boreas-demo:v{number}", _SERVE, page=f"page v{number}")
    crash = 'CMD ["/bin/sh", "-c", "echo out of cheese; exit 3"]'
    docker.image("boreas-demo:broken", crash)
    sick = "HEALTHCHECK --interval=200ms --retries=1 CMD test -f /www/nothing"
    docker.image("boreas-demo:sick", _SERVE, sick)
    well = "HEALTHCHECK --interval=200ms --retries=1 CMD test -f /www/index.html"
    docker.image("boreas-demo:well", _SERVE, well)
    return docker


@pytest.fixture
def docker(images: Docker) -> Iterator[Docker]:
    """The engine; containers that the test leaves behind are removed."""
    before = set(images("ps", "--all", "--quiet").split())
    yield images
    left = set(images("ps", "--all", "--quiet").split()) - before
    if left:
        images("rm", "--force", "--volumes", *left)


@pytest.fixture
def driver(docker: Docker, clock: SystemClock) -> ContainerDriver:
    return ContainerDriver(clock, docker_url=docker.url, settle_seconds=0.3)


def page_at(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.fixture
def page_of(docker: Docker) -> Callable[[str], str]:
    """What a container's web server says, asked at its published port."""

    def ask(name: str) -> str:
        port = docker("port", name, "80/tcp").splitlines()[0].rpartition(":")[2]
        return page_at(int(port))

    return ask


@pytest.fixture
def port() -> int:
    return unused_port()


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """A registry of our own on the loopback: `127.0.0.1:<port>`."""
    with running_registry() as address:
        yield address


@pytest.fixture(scope="session")
def guarded_registry() -> Iterator[str]:
    """One that lets in only `ada` with the password `open sesame`."""
    with running_registry(password="open sesame") as address:
        yield address
