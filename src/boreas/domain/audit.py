"""The audit trail as a chain: each entry's hash covers the entry before it.

Pure. An entry is written down as canonical JSON; its hash is over that text and the hash of the
one before, so that nothing in the middle can be changed, removed or put in without being seen.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

FIRST_HASH: Final = "0" * 64
"""What the first entry follows."""
LONGEST_VALUE: Final = 16_000
"""Of one side (before, after) as JSON; a longer one is kept as its size and fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who did something: a person by session or token, or Boreas itself (`user_id` empty)."""

    user_id: str = ""
    name: str
    address: str = ""
    via: str = "system"
    """`session`, `token <id>` or `system`."""
    request_id: str = ""


BOREAS: Final = Author(name="boreas")
"""What happens by itself: a time-out, a schedule."""


class Acting(Protocol):
    """Whoever can be named as the author of a change."""

    @property
    def author(self) -> Author:
        """Who it is, and from where."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the trail; secrets appear in it only as fingerprints."""

    sequence: int
    at: datetime
    author: Author
    action: str
    """`deployment.confirm`, `member.add`, ...: the noun, then what was done."""
    subject_kind: str
    subject_id: str
    project_id: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    why: str = ""


def canonical(entry: Entry) -> str:
    """The entry as the one text that its hash is made of."""
    written = {
        "sequence": entry.sequence,
        "at": entry.at.isoformat(timespec="microseconds"),
        "actor_id": entry.author.user_id,
        "actor": entry.author.name,
        "address": entry.author.address,
        "via": entry.author.via,
        "request_id": entry.author.request_id,
        "action": entry.action,
        "subject_kind": entry.subject_kind,
        "subject_id": entry.subject_id,
        "project_id": entry.project_id,
        "before": entry.before,
        "after": entry.after,
        "why": entry.why,
    }
    text = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def hash_of(previous: str, text: str) -> str:
    """The hash of an entry, given the hash before it and its canonical text."""
    return sha256(f"{previous}\n{text}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A stored entry, as the verifier sees it."""

    sequence: int
    text: str
    hash: str
    columns: Mapping[str, Any]
    """What is stored beside the text for searching; must say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first place where the chain does not hold."""

    sequence: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends."""

    sequence: int = 0
    hash: str = FIRST_HASH


def follow(head: Head, links: Iterable[Link]) -> Head | Break:
    """Walk on from `head`; the new head, or the first entry that does not fit."""
    for link in links:
        problem = _problem(head, link)
        if problem:
            return Break(sequence=head.sequence + 1, problem=problem)
        head = Head(sequence=link.sequence, hash=link.hash)
    return head


def _problem(head: Head, link: Link) -> str:
    expected = head.sequence + 1
    if link.sequence != expected:
        return f"entry {expected} is missing; the next one is {link.sequence}"
    if hash_of(head.hash, link.text) != link.hash:
        return f"entry {expected} was changed after it was written, or the one before it was"
    written = json.loads(link.text)
    differing = [name for name, value in link.columns.items() if written.get(name) != value]
    return f"entry {expected}: its {differing[0]} was changed" if differing else ""


# --- what changed ------------------------------------------------------------------------------

_SECRET_NAMES: Final = frozenset(
    {"password", "passphrase", "token", "secret", "private_key", "kubeconfig", "sealed"}
)
_HASH_NAMES: Final = ("_sha256", "_hash")
HIDDEN: Final = "(hidden)"


def difference(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Both sides without what is the same in both, secrets hidden, long ones shortened."""
    if before is not None and after is not None:
        same = {name for name in before if name in after and before[name] == after[name]}
        before = {name: value for name, value in before.items() if name not in same}
        after = {name: value for name, value in after.items() if name not in same}
    return shortened(without_secrets(before)), shortened(without_secrets(after))


def without_secrets(value: Any) -> Any:
    """The same with secrets as fingerprints; a plain secret is not even fingerprinted.

    >>> without_secrets({"name": "db", "password": "hunter2", "list": [{"token": "x"}]})
    {'name': 'db', 'password': '(hidden)', 'list': [{'token': '(hidden)'}]}
    """
    if isinstance(value, Mapping):
        return {name: _shown(str(name), item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return value


def _shown(name: str, item: Any) -> Any:
    if item in (None, "") or not isinstance(item, (str, bytes)):
        return without_secrets(item)
    if name.endswith(_HASH_NAMES):
        # Already a slow or a wide hash: its own hash gives nothing away.
        return f"sha256:{sha256(str(item).encode()).hexdigest()[:12]}"
    return HIDDEN if name in _SECRET_NAMES else item


def shortened(value: Any) -> Any:
    """As it is, or its size and fingerprint where it is too long to be kept."""
    if value is None:
        return None
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return value
    return {"too_long": len(text), "sha256": sha256(text.encode()).hexdigest()}
