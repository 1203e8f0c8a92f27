"""Which git addresses, refs and commits may reach a git command line.

Checked when a version or an application is saved, and again on the agent just before git runs.
Everything here refuses: what is not plainly an address or a name never becomes an argument.
"""

import re
from dataclasses import dataclass
from typing import Final

from boreas.domain.errors import invalid
from boreas.domain.reading import has_control_characters

SCHEMES: Final = ("https", "http", "ssh", "file")
"""`ext::`, `fd::` and every other remote helper can run programs, so only these are let through."""

_URL = re.compile(r"^(?P<scheme>[a-z]+)://(?P<place>[^/]*)(?P<path>/.*)\Z")
_SCP_LIKE = re.compile(
    r"^(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?!:)(?P<path>[^-].*)\Z"
)
_COMMIT = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_REF_NEVER = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(?:/|$)|(?:^|/)\.")


def repository_problem(address: str) -> str | None:
    """Why this address is refused, or None.

    >>> repository_problem("https://example.org/shop.git")
    >>> repository_problem("ext::sh -c id")
    'is not an address git may be given'
    """
    if has_control_characters(address) or address != address.strip() or not address:
        return "has control characters or spaces around it"
    if address.startswith("-"):
        return "starts with '-'"
    if address.startswith("/"):
        return None
    url = _URL.match(address)
    if url is None:
        return None if _SCP_LIKE.match(address) else "is not an address git may be given"
    return _url_problem(url["scheme"], url["place"])


def _url_problem(scheme: str, place: str) -> str | None:
    if scheme not in SCHEMES:
        return f"uses {scheme}://, which is not let through"
    host = place.rpartition("@")[2]
    if host.startswith("-") or place.startswith("-"):
        return "has a host that starts with '-'"
    if scheme != "file" and not host:
        return "names no host"
    if ":" in place.rpartition("@")[0] and scheme in ("http", "https"):
        return "has a password in it"
    return None


def ref_problem(ref: str) -> str | None:
    """Why this branch or tag name is refused, or None; the rules of `git check-ref-format`."""
    if not ref or has_control_characters(ref):
        return "is empty or has control characters"
    if ref.startswith("-"):
        return "starts with '-'"
    if _REF_NEVER.search(ref) or ref == "@" or ref.endswith((".", "/")) or ref.startswith("/"):
        return "is not a name that git allows for a branch or a tag"
    return None


def commit_problem(commit: str) -> str | None:
    """Why this is not a full commit id, or None."""
    return None if _COMMIT.match(commit) else "is not a full commit id (40 or 64 hex digits)"


def check_git(*, repository: str, ref: str | None, commit: str | None, at: str = "git") -> None:
    """Raise `InvalidInput` unless all three may be given to git."""
    if problem := repository_problem(repository):
        raise invalid(f"{at}.repository", problem, REPOSITORY_MEND)
    if ref is not None and (problem := ref_problem(ref)):
        raise invalid(f"{at}.ref", problem, "write the name of a branch or a tag")
    if commit is not None and (problem := commit_problem(commit)):
        raise invalid(f"{at}.commit", problem, "write the full id that `git rev-parse` prints")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPlace:
    """Who answers at an address; `host` has the port with it, and no user."""

    scheme: str
    host: str

    @property
    def origin(self) -> str:
        """As git names it in its questions."""
        return f"{self.scheme}://{self.host}"

    def is_that_of(self, other: "GitPlace") -> bool:
        """Names of hosts know no case."""
        return self.origin.lower() == other.origin.lower()


def place_of(address: str) -> GitPlace:
    """Where a credential for this address may go, and nowhere else.

    >>> place_of("https://ada@Git.example.org:8443/shop.git").origin
    'https://Git.example.org:8443'
    >>> place_of("git@git.example.org:shop.git").origin
    'ssh://git.example.org'
    """
    url = _URL.match(address)
    if url is not None:
        return GitPlace(scheme=url["scheme"], host=url["place"].rpartition("@")[2])
    scp_like = _SCP_LIKE.match(address) if not address.startswith("/") else None
    if scp_like is not None:
        return GitPlace(scheme="ssh", host=scp_like["host"])
    return GitPlace(scheme="file", host="")


REPOSITORY_MEND: Final = "write https://host/path, ssh://host/path, git@host:path or file:///path"


def protocols_of(address: str) -> str:
    """The one protocol that git may speak for this address (GIT_ALLOW_PROTOCOL).

    Only its own: a redirect or an alternate can then never move git to another one, least of all
    from the network to a file of the node. http may be redirected to https, never the other way.
    """
    url = _URL.match(address)
    if url is None:
        return "file" if address.startswith("/") else "ssh"
    return "http:https" if url["scheme"] == "http" else url["scheme"]
