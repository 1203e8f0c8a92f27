"""Credentials in project files stand by name, on servers by id: an id is of one installation only.

The key says so: `git_credential: forge` in a file is `git_credential_id: cred_…` on the server. A
project's own credential stands before a global one of its name.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from boreas.domain.reading import Reader

KEYS: Final[Mapping[str, str]] = {
    "git_credential": "git_credential_id",
    "registry_credential": "registry_id",
}
"""The key in files -> the server's."""

STAND_IN: Final = "named"
"""Instead of an id, where a document is judged before ids are known."""


def with_ids(document: Any, id_of: Callable[[str, str], str]) -> Any:
    """The server's form of a `spec`, a `build` or a version; `id_of` gets key and name."""
    if not isinstance(document, Mapping):
        return document
    found = {key: value for key, value in document.items() if key not in KEYS}
    for key, theirs in KEYS.items():
        if document.get(key) is not None:
            found[theirs] = id_of(key, str(document[key]))
    return found


def with_names(document: Any, name_of: Callable[[str], str]) -> Any:
    """The files' form of what the server shows."""
    if not isinstance(document, Mapping):
        return document
    ours = {theirs: key for key, theirs in KEYS.items()}
    return {
        ours.get(key, key): name_of(str(value)) if key in ours and value is not None else value
        for key, value in document.items()
    }


def names_in(document: Any) -> dict[str, str]:
    """The credentials that a document names, by key."""
    if not isinstance(document, Mapping):
        return {}
    return {key: str(document[key]) for key in KEYS if document.get(key) is not None}


def refuse_ids(reader: Reader, at: str, document: object) -> None:
    """Note every id: it means nothing on another installation."""
    if isinstance(document, Mapping):
        for key, theirs in KEYS.items():
            if theirs in document:
                place = f"{at}.{theirs}" if at else theirs
                reader.wrong(place, "is an id of one installation", f"write `{key}: <its name>`")


def in_words_of_files(problem: str) -> str:
    """What a reader of the server's form says, with the files' keys."""
    for key, theirs in KEYS.items():
        problem = problem.replace(theirs, key)
    return problem
