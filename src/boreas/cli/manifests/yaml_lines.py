"""Read YAML and remember on which line each field stands, so that an error can point at it.

Plain words are read as YAML 1.2 has them: `no` is a text, `17:00` a time of day and
`2026-12-20T00:00:00Z` a moment that somebody wrote, not a number or an object.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from boreas.cli.failures import Failure, usage
from boreas.domain.errors import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML document: where it came from, what it says, and on which lines."""

    path: Path
    content: Any
    lines: Mapping[str, int]
    words: Mapping[str, str] = field(default_factory=dict)
    """Each scalar as it was written: `1.10` is the number 1.1, and another version."""
    repeated: tuple[str, ...] = ()
    """Keys that stand twice in the same object, of which YAML would drop one."""

    def line_of(self, field: str) -> int:
        """The line of a field such as `applications[0].spec`, or of the nearest one around it."""
        while field and field not in self.lines:
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return self.lines.get(field, 1)

    def complaint(self, field: str, problem: str, mend: str = "") -> FieldError:
        """What is wrong, with file and line before the field."""
        place = f"{self.path}:{self.line_of(field)}: {field or 'document'}"
        return FieldError(field=place, problem=problem, mend=mend)


def read_documents(path: Path) -> list[Document]:
    """Every document of a file, or of all `*.yaml` and `*.yml` below a directory."""
    return [document for file in _files(path) for document in _documents(file)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix in (".yaml", ".yml"))
    if not found:
        raise usage(f"there is no *.yaml file below {path}")
    return found


def _documents(path: Path) -> Iterator[Document]:
    try:
        text = path.read_text()
        nodes = list(yaml.compose_all(text, _Loader))
        contents = list(yaml.load_all(text, _Loader))
    except FileNotFoundError:
        raise usage(f"there is no file {path}") from None
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(path, error) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise usage(f"{path} cannot be read: {error}") from error
    for node, content in zip(nodes, contents, strict=True):
        if content is not None:
            lines = list(_lines(node, ""))
            yield Document(
                path=path,
                content=content,
                lines=dict(lines),
                words=dict(_words(node, "")),
                repeated=tuple(_repeated(node, "")),
            )


class _Loader(yaml.SafeLoader):
    """Knows the plain words of YAML 1.2 only."""


_Loader.yaml_implicit_resolvers = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_resolve("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789")
_resolve("float", r"^[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?$", "-+0123456789")
_resolve("merge", r"^<<$", "<")


def _words(node: yaml.Node | None, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.ScalarNode):
        yield place, str(node.value)
    for inner, value in _inside(node, place):
        yield from _words(value, inner)


def _repeated(node: yaml.Node | None, place: str) -> Iterator[str]:
    seen: set[str] = set()
    for inner, value in _inside(node, place):
        if inner in seen:
            yield inner
        seen.add(inner)
        yield from _repeated(value, inner)


def _inside(node: yaml.Node | None, place: str) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{place}.{key.value}" if place else str(key.value), value
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield f"{place}[{position}]", value


def _no_yaml(path: Path, error: yaml.MarkedYAMLError) -> Failure:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return usage(f"{path}:{line}: {error.problem or 'this is not YAML'}")


def _lines(node: yaml.Node | None, place: str) -> Iterator[tuple[str, int]]:
    if node is None:
        return
    yield place, node.start_mark.line + 1
    for inner, value in _inside(node, place):
        yield from _lines(value, inner)
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            yield f"{place}.{key.value}" if place else str(key.value), key.start_mark.line + 1
