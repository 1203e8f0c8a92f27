"""The enrol token: all that a new agent needs, in one line to paste.

`boreas1.<host:port>.<SHA-256 of the CA's public key>.<secret>`. The server keeps only the secret's
hash; the pin makes the first contact safe, because the agent speaks to that CA only.
"""

import hashlib
from dataclasses import dataclass, field

from boreas.domain.errors import InvalidInput

_PREFIX = "boreas1."


class BadToken(InvalidInput):
    """The enrol token is incomplete or damaged; copy it again, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolToken:
    """`repr` and `str` never show the secret."""

    server: str
    ca_pin: bytes
    secret: str = field(repr=False)

    def reveal(self) -> str:
        """The token as people paste it. Shown once; never logged."""
        return f"{_PREFIX}{self.server}.{self.ca_pin.hex()}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> "EnrolToken":
        """Raises `BadToken`, whose text does not repeat the input."""
        text = text.strip()
        parts = text.removeprefix(_PREFIX).rsplit(".", 2)
        if not text.startswith(_PREFIX) or len(parts) != 3 or not all(parts):
            raise BadToken
        server, pin, secret = parts
        split_address(server)
        try:
            ca_pin = bytes.fromhex(pin)
        except ValueError:
            raise BadToken from None
        if len(ca_pin) != 32:
            raise BadToken
        return cls(server=server, ca_pin=ca_pin, secret=secret)


def secret_hash(secret: str) -> str:
    """What the server keeps of a token's secret; 128 random bits need no salt and no stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_address(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; raises `BadToken`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadToken(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)
