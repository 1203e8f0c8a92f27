"""Whether a value is still what it was, without saying what it is.

An environment holds secrets, and what a look sees goes to the server: it says a keyed hash, and the
key never leaves the node.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from boreas.drivers.files import write_whole

_KEY = "fingerprint.key"
_LENGTH = 16


def fingerprints(scope_dir: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """The same value has the same fingerprint in this scope, and no other place knows it."""
    key = _key_of(scope_dir)
    return {name: _fingerprint(key, name, value) for name, value in values.items()}


def _fingerprint(key: bytes, name: str, value: object) -> str:
    told = json.dumps([name, value], sort_keys=True).encode()
    return hmac.new(key, told, sha256).hexdigest()[:_LENGTH]


def _key_of(scope_dir: Path) -> bytes:
    path = scope_dir / _KEY
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        write_whole(path, key)
        return key
