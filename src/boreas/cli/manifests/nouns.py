"""One small table per noun: its paths, how files write it, what counts as the same.

`written` turns what a server shows into the words of files. Export writes that, and a file is
compared with that, so what was exported differs in nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

from boreas.cli.client import Json
from boreas.cli.manifests.sight import RELEASE, credential_name
from boreas.domain.errors import InvalidInput
from boreas.domain.health_specs import parse_health_check
from boreas.domain.manifests.references import with_names
from boreas.domain.manifests.tables import usual_policy, usual_windows
from boreas.domain.orders import DriverKind

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What may be named: credentials, and applications by id."""

    credentials: Sequence[Json] = ()
    applications: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """One kind of thing that a project owns."""

    name: str
    key: str
    written: Callable[[Json, Known], dict[str, Any]]
    usual: Mapping[str, Callable[[Any, Fields], Any]] = field(default_factory=dict)
    """By field: the form in which two values are compared."""
    cleared: Mapping[str, Any] = field(default_factory=dict)
    """What is sent for a field that a file leaves empty, where null would mean unchanged."""
    is_within: bool = False
    """Its own path lies below the project's."""
    replaced_by: str = "patch"
    is_pruned: bool = True

    def list_path(self, project_id: str) -> str:
        """Where it is listed and made."""
        return f"{RELEASE}/projects/{project_id}/{self.key}"

    def own_path(self, project_id: str, existing: Json) -> str:
        """Where one of them is."""
        base = self.list_path(project_id) if self.is_within else f"{RELEASE}/{self.key}"
        return f"{base}/{existing['id']}"

    def as_usual(self, fields: Fields) -> dict[str, Any]:
        """The fields in the form in which they are compared."""
        return {
            name: self.usual[name](value, fields) if name in self.usual else value
            for name, value in fields.items()
        }

    def sent(self, fields: Fields) -> dict[str, Any]:
        """The fields as a request takes them, but for names of credentials."""
        return {
            name: self.cleared.get(name) if value is None else value
            for name, value in fields.items()
        }


def _application(found: Json, known: Known) -> dict[str, Any]:
    name_of = partial(credential_name, known.credentials)
    return {
        "driver": found.get("driver"),
        "spec": with_names(found.get("spec"), name_of),
        "health_check": _said(found.get("health_check") or {}),
        "build": with_names(found.get("build"), name_of),
        "config": found.get("config"),
    }


def _usual_check(value: Any, fields: Fields) -> Any:
    try:
        check = parse_health_check(value, DriverKind(str(fields.get("driver"))))
    except (InvalidInput, ValueError):
        return value
    return None if check is None else asdict(check)


def _environment(found: Json, _known: Known) -> dict[str, Any]:
    keys = ("kind", "queue_policy", "approval_policy", "windows", "config")
    fields: dict[str, Any] = {key: found.get(key) for key in keys}
    fields["windows"] = [_said(each) for each in fields["windows"] or ()]
    return fields


def _said(found: Json) -> dict[str, Any]:
    """Without what is not set: a file says only what is."""
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def _credential(found: Json, _known: Known) -> dict[str, Any]:
    details = found.get("details") or {}
    return {
        "type": found.get("type"),
        "scope": found.get("scope"),
        "description": found.get("description"),
        "registry": details.get("registry"),
    }


def _version(found: Json, known: Known) -> dict[str, Any]:
    credential = found.get("git_credential_id")
    artifacts = (found.get("artifacts") or {}).items()
    return {
        "git": {key: value for key, value in (found.get("git") or {}).items() if value},
        "git_credential": credential and credential_name(known.credentials, str(credential)),
        "artifacts": {known.applications.get(key, key): value for key, value in artifacts},
        "config": found.get("config"),
    }


def _member(found: Json, _known: Known) -> dict[str, Any]:
    return {"role": found.get("role")}


def _workflow(found: Json, _known: Known) -> dict[str, Any]:
    return {"description": found.get("description"), "text": found.get("text")}


def name_in(found: Json) -> str:
    """What files call it: a member by the user's name."""
    user = found.get("user")
    if user is not None:
        return str(user["username"] if isinstance(user, Mapping) else user)
    return str(found["name"])


CREDENTIAL: Final = Noun(
    name="credential",
    key="credentials",
    written=_credential,
    cleared={"description": ""},
    replaced_by="put",
)
APPLICATION: Final = Noun(
    name="application",
    key="applications",
    written=_application,
    usual={"health_check": _usual_check},
    cleared={"config": {}},
)
ENVIRONMENT: Final = Noun(
    name="environment",
    key="environments",
    written=_environment,
    usual={
        "approval_policy": lambda value, _: usual_policy(value),
        "windows": lambda value, _: usual_windows(value),
    },
    cleared={"approval_policy": {}, "windows": [], "config": {}},
)
WORKFLOW: Final = Noun(
    name="workflow",
    key="workflows",
    written=_workflow,
    cleared={"description": ""},
    is_within=True,
    replaced_by="put",
)
VERSION: Final = Noun(
    name="version",
    key="versions",
    written=_version,
    cleared={"artifacts": {}, "config": {}},
    is_pruned=False,
)
MEMBER: Final = Noun(
    name="member", key="members", written=_member, is_within=True, replaced_by="put"
)
BY_NAME: Final = {
    noun.name: noun for noun in (CREDENTIAL, APPLICATION, ENVIRONMENT, WORKFLOW, VERSION, MEMBER)
}
