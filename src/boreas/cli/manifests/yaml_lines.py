"""Read YAML and remember on which line each field stands, so that an error can point at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
        contents = list(yaml.safe_load_all(text))
    except FileNotFoundError:
        raise usage(f"there is no file {path}") from None
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(path, error) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise usage(f"{path} cannot be read: {error}") from error
    for node, content in zip(nodes, contents, strict=True):
        if content is not None:
            yield Document(path=path, content=content, lines=dict(_lines(node, "")))


def _no_yaml(path: Path, error: yaml.MarkedYAMLError) -> Failure:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return usage(f"{path}:{line}: {error.problem or 'this is not YAML'}")


def _lines(node: yaml.Node | None, field: str) -> Iterator[tuple[str, int]]:
    if node is None:
        return
    yield field, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{field}.{key.value}" if field else str(key.value)
            yield from _lines(value, name)
            yield name, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _lines(value, f"{field}[{place}]")
