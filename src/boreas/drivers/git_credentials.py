"""Lets one git command into a private repository, by files that only this order's tools can read.

Used by the mirror on the agent and by `git ls-remote` on the server. Passwords reach git by
askpass, a key by a file of its own: none of it is in an argument, an address, or the environment.
Askpass answers for the repository's own host only, so a redirect elsewhere learns nothing.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Final

from boreas.domain.delivery import OpenedCredential
from boreas.domain.errors import invalid
from boreas.domain.git_names import GitPlace, place_of

SSH: Final = "ssh"
# What forges take as the name of who brings only a token; GitHub takes any.
TOKEN_USER: Final = "oauth2"

# It stands in a script: letters, digits and what an address needs, nothing that a shell reads.
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")

_ASKPASS = """#!/bin/sh
case "$1" in
  "Username for '{origin}"[/\\']*) exec cat -- {username} ;;
  "Password for '{scheme}://"*"@{host}"[/\\']*) exec cat -- {password} ;;
esac
exit 1
"""
_PASSPHRASE = """#!/bin/sh
case "$1" in
  "Enter passphrase for key"*) exec cat -- {passphrase} ;;
esac
exit 1
"""


def git_access(
    credential: OpenedCredential, repository: str, *, private: Path, known_hosts: Path
) -> dict[str, str]:
    """Variables for the git command; makes the files they name, again if they are there.

    `private` is for this command's user only and goes with the order; `known_hosts` remembers what
    a host's key was. `InvalidInput` when the credential cannot open this kind of address.
    """
    place = place_of(repository)
    if credential.type == SSH:
        return _ssh_access(credential, place, private, known_hosts)
    return _http_access(credential, place, private)


def _http_access(credential: OpenedCredential, place: GitPlace, private: Path) -> dict[str, str]:
    if place.scheme not in ("http", "https"):
        raise _wrong_kind("a user name and a password open https:// only", place)
    if not _HOST.fullmatch(place.host):
        raise invalid("git.repository", f"`{place.host}` is not the name of a host")
    fields = credential.fields
    username = _written(private / "username", fields.get("username") or TOKEN_USER)
    password = _written(private / "password", fields.get("password") or fields.get("token") or "")
    script = _ASKPASS.format(
        origin=place.origin,
        scheme=place.scheme,
        host=place.host,
        username=shlex.quote(str(username)),
        password=shlex.quote(str(password)),
    )
    askpass = _written(private / "askpass", script, mode=0o700)
    return {"GIT_ASKPASS": str(askpass), "GIT_TERMINAL_PROMPT": "0"}


def _ssh_access(
    credential: OpenedCredential, place: GitPlace, private: Path, known_hosts: Path
) -> dict[str, str]:
    if place.scheme != "ssh":
        raise _wrong_kind("an SSH key opens ssh://host/path and git@host:path only", place)
    fields = credential.fields
    key = _written(private / "key", fields["private_key"].strip() + "\n")
    if fields.get("known_hosts"):
        known_hosts = _written(private / "known_hosts", fields["known_hosts"].strip() + "\n")
    is_strict = bool(fields.get("known_hosts"))
    passphrase = fields.get("passphrase")
    command = ssh_command(key, known_hosts=known_hosts, is_strict=is_strict, asks=bool(passphrase))
    access = {"GIT_SSH_COMMAND": shlex.join(command), "GIT_SSH_VARIANT": "ssh"}
    if passphrase:
        where = _written(private / "passphrase", passphrase)
        script = _PASSPHRASE.format(passphrase=shlex.quote(str(where)))
        askpass = _written(private / "ssh-askpass", script, mode=0o700)
        access |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    return access


def ssh_command(key: Path, *, known_hosts: Path, is_strict: bool, asks: bool) -> tuple[str, ...]:
    """ssh with this key and nothing else of this node: no agent, no configuration, no password.

    A host that is met for the first time is believed and remembered, unless the credential says
    which keys are right; one whose key has changed never is.
    """
    options = (
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        f"BatchMode={'no' if asks else 'yes'}",
        "PreferredAuthentications=publickey",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "NumberOfPasswordPrompts=1",
        f"StrictHostKeyChecking={'yes' if is_strict else 'accept-new'}",
        f"UserKnownHostsFile={_as_ssh_word(known_hosts)}",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ProxyCommand=none",
        "ConnectTimeout=10",
    )
    flags = tuple(f"-o{option}" for option in options)
    return ("ssh", "-F", "/dev/null", "-i", str(key).replace("%", "%%"), *flags)


def _as_ssh_word(path: Path) -> str:
    """ssh splits at spaces and replaces `%` in the values of its options."""
    return '"' + str(path).replace("%", "%%") + '"'


def _written(path: Path, text: str, *, mode: int = 0o600) -> Path:
    """A file that was never readable by anybody else, whole when it has its name."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, mode), "w", errors="surrogateescape") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def _wrong_kind(told: str, place: GitPlace) -> Exception:
    mend = "name a credential of another type in `git_credential_id`, or another address"
    return invalid("git_credential_id", f"{told}, and this is {place.origin}", mend)
