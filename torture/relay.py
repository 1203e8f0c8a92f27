"""A wire between agents and a server that can be cut: UDP and TCP of one port, in user space.

While it is cut nothing passes and nobody is told: no ICMP, no reset, as with a pulled cable.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.installation import free_port

_BLOCK = 65_536


class Relay:
    """Listens on `port`; passes on to another port of this machine unless `is_cut`."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self.is_cut = False
        self.is_udp_blocked = False
        self._to = ("127.0.0.1", to_port)
        self._ways: dict[tuple[str, int], socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._ended = False
        self._udp = self._open_udp()
        self._tcp = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._watch(self._tcp, self._accept)

    @contextmanager
    def running(self) -> Iterator["Relay"]:
        """Pass on while the block lasts."""
        thread = threading.Thread(target=self._turn_over, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended = True
            thread.join()
            for key in list(self._selector.get_map().values()):
                self._close(key.fileobj)

    def _open_udp(self) -> socket.socket:
        udp = socket.socket(type=socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._watch(udp, self._from_agent)
        return udp

    def _watch(self, one: socket.socket, ready: Callable[[socket.socket], None]) -> None:
        one.setblocking(False)
        self._selector.register(one, selectors.EVENT_READ, ready)

    def _turn_over(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(timeout=0.05):
                with contextlib.suppress(OSError, KeyError):
                    key.data(key.fileobj)

    # --- datagrams --------------------------------------------------------------------------

    def _from_agent(self, udp: socket.socket) -> None:
        packet, agent = udp.recvfrom(_BLOCK)
        if self.is_cut or self.is_udp_blocked:
            return
        if agent not in self._ways:
            way = socket.socket(type=socket.SOCK_DGRAM)
            way.connect(self._to)
            self._ways[agent] = way
            self._watch(way, lambda back: self._from_server(back, agent))
        self._ways[agent].send(packet)

    def _from_server(self, way: socket.socket, agent: tuple[str, int]) -> None:
        packet = way.recv(_BLOCK)
        if not (self.is_cut or self.is_udp_blocked):
            self._udp.sendto(packet, agent)

    def move(self) -> None:
        """Every agent is seen from another port from now on, as after a new NAT binding."""
        for agent, way in list(self._ways.items()):
            del self._ways[agent]
            self._close(way)

    # --- connections ------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        near, _ = listening.accept()
        try:
            far = socket.create_connection(self._to, timeout=1)
        except OSError:
            near.close()
            return
        self._watch(near, lambda one: self._pass(one, far))
        self._watch(far, lambda one: self._pass(one, near))

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        if self.is_cut:
            # What is not read stays in the kernel's buffers, and comes when the wire is whole.
            threading.Event().wait(0.01)
            return
        block = one.recv(_BLOCK)
        if not block:
            self._close(one)
            self._close(other)
            return
        other.setblocking(True)
        other.sendall(block)
        other.setblocking(False)

    def _close(self, one: Any) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(one)
        one.close()
