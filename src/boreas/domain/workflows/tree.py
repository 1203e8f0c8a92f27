"""YAML text to a tree in which every value knows its line and column.

Only what a template needs: one document, mappings with text keys, lists, and scalars as YAML 1.2
reads them (`no` and `on` are texts). Size, depth and what aliases expand to are bounded, tags make
nothing, and a key that stands twice is refused instead of silently losing one of its values.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from boreas.domain.workflows.problems import Place, Problem, refused

LONGEST_TEXT: Final = 1_000_000
"""Characters, as much as one request may carry: some ten thousand tasks."""
MOST_NODES: Final = 150_000
"""Ten thousand tasks of seven keys; to read as many takes a second or two."""
DEEPEST: Final = 20

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value and where it begins. `weight` is how many nodes there are in it, itself included."""

    place: Place
    value: "Scalar | Sequence[Node] | Mapping[str, tuple[Node, Node]]"
    weight: int = 1
    style: str = ""
    """Of a scalar: how it is quoted, `|` or `>` for a block."""


def tree_of(text: str) -> Node:
    """The document; `InvalidInput` with line, column and mend if it cannot be used."""
    if len(text) > LONGEST_TEXT:
        problem = f"has {len(text)} characters, at most {LONGEST_TEXT} are taken"
        raise refused(
            [Problem(place=Place(1, 1), path="", problem=problem, mend="make it shorter")]
        )
    try:
        return _Composer(text).document()
    except yaml.MarkedYAMLError as error:
        raise refused([_as_problem(error)]) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = f"is not YAML: {' '.join(str(error).split())[:200]}"
        mend = "save it as UTF-8 text"
        raise refused([Problem(place=Place(1, 1), path="", problem=problem, mend=mend)]) from None


def _as_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)
    said = f"is not YAML: {error.problem or 'it cannot be read'}"
    mend = "look at quotes, colons and how far the lines are moved in"
    if "cannot start any token" in said:
        mend = "move lines in by spaces, not by tabs; put texts with @, %, ` in quotes"
    return Problem(place=place, path="", problem=said, mend=mend)


class _Composer:
    """Builds the tree from the parser's events."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def document(self) -> Node:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _refusal(Place(1, 1), "is empty", "write `stages:` or `tasks:`")
        root = self._node(next(self._events), 0)
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _refusal(
                _place(after), "is a second document", "write one document, without `---`"
            )
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = _place(event)
        if depth > DEEPEST:
            raise _refusal(place, f"is nested deeper than {DEEPEST}", "make it flatter")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        assert isinstance(event, yaml.NodeEvent)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise _refusal(place, f"has the tag {tag!r}", "leave it out")
        node = self._untagged(event, place, depth)
        self._take(1, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _untagged(self, event: yaml.NodeEvent, place: Place, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            value = event.value if event.style else _plain(event.value)
            return Node(place=place, value=value, style=event.style or "")
        if isinstance(event, yaml.SequenceStartEvent):
            items = list(self._items(depth))
            return Node(place=place, value=items, weight=1 + sum(it.weight for it in items))
        return self._mapping(place, depth)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _mapping(self, place: Place, depth: int) -> Node:
        entries: dict[str, tuple[Node, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            name = self._key(key, entries)
            entries[name] = key, self._node(next(self._events), depth + 1)
        weight = 1 + sum(key.weight + value.weight for key, value in entries.values())
        return Node(place=place, value=entries, weight=weight)

    def _key(self, key: Node, entries: Mapping[str, tuple[Node, Node]]) -> str:
        if isinstance(key.value, Sequence | Mapping) and not isinstance(key.value, str):
            raise _refusal(key.place, "is no key", "write a text before the colon")
        name = _as_text(key.value)
        if name == "<<" and not key.style:
            raise _refusal(key.place, "merges another mapping", "write its keys out")
        if name in entries:
            line = entries[name][0].place.line
            problem = f"has the key `{name}` twice, first in line {line}"
            raise _refusal(key.place, problem, "leave one of them out")
        return name

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            problem = f"has the alias `*{event.anchor}`, which names nothing finished before it"
            raise _refusal(place, problem, f"write `&{event.anchor}` at what is meant, further up")
        self._take(node.weight, place)
        return node

    def _take(self, count: int, place: Place) -> None:
        self._count += count
        if self._count > MOST_NODES:
            raise _refusal(
                place, f"has more than {MOST_NODES} values", "use fewer aliases or tasks"
            )


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)


def _refusal(place: Place, problem: str, mend: str) -> Exception:
    return refused([Problem(place=place, path="", problem=problem, mend=mend)])


_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]{1,18}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: Final[Mapping[str, Scalar]] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}


def _plain(text: str) -> Scalar:
    """An unquoted scalar as YAML 1.2's core schema reads it."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _as_text(value: Scalar) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    return str(value)
