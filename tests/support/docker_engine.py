"""A real Docker Engine of the test's own, and a small image for it."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until


@contextlib.contextmanager
def running_engine() -> Iterator[str]:
    """A Docker Engine of our own on a bridge of its own; its address."""
    if os.geteuid() != 0 or not Path("/usr/sbin/dockerd").exists():
        pytest.skip("needs root and dockerd")
    home = Path(tempfile.mkdtemp(prefix="bj-", dir="/tmp"))
    bridge = f"bj{os.getpid() % 100000}"
    number = os.getpid() % 200
    commands = (
        f"ip link add name {bridge} address 02:42:0a:d9:{number:02x}:01 type bridge",
        f"ip addr add 10.217.{number}.1/24 dev {bridge}",
        f"ip link set {bridge} up",
    )
    for command in commands:
        if subprocess.run(command.split(), capture_output=True).returncode:
            pytest.skip("no bridge can be made here")
    socket = f"unix://{home}/sock"
    argv = ["dockerd", "-H", socket, f"--data-root={home}/data", f"--exec-root={home}/exec"]
    argv += [f"--pidfile={home}/pid", f"--bridge={bridge}", "--iptables=false", "--ip6tables=false"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        try:
            until(lambda: _answers(socket), at_most=30)
        except AssertionError:
            pytest.skip(f"dockerd does not start here: {(home / 'log').read_text()[-300:]}")
        yield socket
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)


def _answers(socket: str) -> bool:
    return subprocess.run(["docker", "-H", socket, "version"], capture_output=True).returncode == 0


def make_image(socket: str, directory: Path, tag: str) -> None:
    """busybox with one page; `broken` serves none."""
    root = directory / tag
    (root / "bin").mkdir(parents=True)
    (root / "www").mkdir()
    (root / "www" / "index.html").write_text(f"shop {tag}")
    (root / "bin" / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (root / "bin" / "busybox").chmod(0o755)
    (root / "bin" / "sh").symlink_to("busybox")
    serve = "exit 3" if tag == "v2" else "busybox httpd -f -p 8080 -h /www & wait"
    command = f'CMD ["/bin/sh", "-c", "trap \\"exit 0\\" TERM; {serve}"]'
    packed = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True)
    argv = ["docker", "-H", socket, "import", "--change", command, "-", f"shop:{tag}"]
    subprocess.run(argv, input=packed.stdout, check=True, capture_output=True)
