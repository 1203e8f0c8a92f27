"""Who is calling: users, sessions, API tokens. Secrets are kept only as hashes."""

from dataclasses import dataclass
from datetime import datetime

from boreas.domain.ids import UserId
from boreas.domain.permissions import WHOLE, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who can sign in."""

    id: UserId
    username: str
    display_name: str = ""
    email: str = ""
    is_admin: bool = False
    password_hash: str = ""
    created_at: datetime
    disabled_at: datetime | None = None

    def __repr__(self) -> str:
        return f"User({self.id!r}, {self.username!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user as an identity provider knows them."""

    id: str
    user_id: UserId
    issuer: str
    subject: str
    email: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that signed in; known by the hash of its cookie."""

    id_sha256: str
    user_id: UserId
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A bearer token; shown once, kept as a hash."""

    id: str
    user_id: UserId
    name: str
    secret_sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    scope: Scope = WHOLE
