"""The words of a project file: what may stand where. Reading notes every mistake before it stops.

    project: shop
    applications: [{name, driver, spec, health_check?}]
    environments: [{name, kind, queue_policy?, approval_policy?, targets: [{name, agent?}]}]
    versions:     [{name, git?, artifacts?, config?}]

A project may be spread over several files; what a document leaves out stays as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.manifests.yaml_lines import Document, read_documents
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.orders import DriverKind
from boreas.domain.projects import EnvironmentKind, QueuePolicy
from boreas.domain.reading import Reader
from boreas.domain.specs import check_application


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a file wants to exist: its name, the fields given, and where it stands."""

    name: str
    fields: Mapping[str, Any]
    document: Document
    at: str
    children: tuple["Item", ...] = ()
    """An environment's targets."""

    def complaint(self, wrong: FieldError) -> FieldError:
        """A server's complaint about this thing, with file and line."""
        inner = f"{self.at}.{wrong.field}" if self.at else wrong.field
        return self.document.complaint(inner, wrong.problem, wrong.mend)


@dataclass(slots=True, kw_only=True)
class WantedProject:
    """All that the files say of one project."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    applications: list[Item] = field(default_factory=list)
    environments: list[Item] = field(default_factory=list)
    versions: list[Item] = field(default_factory=list)


APPLICATION_KEYS: Final = ("driver", "spec", "health_check")
ENVIRONMENT_KEYS: Final = ("kind", "queue_policy", "approval_policy")
VERSION_KEYS: Final = ("git", "artifacts", "config")


def read_projects(path: Path) -> list[WantedProject]:
    """Every project that a file or a directory describes; `Failure` names file, line and field."""
    wanted: dict[str, WantedProject] = {}
    wrong: list[FieldError] = []
    for document in read_documents(path):
        noted: list[FieldError] = []
        _read_document(document, wanted, noted)
        wrong += [document.complaint(each.field, each.problem, each.mend) for each in noted]
    wrong += [each for project in wanted.values() for each in _repeated(project)]
    if wrong:
        raise refused(wrong)
    return list(wanted.values())


def refused(wrong: list[FieldError]) -> Failure:
    """The documents cannot be used as they are."""
    count = "one mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
    return Failure(f"{count} in the documents", exit_code=ExitCode.USAGE, fields=tuple(wrong))


def _read_document(
    document: Document, wanted: dict[str, WantedProject], noted: list[FieldError]
) -> None:
    reader = Reader(document.content, "", noted)
    name = reader.text("project", required=True, mend="write the project's name") or ""
    project = wanted.setdefault(name, WantedProject(name=name))
    if reader.has("description"):
        project.fields["description"] = reader.text("description")
    reader.raw("description")
    project.applications += _items(document, reader, "applications", noted, _application)
    project.environments += _items(document, reader, "environments", noted, _environment)
    project.versions += _items(document, reader, "versions", noted, _version)
    reader.refuse_the_rest()


def _items(
    document: Document, reader: Reader, key: str, noted: list[FieldError], read: Any
) -> Iterator[Item]:
    value = reader.raw(key)
    if value is None:
        return
    if not isinstance(value, list):
        reader.wrong(key, "is not a list", "write each entry after a dash")
        return
    for place, entry in enumerate(value):
        inner = Reader(entry, f"{reader.path(key)}[{place}]", noted)
        yield read(document, inner, entry, noted)
        inner.refuse_the_rest()


def _application(document: Document, reader: Reader, entry: Any, noted: list[FieldError]) -> Item:
    item = _item(document, reader, entry, APPLICATION_KEYS)
    driver = _one_of(reader, "driver", DriverKind, required=True)
    if driver:
        try:
            check_application(
                DriverKind(driver), item.fields.get("spec"), item.fields.get("health_check")
            )
        except InvalidInput as error:
            for each in error.fields:
                noted.append(
                    FieldError(
                        field=f"{reader.at}.{each.field}", problem=each.problem, mend=each.mend
                    )
                )
    return item


def _environment(document: Document, reader: Reader, entry: Any, noted: list[FieldError]) -> Item:
    targets = tuple(_items(document, reader, "targets", noted, _target))
    item = _item(document, reader, entry, ENVIRONMENT_KEYS)
    _one_of(reader, "kind", EnvironmentKind)
    _one_of(reader, "queue_policy", QueuePolicy)
    return Item(name=item.name, fields=item.fields, document=document, at=item.at, children=targets)


def _target(document: Document, reader: Reader, entry: Any, _noted: list[FieldError]) -> Item:
    item = _item(document, reader, entry, ("agent",))
    fields = {"agent": str(item.fields.get("agent") or item.name)}
    return Item(name=item.name, fields=fields, document=document, at=item.at)


def _version(document: Document, reader: Reader, entry: Any, _noted: list[FieldError]) -> Item:
    return _item(document, reader, entry, VERSION_KEYS)


def _item(document: Document, reader: Reader, entry: Any, keys: tuple[str, ...]) -> Item:
    name = reader.text("name", required=True, mend="write its name") or ""
    fields = {key: reader.raw(key) for key in keys}
    given = {key: value for key, value in fields.items() if _has(entry, key)}
    return Item(name=name, fields=given, document=document, at=reader.at)


def _has(entry: object, key: str) -> bool:
    return isinstance(entry, Mapping) and key in entry


def _one_of(reader: Reader, key: str, kinds: Any, *, required: bool = False) -> str | None:
    text = reader.text(key, required=required, mend=f"write one of {', '.join(kinds)}")
    if text is not None and text not in list(kinds):
        reader.wrong(key, f"is {text!r}", f"write one of {', '.join(kinds)}")
        return None
    return text


def _repeated(project: WantedProject) -> Iterator[FieldError]:
    for items in (project.applications, project.environments, project.versions):
        yield from _twice(items)
    for environment in project.environments:
        yield from _twice(environment.children)


def _twice(items: "list[Item] | tuple[Item, ...]") -> Iterator[FieldError]:
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            yield item.document.complaint(
                f"{item.at}.name", f"{item.name!r} is there twice", "keep one of them"
            )
        seen.add(item.name)
