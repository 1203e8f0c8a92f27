"""The few `{words}` that may stand in a path, a container's name or an image.

They let one application be put on several targets of one machine without their getting into each
other's way. Names of people's things become safe parts of a path: nothing in them can climb out.
"""

import re
from collections.abc import Mapping
from typing import Final

PLACE_WORDS: Final = ("project", "application", "environment", "target", "agent")
IMAGE_WORDS: Final = ("version",)

_WORD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def unknown_word(text: str, known: tuple[str, ...]) -> str | None:
    """The complaint about the first `{word}` that is not known here, or None."""
    for word in _WORD.findall(text):
        if word not in known:
            names = ", ".join(f"{{{name}}}" for name in known)
            return f"has {{{word}}}; only {names} can stand here"
    return None


def filled(text: str, words: Mapping[str, str]) -> str:
    """The text with every known `{word}` replaced as it is."""
    return _WORD.sub(lambda found: words.get(found[1], found[0]), text)


def filled_safely(text: str, words: Mapping[str, str]) -> str:
    """The same for paths and names: what could part or climb a path becomes `-`.

    >>> filled_safely("/srv/{target}", {"target": "../web 1"})
    '/srv/-web-1'
    """
    return filled(text, {word: safe_name(value) for word, value in words.items()})


def safe_name(text: str) -> str:
    """A text as one harmless part of a path or of a container's name."""
    return _UNSAFE.sub("-", text).lstrip(".") or "-"
