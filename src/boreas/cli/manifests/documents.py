"""Read project files: what they want to exist. Every mistake is noted before anything stops.

What may stand where is in `boreas.domain.manifests.tables`. A project may be spread over several
files; what a document leaves out stays as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.manifests.yaml_lines import Document, read_documents
from boreas.domain.errors import FieldError
from boreas.domain.manifests.tables import PROJECT, template_problems
from boreas.domain.reading import Reader

LISTS: Final[Mapping[str, str]] = {
    "credentials": "credential",
    "applications": "application",
    "environments": "environment",
    "workflows": "workflow",
    "versions": "version",
    "members": "member",
}
"""The key of a project file -> the noun of its entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a file wants to exist: its name, the fields given, and where it stands."""

    name: str
    fields: Mapping[str, Any]
    document: Document
    at: str
    targets: "tuple[Item, ...] | None" = None
    """An environment's; None when the file does not speak of them."""
    variables: Mapping[str, Any] | None = None
    """An application's or an environment's."""

    def complaint(self, wrong: FieldError) -> FieldError:
        """A complaint about this thing, with file and line."""
        inner = ".".join(part for part in (self.at, wrong.field) if part)
        return self.document.complaint(inner, wrong.problem, wrong.mend)


@dataclass(slots=True, kw_only=True)
class WantedProject:
    """All that the files say of one project."""

    name: str
    item: Item
    """Its first document, for complaints about the project itself."""
    fields: dict[str, Any] = field(default_factory=dict)
    promotion_order: list[str] | None = None
    variables: dict[str, Any] | None = None
    lists: dict[str, list[Item]] = field(default_factory=dict)
    """By key of the file; only those that a file speaks of."""

    def items(self, key: str) -> list[Item]:
        """The entries of a list; none when no file speaks of it."""
        return self.lists.get(key, [])


def read_projects(path: Path) -> list[WantedProject]:
    """Every project that a file or a directory describes; `Failure` names file, line and field."""
    wanted: dict[str, WantedProject] = {}
    wrong: list[FieldError] = []
    for document in _project_files(path):
        noted = list(_mistakes(document))
        wrong += noted
        if not noted:
            wrong += _add(document, wanted)
    wrong += [each for project in wanted.values() for each in _repeated(project)]
    if wrong:
        raise refused(wrong)
    return list(wanted.values())


def _project_files(path: Path) -> list[Document]:
    """The documents below a path that are projects: a workflow's template may lie beside them."""
    found = read_documents(path)
    templates = {file.resolve() for document in found for file in _templates(document)}
    return [document for document in found if document.path.resolve() not in templates]


def _templates(document: Document) -> Iterator[Path]:
    content = document.content if isinstance(document.content, Mapping) else {}
    workflows = content.get("workflows")
    for each in workflows if isinstance(workflows, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("file"), str):
            yield document.path.parent / each["file"]


class Refused(Failure):
    """The documents cannot be used as they are; every field has file and line."""


def refused(wrong: list[FieldError]) -> Refused:
    """All mistakes in one failure."""
    count = "one mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
    return Refused(f"{count} in the documents", exit_code=ExitCode.USAGE, fields=tuple(wrong))


def _mistakes(document: Document) -> Iterator[FieldError]:
    noted: list[FieldError] = []
    PROJECT.read(Reader(document.content, "", noted))
    for each in noted:
        yield document.complaint(each.field, each.problem, each.mend)
    for place in document.repeated:
        yield document.complaint(place, "stands here twice", "keep one of them")


def _add(document: Document, wanted: dict[str, WantedProject]) -> list[FieldError]:
    """Take in a document that is well formed; what is wrong with the files that it names."""
    content: Mapping[str, Any] = document.content
    name, whole = str(content["project"]), Item(name="", fields={}, document=document, at="")
    project = wanted.setdefault(name, WantedProject(name=name, item=whole))
    wrong: list[FieldError] = []
    for key in ("description", "config"):
        if key in content:
            project.fields[key] = content[key]
    if content.get("promotion_order") is not None:
        project.promotion_order = [str(each) for each in content["promotion_order"]]
    variables = _variables(document, "", content)
    if variables is not None:
        project.variables = {**(project.variables or {}), **variables}
    for key in LISTS:
        if key in content:
            items = [_item(document, f"{key}[{n}]", it) for n, it in enumerate(content[key] or ())]
            if key == "workflows":
                items = [_with_text(item, wrong) for item in items]
            project.lists.setdefault(key, []).extend(items)
    return wrong


def _item(document: Document, at: str, entry: Mapping[str, Any]) -> Item:
    inside = ("name", "user", "targets", "variables")
    name = str(entry.get("name") or entry.get("user"))
    targets = None
    if "targets" in entry:
        targets = tuple(
            _target(document, f"{at}.targets[{place}]", each)
            for place, each in enumerate(entry["targets"] or ())
        )
    return Item(
        name=name,
        fields={key: value for key, value in entry.items() if key not in inside},
        document=document,
        at=at,
        targets=targets,
        variables=_variables(document, at, entry),
    )


def _target(document: Document, at: str, entry: Mapping[str, Any]) -> Item:
    name = str(entry["name"])
    fields = {"agent": str(entry.get("agent") or name)}
    return Item(name=name, fields=fields, document=document, at=at)


def _variables(document: Document, at: str, entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Plain values as the text that stands in the file; None when it does not speak of them."""
    if "variables" not in entry:
        return None
    place = f"{at}.variables" if at else "variables"
    return {
        str(name): value
        if isinstance(value, Mapping)
        else document.words.get(f"{place}.{name}", str(value))
        for name, value in (entry["variables"] or {}).items()
    }


def _with_text(item: Item, wrong: list[FieldError]) -> Item:
    """A workflow with its template in the text, wherever it lies."""
    fields = dict(item.fields)
    name = fields.pop("file", None)
    if name is not None:
        path = item.document.path.parent / str(name)
        try:
            fields["text"] = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            problem = FieldError(field="file", problem=f"{path} cannot be read: {reason}")
            wrong.append(item.complaint(problem))
        for each in template_problems(str(fields.get("text") or "")):
            words = f"{path}: {each.field}: {each.problem}"
            told = FieldError(field="file", problem=words, mend=each.mend)
            wrong.append(item.complaint(told))
    return Item(name=item.name, fields=fields, document=item.document, at=item.at)


def _repeated(project: WantedProject) -> Iterator[FieldError]:
    """What two files of one project name; inside one file the reader says so."""
    for items in project.lists.values():
        seen: set[tuple[str, bool]] = set()
        for item in items:
            known_as = (item.name, item.fields.get("scope") == "global")
            if known_as in seen:
                told = FieldError(
                    field="name", problem=f"{item.name!r} is there twice", mend="keep one of them"
                )
                yield item.complaint(told)
            seen.add(known_as)
