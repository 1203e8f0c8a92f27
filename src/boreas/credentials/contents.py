"""What the value of a credential must look like, by type, before anybody stores it.

Pure but for the parsing of keys, which may take seconds for a key that is protected well: called
by `server.api.credentials` in a thread. Refusals name the field and never repeat what was given.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from boreas.credentials.kubeconfigs import check_kubeconfig
from boreas.credentials.private_keys import check_private_key
from boreas.domain.credentials import CredentialType
from boreas.domain.errors import invalid

# Keys and kubeconfigs have a few thousand; a long YAML text would keep other requests waiting.
LONGEST: Final = 64 * 1024

# A host, perhaps a port, perhaps a path: what stands before the image's name.
_REGISTRY = re.compile(
    r"(?:https?://)?(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
    r"(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/-]*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A value that can be stored; `details` is what of it may be shown."""

    fields: Mapping[str, str] = field(repr=False)
    details: Mapping[str, str]

    def packed(self) -> bytes:
        """As the vault gets it; always the same for the same value."""
        return json.dumps(dict(self.fields), sort_keys=True).encode()


STAYING: Final = frozenset({"username", "registry", "known_hosts"})
"""Fields that stay when a new value does not name them. Only these: who could keep the password
and change the registry would have it sent to a place of their own."""


def with_what_stays(given: Mapping[str, object], before: Mapping[str, str]) -> dict[str, object]:
    """A new value over an old one."""
    staying = {name: text for name, text in before.items() if name in STAYING}
    return {**staying, **given}


def unpacked(plaintext: bytes) -> Mapping[str, str]:
    """The fields of a value that came out of the vault."""
    fields: dict[str, str] = json.loads(plaintext)
    return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    look: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda fields: {}


def checked(kind: CredentialType, given: Mapping[str, object]) -> Contents:
    """The value of this type; `InvalidInput` names the field, as `data.<field>`, and the mend."""
    shape = SHAPES[kind]
    known = (*shape.required, *shape.optional)
    for name in given:
        if name not in known:
            mend = "known here: " + ", ".join(f"`{each}`" for each in known)
            raise invalid(f"data.{name}"[:100], f"is no field of type {kind.value}", mend)
    fields = {name: _text(name, given.get(name)) for name in known if given.get(name) is not None}
    for name in shape.required:
        if not fields.get(name):
            problem = "is empty" if name in fields else "is missing"
            raise invalid(f"data.{name}", problem, f"type {kind.value} needs it")
    present = {name: text for name, text in fields.items() if text}
    return Contents(fields=present, details=shape.look(present))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise invalid(f"data.{name}", "is not a text")
    if len(value) > LONGEST:
        raise invalid(f"data.{name}", f"is longer than {LONGEST} characters")
    if "\0" in value or (not value.isascii() and _has_surrogates(value)):
        raise invalid(f"data.{name}", "has characters that no text has")
    if name in _LINES:
        return value.replace("\r\n", "\n")
    if any(letter in value for letter in "\r\n"):
        mend = "a copied value often ends in a line break; leave it out"
        raise invalid(f"data.{name}", "has a line break", mend)
    return value


_LINES: Final = frozenset({"private_key", "known_hosts", "kubeconfig"})


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _look_at_name(fields: Mapping[str, str]) -> Mapping[str, str]:
    if ":" in fields.get("username", ""):
        raise invalid("data.username", "has a colon, which no server can tell from the password's")
    return {}


def _look_at_registry(fields: Mapping[str, str]) -> Mapping[str, str]:
    _look_at_name(fields)
    if not _REGISTRY.fullmatch(fields["registry"]):
        mend = "write a host such as registry.example.org or registry.example.org:5000"
        raise invalid("data.registry", "is not the address of a registry", mend)
    return {"registry": fields["registry"]}


def _look_at_ssh(fields: Mapping[str, str]) -> Mapping[str, str]:
    return check_private_key(fields["private_key"], fields.get("passphrase"))


def _look_at_kubeconfig(fields: Mapping[str, str]) -> Mapping[str, str]:
    return check_kubeconfig(fields["kubeconfig"])


SHAPES: Final[Mapping[CredentialType, _Shape]] = {
    CredentialType.USERNAME_TOKEN: _Shape(required=("username", "password"), look=_look_at_name),
    CredentialType.ACCESS_TOKEN: _Shape(
        required=("token",), optional=("username",), look=_look_at_name
    ),
    CredentialType.SSH: _Shape(
        required=("private_key",), optional=("passphrase", "known_hosts"), look=_look_at_ssh
    ),
    CredentialType.REGISTRY: _Shape(
        required=("registry", "username", "password"), look=_look_at_registry
    ),
    CredentialType.KUBECONFIG: _Shape(required=("kubeconfig",), look=_look_at_kubeconfig),
}
"""The fields of each type. `username` of a token is for forges that want a certain one."""
