"""The launcher: a small process that forks a keeper for each command, and nothing else.

Started once by the agent with a bare Python, so that a fork copies little and a command starts in
milliseconds. Requests come as `u32 length | JSON` over a socket; keepers answer by datagrams of
their own. When the agent is gone the socket ends and the launcher with it; keepers stay.
"""

import gc
import json
import os
import signal
import socket
import struct

from boreas.agent.shim import Spec, keep

_LENGTH = struct.Struct(">I")


def serve(requests_fd: int, answers_fd: int) -> None:
    """Fork keepers until the agent closes its end."""
    requests = socket.socket(fileno=requests_fd)
    answers = socket.socket(fileno=answers_fd)
    for fd in (requests_fd, answers_fd):
        os.set_inheritable(fd, False)
    # Keepers are never waited for here: the kernel forgets them as they end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    gc.freeze()
    while (text := _receive(requests)) is not None:
        spec = Spec(**json.loads(text))
        if os.fork() == 0:
            requests.close()
            keep(spec, answers)
        del text, spec  # What a command got is not kept here until the next one comes.


def _receive(requests: socket.socket) -> bytes | None:
    header = _receive_exactly(requests, _LENGTH.size)
    if header is None:
        return None
    return _receive_exactly(requests, _LENGTH.unpack(header)[0])


def _receive_exactly(requests: socket.socket, length: int) -> bytes | None:
    parts = []
    while length:
        part = requests.recv(min(length, 1024 * 1024))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
