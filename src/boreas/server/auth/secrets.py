"""The shapes of secrets that callers hold, so that one kind never passes for another.

Each begins with its own prefix and is looked up by its hash in its own table: an API token is no
session, an enrol token (`boreas1...`) is neither.
"""

from hashlib import sha256

from boreas.kit.ids import new_secret

SESSION_PREFIX = "bses_"
API_TOKEN_PREFIX = "bapi_"


def new_session_secret() -> str:
    """What a session cookie holds."""
    return SESSION_PREFIX + new_secret()


def new_api_token() -> str:
    """A bearer token for programs."""
    return API_TOKEN_PREFIX + new_secret()


def fingerprint(secret: str) -> str:
    """What is stored instead. The secrets have 256 bits of chance, so a plain hash is enough."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
