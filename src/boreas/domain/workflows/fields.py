"""Reads one mapping of the tree; what is wrong is noted with its place, and reading goes on."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from boreas.domain.variables import name_problem, value_problem
from boreas.domain.workflows.problems import MOST_PROBLEMS, Place, Problem, refused
from boreas.domain.workflows.tree import Node, Scalar

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
LONGEST_SECONDS: Final = 31_536_000.0


class Fields:
    """One mapping. Values that are wrong come back as harmless stand-ins."""

    def __init__(self, node: Node, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.place = node.place
        self.problems = problems
        self._asked: list[str] = []
        self._entries: Mapping[str, tuple[Node, Node]] = {}
        if isinstance(node.value, Mapping):
            self._entries = node.value
        else:
            mend = "write `key: value` lines"
            self.wrong_at(node.place, path, f"is {kind_of(node)}, not a mapping", mend)

    # --- noting ------------------------------------------------------------------------------

    def wrong_at(self, place: Place, path: str, problem: str, mend: str = "") -> None:
        """Note a problem at any place; so many are enough, and the rest is not read any more."""
        self.problems.append(Problem(place=place, path=path, problem=problem, mend=mend))
        if len(self.problems) >= MOST_PROBLEMS:
            raise refused(self.problems)

    def wrong(self, key: str, problem: str, mend: str = "") -> None:
        """Note a problem of this key's value."""
        self.wrong_at(self.place_of(key), self.path_of(key), problem, mend)

    def path_of(self, key: str) -> str:
        """The key as people see it in errors."""
        return f"{self.path}.{key}" if self.path else key

    def place_of(self, key: str) -> Place:
        """Where the key's value stands; the mapping's own place if it is not there."""
        return self._entries[key][1].place if key in self._entries else self.place

    def text_place(self, key: str) -> Place:
        """Where the first letter of the key's text stands: behind a quote, below a block's mark."""
        node = self._entries[key][1]
        line, column = node.place
        if node.style in ("|", ">"):
            return Place(line + 1, self._entries[key][0].place.column + 2)
        return Place(line, column + len(node.style))

    def places(self) -> dict[str, Place]:
        """Where every value stands; the mapping itself under the empty key."""
        return {"": self.place, **{key: value.place for key, (_, value) in self._entries.items()}}

    # --- reading -----------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether the key is there with something in it."""
        return key in self._entries and self._entries[key][1].value is not None

    def node(self, key: str) -> Node | None:
        """The value as it stands, None where there is nothing; the key counts as known."""
        self._asked.append(key)
        return self._entries[key][1] if self.has(key) else None

    def text(self, key: str, *, most: int = 200, required: bool = False) -> str | None:
        """A text that is not blank."""
        node = self.node(key)
        if node is None:
            if required:
                self.wrong(key, f"has no `{key}`", f"write `{key}: …`")
            return None
        found = text_of(node)
        if found is None:
            self.wrong(key, f"is {kind_of(node)}, not a text", "write a text")
        elif not found.strip():
            self.wrong(key, "is empty", "write something, or leave the key out")
        elif len(found) > most:
            self.wrong(key, f"has {len(found)} characters, at most {most} are taken", "shorten it")
        else:
            return found
        return None

    def flag(self, key: str) -> bool:
        """`true` or `false`, false if it is left out."""
        node = self.node(key)
        if node is None:
            return False
        if not isinstance(node.value, bool):
            self.wrong(key, f"is {kind_of(node)}", "write `true` or `false`")
            return False
        return node.value

    def whole(self, key: str, *, least: int, most: int) -> int | None:
        """A whole number between two bounds."""
        node = self.node(key)
        if node is None:
            return None
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(key, f"is {shown(node)}", f"write a whole number from {least} to {most}")
            return None
        return value

    def seconds(self, key: str, *, least: float = 0.0) -> float | None:
        """A number of seconds, or `90s`, `10m`, `1.5h`, `2d`."""
        node = self.node(key)
        if node is None:
            return None
        value = node.value
        found: float | None = None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
        elif isinstance(value, str) and (matched := _DURATION.fullmatch(value.strip())):
            found = float(matched[1]) * _SECONDS[matched[2]]
        if found is None or math.isnan(found) or not least <= found <= LONGEST_SECONDS:
            mend = f"write seconds or `90s`, `10m`, `2h`, from {least:g} s to 365 days"
            self.wrong(key, f"is {shown(node)}, not a length of time", mend)
            return None
        return found

    def choice(self, key: str, choices: Sequence[str], *, required: bool = False) -> str | None:
        """One of these words."""
        found = self.text(key, required=required)
        if found is not None and found not in choices:
            near = difflib.get_close_matches(found, choices, n=1)
            known = ", ".join(f"`{it}`" for it in choices)
            mend = f"did you mean `{near[0]}`?" if near else f"write one of {known}"
            self.wrong(key, f"is {found!r}, which is unknown", mend)
            return None
        return found

    def texts(self, key: str, *, most: int = 10_000) -> list[tuple[str, Place]]:
        """A list of texts, or one text alone; each with its place."""
        node = self.node(key)
        if node is None:
            return []
        is_list = isinstance(node.value, Sequence) and not isinstance(node.value, str)
        items: Sequence[Node] = node.value if is_list else [node]  # type: ignore[assignment]
        if len(items) > most:
            self.wrong(key, f"has {len(items)} entries, at most {most} are taken", "leave some out")
            return []
        return list(self._each_text(key, items))

    def _each_text(self, key: str, items: Sequence[Node]) -> Iterator[tuple[str, Place]]:
        for index, item in enumerate(items):
            found = text_of(item)
            if found is None or not found.strip():
                path = f"{self.path_of(key)}[{index}]"
                self.wrong_at(item.place, path, f"is {kind_of(item)}, not a text", "write a text")
            else:
                yield found.strip(), item.place

    def text_by_name(self, key: str) -> dict[str, str]:
        """Plain values by name, each as the text that an environment variable holds."""
        child = self.child(key)
        if child is None:
            return {}
        found: dict[str, str] = {}
        for name, (_, node) in child._entries.items():
            text = text_of(node)
            wrong = name_problem(name) or (value_problem(text) if text is not None else None)
            if wrong is not None:
                child.wrong(name, *wrong)
            elif text is None:
                child.wrong(name, f"is {kind_of(node)}", "write a text or a number")
            else:
                found[name] = text
        return found

    def child(self, key: str) -> "Fields | None":
        """The mapping under this key."""
        node = self.node(key)
        return None if node is None else Fields(node, self.path_of(key), self.problems)

    def children(self, key: str, what: str, *, most: int) -> list["Fields"]:
        """The mappings of the list under this key, at most so many."""
        node = self.node(key)
        if node is None:
            return []
        if not isinstance(node.value, Sequence) or isinstance(node.value, str):
            self.wrong(key, f"is {kind_of(node)}, not a list", f"begin each {what} with `- `")
            return []
        if not node.value:
            self.wrong(key, "is empty", f"write at least one {what}")
        if len(node.value) > most:
            self.wrong(key, f"are {len(node.value)}, at most {most} are taken", "leave some out")
            return []
        path = self.path_of(key)
        return [Fields(it, f"{path}[{n}]", self.problems) for n, it in enumerate(node.value)]

    def refuse_the_rest(self) -> None:
        """Note every key that nobody asked for: a typo must not be silently ignored."""
        for key, (name, _) in self._entries.items():
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                known = ", ".join(f"`{it}`" for it in self._asked)
                mend = f"did you mean `{near[0]}`?" if near else f"known here: {known}"
                self.wrong_at(name.place, self.path_of(key), "is not known", mend)


def text_of(node: Node) -> str | None:
    """A scalar as text (`true` and `false` as JSON says them); None for anything else."""
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def plain(node: Node) -> Scalar | list[object] | dict[str, object]:
    """The tree as plain values."""
    value = node.value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, (_, item) in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    assert value is None or isinstance(value, str | int | float | bool)
    return value


def kind_of(node: Node) -> str:
    """What a value is, in a reader's words."""
    value = node.value
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def shown(node: Node) -> str:
    """The value itself where it is short enough to be shown, else what it is."""
    found = text_of(node)
    return repr(found) if found is not None and len(found) <= 40 else kind_of(node)
