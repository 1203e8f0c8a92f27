"""The launcher: a small process that forks keepers of commands, and nothing else.

Started once by the agent with a bare Python, so that a fork copies little and a command starts in
milliseconds. Requests come as `u32 length | JSON` over a socket; keepers answer by datagrams of
their own. When the agent is gone the socket ends and the launcher with it; keepers stay.
"""

import gc
import json
import os
import signal
import socket

from boreas.agent.shim import Spec, keep, received_text


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
    while (text := received_text(requests)) is not None:
        spec = Spec(**json.loads(text)) if text else None  # None: a spare, for the next one.
        if os.fork() == 0:
            requests.close()
            keep(spec, answers)
        del text, spec  # What a command got is not kept here until the next one comes.
