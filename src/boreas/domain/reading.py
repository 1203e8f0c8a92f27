"""Read a document that people wrote: typed values out, every wrong field named with its path.

Used by `boreas.domain.specs`, when an application is saved and again on the agent. A reader notes
what is wrong instead of stopping at the first mistake; `done` raises them all at once.
"""

import difflib
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from boreas.domain.errors import FieldError, InvalidInput

Complaint = Callable[[str], str | None]
"""Says what is wrong with a text, or None."""


class Reader:
    """One mapping of a document. Values that are wrong come back as harmless stand-ins."""

    def __init__(self, document: object, at: str, problems: list[FieldError] | None = None) -> None:
        self.at = at
        self._problems: list[FieldError] = [] if problems is None else problems
        self._asked: list[str] = []
        self._values: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
        if not isinstance(document, Mapping):
            self._problems.append(
                FieldError(field=at, problem=f"is {kind_of(document)}", mend="write an object")
            )

    @property
    def problems(self) -> list[FieldError]:
        """What was noted; readers of what lies inside share it."""
        return self._problems

    @property
    def whole_document(self) -> Mapping[str, Any]:
        """Everything that was given; no key of it counts as known by that."""
        return self._values

    def path(self, key: str) -> str:
        """The full name of a key, as people see it in errors; of no key: of the whole."""
        return f"{self.at}.{key}" if self.at and key else self.at or key

    def wrong(self, key: str, problem: str, mend: str = "") -> None:
        """Note that this field cannot be used."""
        self._problems.append(FieldError(field=self.path(key), problem=problem, mend=mend))

    def has(self, key: str) -> bool:
        """Is the key there with something in it?"""
        return self._values.get(key) is not None

    def raw(self, key: str) -> Any:
        """The value as it stands; the key counts as known."""
        self._asked.append(key)
        return self._values.get(key)

    def text(
        self, key: str, *, required: bool = False, mend: str = "", check: Complaint | None = None
    ) -> str | None:
        """A text that is not empty; None when it is left out (or wrong)."""
        value = self.raw(key)
        if value is None or value == "":
            if required:
                self.wrong(key, "is missing", mend)
            return None
        if not isinstance(value, str):
            self.wrong(key, f"is {kind_of(value)}", mend or "write a text")
            return None
        problem = check(value) if check else None
        if problem:
            self.wrong(key, problem, mend)
            return None
        return value

    def number(
        self, key: str, default: float, *, least: float = 0.0, most: float = 31_536_000.0
    ) -> float:
        """A finite number between two bounds."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            self.wrong(key, f"is {kind_of(value)}", "write a number")
            return default
        if not least <= value <= most:
            self.wrong(key, f"is {value:g}", f"write a number from {least:g} to {most:g}")
            return default
        return float(value)

    def whole(self, key: str, default: int, *, least: int, most: int) -> int:
        """A whole number between two bounds."""
        value = self.number(key, float(default), least=least, most=most)
        if value != int(value):
            self.wrong(key, f"is {value:g}", "write a whole number")
            return default
        return int(value)

    def child(self, key: str) -> "Reader | None":
        """The object under this key, sharing the list of problems."""
        value = self.raw(key)
        return None if value is None else Reader(value, self.path(key), self._problems)

    def texts(self, key: str, check: Complaint | None = None) -> tuple[str, ...]:
        """A list of texts; one text or number alone is a list of one."""
        value = self.raw(key)
        if value is None:
            return ()
        items = [value] if isinstance(value, str | int) else value
        if not isinstance(items, Sequence):
            self.wrong(key, f"is {kind_of(value)}", "write a list of texts")
            return ()
        return tuple(self._each_text(key, items, check))

    def _each_text(self, key: str, items: Sequence[Any], check: Complaint | None) -> list[str]:
        texts = []
        for place, item in enumerate(items):
            if isinstance(item, bool) or not isinstance(item, str | int):
                self.wrong(f"{key}[{place}]", f"is {kind_of(item)}", "write a text")
                continue
            problem = check(str(item)) if check else None
            if problem:
                self.wrong(f"{key}[{place}]", problem)
            else:
                texts.append(str(item))
        return texts

    def text_by_name(self, key: str) -> dict[str, str]:
        """An object of plain values, each as the text an environment variable would hold."""
        value = self.raw(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.wrong(key, f"is {kind_of(value)}", "write an object of names and values")
            return {}
        found: dict[str, str] = {}
        for name, item in value.items():
            text = plain_text(item)
            if text is None or not isinstance(name, str) or "\0" in text:
                self.wrong(f"{key}.{name}", f"is {kind_of(item)}", "write a text or a number")
            else:
                found[name] = text
        return found

    def done(self) -> None:
        """No more keys are known: name the others, and raise `InvalidInput` with all problems."""
        self.refuse_the_rest()
        if self._problems:
            told = [
                p.field + ": " + p.problem + (f"; {p.mend}" if p.mend else "")
                for p in self._problems
            ]
            raise InvalidInput("\n".join(told), fields=tuple(self._problems))

    def refuse_the_rest(self) -> None:
        """Note every key that nobody asked for: a typo must not be silently ignored."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(str(key), self._asked, n=1)
                known = ", ".join(f"`{name}`" for name in dict.fromkeys(self._asked))
                mend = f"did you mean `{near[0]}`?" if near else f"known here: {known}"
                self.wrong(str(key), "is not known", mend)


def plain_text(value: object) -> str | None:
    """A scalar as text (`true` and `false` as JSON says them); None for anything deeper."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def kind_of(value: object) -> str:
    """What a value is, in a reader's words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "a text", list: "a list", tuple: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "something else")


def has_control_characters(text: str) -> bool:
    """True for NUL, newlines, escapes and unpaired surrogates: none belongs in a name or a path."""
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
