"""What may stand under a key of a project file: how it is read, and how the JSON Schema says it.

Both in one place, so that an editor and `boreas apply` never judge differently.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from boreas.domain.reading import Complaint, Reader, kind_of

Schema = dict[str, Any]
Check = Callable[[Reader, str], None]
"""Notes with the reader what is wrong under this key."""

_NEVER_IN_NAMES: Final = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table."""

    name: str
    schema: Schema
    check: Check
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All keys of one noun. `rule` is what concerns several of them together."""

    about: str
    keys: Sequence[Key]
    rule: Callable[[Reader], None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The keys in the order in which files are written."""
        return tuple(key.name for key in self.keys)

    def read(self, reader: Reader) -> None:
        """Note everything that is wrong with one entry."""
        for key in self.keys:
            key.check(reader, key.name)
        if self.rule is not None:
            self.rule(reader)
        reader.refuse_the_rest()

    def schema(self) -> Schema:
        """The same as JSON Schema."""
        found: Schema = {
            "type": "object",
            "description": self.about,
            "properties": {key.name: key.schema for key in self.keys},
            "additionalProperties": False,
        }
        required = [key.name for key in self.keys if key.required]
        return {**found, "required": required} if required else found


def text(  # noqa: PLR0913 - what can be said of a text
    name: str,
    about: str,
    *,
    required: bool = False,
    most: int = 10_000,
    mend: str = "",
    check: Complaint | None = None,
    pattern: str = "",
) -> Key:
    """A text."""

    def judged(value: str) -> str | None:
        if len(value) > most:
            return f"is longer than {most} characters"
        return check(value) if check else None

    def read(reader: Reader, key: str) -> None:
        reader.text(key, required=required, mend=mend, check=judged)

    schema: Schema = {"type": "string", "description": about, "maxLength": most}
    if required:
        schema["minLength"] = 1
    if pattern:
        schema["pattern"] = pattern
    return Key(name=name, schema=schema, check=read, required=required)


def called(name: str, about: str, *, required: bool = True) -> Key:
    """A name that people give."""
    mend = "" if not required else "write its name"
    return text(name, about, required=required, most=100, mend=mend, check=name_problem)


def name_problem(name: str) -> str | None:
    """What is wrong with a name; None if nothing is."""
    if name != name.strip():
        return "has spaces around it"
    if any(unicodedata.category(letter) in _NEVER_IN_NAMES for letter in name):
        return "has control characters"
    return None


def one_of(
    name: str, about: str, kinds: type[StrEnum] | Sequence[str], *, required: bool = False
) -> Key:
    """One of a few words."""
    known = [str(each) for each in kinds]
    mend = f"write one of {', '.join(known)}"

    def read(reader: Reader, key: str) -> None:
        found = reader.text(key, required=required, mend=mend)
        if found is not None and found not in known:
            reader.wrong(key, f"is {found!r}", mend)

    schema: Schema = {"enum": known, "description": about}
    return Key(name=name, schema=schema, check=read, required=required)


def some_of(name: str, about: str, kinds: type[StrEnum]) -> Key:
    """A list of a few words."""
    known = [str(each) for each in kinds]

    def judged(value: str) -> str | None:
        return None if value in known else f"is {value!r}; write some of {', '.join(known)}"

    def read(reader: Reader, key: str) -> None:
        reader.texts(key, judged)

    schema: Schema = {"type": "array", "items": {"enum": known}, "description": about}
    return Key(name=name, schema=schema, check=read)


def texts(name: str, about: str, *, check: Complaint | None = None) -> Key:
    """A list of texts."""

    def read(reader: Reader, key: str) -> None:
        reader.texts(key, check)

    schema: Schema = {"type": "array", "items": {"type": "string"}, "description": about}
    return Key(name=name, schema=schema, check=read)


def flag(name: str, about: str) -> Key:
    """True or false."""

    def read(reader: Reader, key: str) -> None:
        value = reader.raw(key)
        if value is not None and not isinstance(value, bool):
            reader.wrong(key, f"is {kind_of(value)}", "write true or false")

    return Key(name=name, schema={"type": "boolean", "description": about}, check=read)


def number(name: str, about: str, *, least: float, most: float, whole: bool = False) -> Key:
    """A number between two bounds."""

    def read(reader: Reader, key: str) -> None:
        if whole:
            reader.whole(key, int(least), least=int(least), most=int(most))
        else:
            reader.number(key, least, least=least, most=most)

    kind = "integer" if whole else "number"
    schema: Schema = {"type": kind, "minimum": least, "maximum": most, "description": about}
    return Key(name=name, schema=schema, check=read)


def document(name: str, about: str, *, schema: Schema | None = None, required: bool = False) -> Key:
    """An object whose inside somebody else judges."""

    def read(reader: Reader, key: str) -> None:
        value = reader.raw(key)
        if value is None:
            if required:
                reader.wrong(key, "is missing", "write an object")
        elif not isinstance(value, dict):
            reader.wrong(key, f"is {kind_of(value)}", "write an object")

    found: Schema = {"type": "object", "description": about} if schema is None else schema
    return Key(name=name, schema=found, check=read, required=required)


def child(name: str, table: Table) -> Key:
    """An object with keys of its own."""

    def read(reader: Reader, key: str) -> None:
        inner = reader.child(key)
        if inner is not None:
            table.read(inner)

    return Key(name=name, schema=table.schema(), check=read)


def listed(name: str, table: Table, *, identity: str = "name") -> Key:
    """A list of entries, each with an `identity` of its own."""

    def read(reader: Reader, key: str) -> None:
        value = reader.raw(key)
        if value is None:
            return
        if not isinstance(value, list):
            reader.wrong(key, "is not a list", "write each entry after a dash")
            return
        for place, entry in enumerate(value):
            at = f"{key}[{place}]"
            table.read(_inner(reader, at, entry))
        for place in _repeated(value, identity):
            twice = value[place][identity]
            reader.wrong(f"{key}[{place}].{identity}", f"{twice!r} is there twice", "keep one")

    schema: Schema = {"type": "array", "items": table.schema(), "description": table.about}
    return Key(name=name, schema=schema, check=read)


def _inner(reader: Reader, at: str, entry: object) -> Reader:
    return Reader(entry, reader.path(at), reader.problems)


def _repeated(entries: Iterable[object], identity: str) -> Iterable[int]:
    """A global credential may have the name of a project's own."""
    seen: set[tuple[str, bool]] = set()
    for place, entry in enumerate(entries):
        name = entry.get(identity) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(name, str):
            if (name, entry.get("scope") == "global") in seen:
                yield place
            seen.add((name, entry.get("scope") == "global"))
