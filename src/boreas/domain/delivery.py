"""Secrets on their way to one execution: by reference while they wait, in plain only at the end.

`CredentialUse` stands in releases and orders and may be read by anybody. `OpenedSecrets` exists in
the server's memory while an order is sent, in the frame, and on the agent for one execution; it
never shows itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from boreas.domain.secrets import SecretRef

GIT: Final = "git"
"""The use of a credential by which sources are fetched."""
REGISTRY: Final = "registry"
"""The use of a credential by which images are pulled or pushed."""

# What a credential holds beside its secret; masking `admin` would make logs unreadable.
_PUBLIC_FIELDS: Final = frozenset({"username", "registry", "known_hosts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialUse:
    """Which credential an order needs, of what type, and where its value lies sealed."""

    credential_id: str
    type: str
    ref: SecretRef
    place: str = ""
    """Where alone it may be shown: `https://git.example.org`; empty where its value says that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCredential:
    """A credential in plain, with the fields of its type (`username`, `token`, ...)."""

    type: str
    fields: Mapping[str, str] = field(repr=False)

    def secret_values(self) -> Iterator[str]:
        """What must not be seen of it."""
        for name, value in self.fields.items():
            if name not in _PUBLIC_FIELDS:
                yield value


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSecrets:
    """All that one order got in plain. `masks` are values that it must not show either.

    Those are the other revisions of its secrets: one that was changed while a deployment is under
    way stays masked in its old and in its new form.
    """

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: Mapping[str, OpenedCredential] = field(default_factory=dict, repr=False)
    masks: tuple[str, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.variables or self.credentials or self.masks)

    def values(self) -> tuple[str, ...]:
        """Everything that must be masked."""
        credentials = (one.secret_values() for one in self.credentials.values())
        every = (*self.variables.values(), *self.masks, *(v for some in credentials for v in some))
        return tuple(dict.fromkeys(value for value in every if value))


NO_SECRETS: Final = OpenedSecrets()


def refs_in(
    secret_variables: Mapping[str, SecretRef], credentials: Mapping[str, CredentialUse]
) -> tuple[SecretRef, ...]:
    """Every sealed value that is meant."""
    refs = (*secret_variables.values(), *(use.ref for use in credentials.values()))
    return tuple(dict.fromkeys(refs))


def masked_values(result: Mapping[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
    """The same result with every text in it masked, names too."""
    return {mask(name): _masked(value, mask) for name, value in result.items()}


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    match value:
        case str():
            return mask(value)
        case dict():
            return masked_values(value, mask)
        case list() | tuple():
            return [_masked(one, mask) for one in value]
        case _:
            return value
