"""A path between an agent and its server that is not the loopback: far away, lossy, moved."""

import asyncio
import random
import socket


class Nat:
    """A user-space NAT for one client: relays datagrams, and may forget its outer port.

    `loss` is the part of datagrams that never arrive, `delay` what each one takes, either way.
    """

    def __init__(self, server_port: int, *, loss: float = 0.0, delay: float = 0.0) -> None:
        self.lost = 0
        self.outwards_left = 1_000_000
        self.loss = loss
        self.delay = delay
        self._dice = random.Random(11)
        self._loop = asyncio.get_running_loop()
        self._server = ("127.0.0.1", server_port)
        self._client: tuple[str, int] | None = None
        self._inner = self._bound()
        self._outer = self._bound()
        self._loop.add_reader(self._inner, self._outwards)
        self._loop.add_reader(self._outer, self._inwards)

    @property
    def port(self) -> int:
        return int(self._inner.getsockname()[1])

    def rebind(self) -> None:
        self._loop.remove_reader(self._outer)
        self._outer.close()
        self._outer = self._bound()
        self._loop.add_reader(self._outer, self._inwards)

    def close(self) -> None:
        for sock in (self._inner, self._outer):
            self._loop.remove_reader(sock)
            sock.close()

    def _bound(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        return sock

    def _outwards(self) -> None:
        datagram, self._client = self._inner.recvfrom(65536)
        self.outwards_left -= 1
        if self.outwards_left >= 0:
            self._relay(self._outer, datagram, self._server)

    def _inwards(self) -> None:
        datagram, _ = self._outer.recvfrom(65536)
        assert self._client is not None
        self._relay(self._inner, datagram, self._client)

    def _relay(self, sock: socket.socket, datagram: bytes, to: tuple[str, int]) -> None:
        if self._dice.random() < self.loss:
            self.lost += 1
        elif self.delay:
            self._loop.call_later(self.delay, self._send, sock, datagram, to)
        else:
            sock.sendto(datagram, to)

    def _send(self, sock: socket.socket, datagram: bytes, to: tuple[str, int]) -> None:
        if sock.fileno() >= 0:
            sock.sendto(datagram, to)
