"""Where a secret comes from when files are applied: never from the files themselves.

value_from: {env: FORGE_TOKEN}      or      value_from: {file: keys/forge}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from boreas.domain.credentials import CredentialType
from boreas.domain.manifests.shapes import Key, Schema, Table, text
from boreas.domain.reading import Reader, kind_of

FROM: Final = "_from"
SECRET_PART: Final[Mapping[CredentialType, str]] = {
    CredentialType.USERNAME_TOKEN: "password",
    CredentialType.ACCESS_TOKEN: "token",
    CredentialType.SSH: "private_key",
    CredentialType.REGISTRY: "password",
    CredentialType.KUBECONFIG: "kubeconfig",
}
"""What `value_from` stands for."""
OTHER_PARTS: Final[Mapping[CredentialType, tuple[str, ...]]] = {
    CredentialType.USERNAME_TOKEN: ("username",),
    CredentialType.ACCESS_TOKEN: ("username",),
    CredentialType.SSH: ("passphrase", "known_hosts"),
    CredentialType.REGISTRY: ("registry", "username"),
    CredentialType.KUBECONFIG: (),
}
NEEDED: Final[Mapping[CredentialType, tuple[str, ...]]] = {
    **dict.fromkeys(CredentialType, ()),
    CredentialType.USERNAME_TOKEN: ("username",),
    CredentialType.REGISTRY: ("registry", "username"),
}
"""Other parts without which there is no value."""
WITH_LINES: Final = frozenset({"private_key", "kubeconfig", "known_hosts"})
"""The line break at the end of a file belongs to these, and to no other."""

_MEND: Final = "write {env: NAME} or {file: PATH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one secret comes from: exactly one of both is set."""

    env: str = ""
    file: str = ""


def source_of(document: Mapping[str, Any]) -> Source:
    """The source that a checked document names."""
    return Source(env=str(document.get("env") or ""), file=str(document.get("file") or ""))


def _one(reader: Reader) -> None:
    if reader.has("env") == reader.has("file"):
        reader.wrong("", "needs exactly one of `env` and `file`", _MEND)


SOURCE: Final = Table(
    about="Where the value comes from when the file is applied; it is sent only when the server "
    "has none yet, or with --update-secrets.",
    keys=(
        text("env", "Name of an environment variable of `boreas apply`."),
        text("file", "Path, from the directory of this file."),
    ),
    rule=_one,
)


def source(name: str) -> Key:
    """The key under which a source stands."""

    def read(reader: Reader, key: str) -> None:
        value = reader.raw(key)
        if value is None:
            return
        if not isinstance(value, Mapping):
            # What was written here may be the secret itself: it is not repeated.
            reader.wrong(key, f"is {kind_of(value)}", _MEND)
            return
        SOURCE.read(Reader(value, reader.path(key), reader.problems))

    schema: Schema = {
        **SOURCE.schema(),
        "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
    }
    return Key(name=name, schema=schema, check=read)


def refuse_plain(name: str) -> Key:
    """A key that people write by mistake: a secret in plain."""

    def read(reader: Reader, key: str) -> None:
        if reader.raw(key) is not None:
            mend = "keep it out of the file: value_from: {env: NAME} or {file: PATH}"
            reader.wrong(key, "stands here in plain", mend)

    return Key(name=name, schema={"not": {}, "description": "Never in a file."}, check=read)
