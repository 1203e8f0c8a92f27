"""Address tokens for QUIC Retry: a client proves that it can receive before it costs anything.

Stateless: the token carries what the server needs and a keyed hash over it and the address. A hash
rather than the library's RSA, because a flood of guessed tokens must cost next to nothing.
"""

import hashlib
import hmac
import secrets
import struct
from typing import Any

Address = tuple[Any, ...]

# Long enough for a slow path's round trip, short enough that a token is useless later.
TOKEN_LIFE = 15.0
_HEAD = struct.Struct(">dBB")
_MAC = 16


class RetryTokens:
    """Makes and checks tokens with a key that dies with the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, address: Address, original_cid: bytes, retry_cid: bytes, now: float) -> bytes:
        """A token for this address that remembers both connection ids."""
        body = _HEAD.pack(now, len(original_cid), len(retry_cid)) + original_cid + retry_cid
        return self._mac(address, body) + body

    def check(self, address: Address, token: bytes, now: float) -> tuple[bytes, bytes] | None:
        """`(original_cid, retry_cid)`, or None for a token that is forged, foreign or too old."""
        mac, body = token[:_MAC], token[_MAC:]
        if len(body) < _HEAD.size or not hmac.compare_digest(mac, self._mac(address, body)):
            return None
        made, original_length, retry_length = _HEAD.unpack_from(body)
        if now - made > TOKEN_LIFE:
            return None
        cids = body[_HEAD.size :]
        return cids[:original_length], cids[original_length : original_length + retry_length]

    def _mac(self, address: Address, body: bytes) -> bytes:
        place = f"{address[0]}|{address[1]}|".encode()
        return hmac.digest(self._key, place + body, hashlib.sha256)[:_MAC]
