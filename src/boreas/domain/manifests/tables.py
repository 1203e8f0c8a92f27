"""One table per noun of a project file. Reader (`cli.manifests`) and JSON Schema use the same."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from datetime import time as clock_time
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from boreas.domain.builds import parse_build
from boreas.domain.credentials import CredentialScope, CredentialType
from boreas.domain.deployments import ExpiryOutcome
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.manifests import drivers, sources
from boreas.domain.manifests.references import STAND_IN, in_words_of_files, refuse_ids, with_ids
from boreas.domain.manifests.shapes import (
    Key,
    Schema,
    Table,
    called,
    child,
    document,
    flag,
    listed,
    name_problem,
    number,
    one_of,
    some_of,
    text,
    texts,
)
from boreas.domain.orders import DriverKind
from boreas.domain.permissions import Role
from boreas.domain.projects import EnvironmentKind, QueuePolicy
from boreas.domain.reading import Reader, kind_of, plain_text
from boreas.domain.specs import check_application
from boreas.domain.variables import name_problem as variable_name_problem
from boreas.domain.variables import value_problem
from boreas.domain.windows import Weekday, WindowKind
from boreas.domain.workflows.reading import read_template
from boreas.domain.workflows.tree import LONGEST_TEXT

VARIABLE_NAME: Final = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"


# --- variables and configuration -----------------------------------------------------------------


def _read_variables(reader: Reader, key: str) -> None:
    value = reader.raw(key)
    if value is None:
        return
    if not isinstance(value, Mapping):
        reader.wrong(key, f"is {kind_of(value)}", "write each as NAME: value")
        return
    for name, given in value.items():
        place = f"{key}.{name}"
        if problem := variable_name_problem(str(name)):
            reader.wrong(place, *problem)
        elif isinstance(given, Mapping):
            inner = Reader(given, reader.path(place), reader.problems)
            _SECRET_VARIABLE.read(inner)
        elif (plain := plain_text(given)) is None:
            reader.wrong(place, f"is {kind_of(given)}", "write a text, a number, true or false")
        elif problem := value_problem(plain):
            reader.wrong(place, *problem)


_SECRET_VARIABLE: Final = Table(
    about="A secret one: where its value comes from.",
    keys=(sources.refuse_plain("value"), sources.source("value_from")),
)


def _variables(level: str) -> Key:
    schema: Schema = {
        "type": "object",
        "description": f"What commands find in their environment, given by the {level}: plain "
        "values, or `{value_from: {env: NAME}}` for a secret one.",
        "propertyNames": {"pattern": VARIABLE_NAME},
        "additionalProperties": {
            "anyOf": [{"type": ["string", "number", "boolean"]}, _SECRET_VARIABLE.schema()]
        },
    }
    return Key(name="variables", schema=schema, check=_read_variables)


def _config(level: str) -> Key:
    return document("config", f"Configuration that the {level} gives; lower levels win.")


# --- credentials ---------------------------------------------------------------------------------


def _parts_fit(reader: Reader) -> None:
    kind = reader.raw("type")
    if kind not in list(CredentialType):
        return
    known = sources.OTHER_PARTS[CredentialType(kind)]
    for part in ("username", "registry", "known_hosts", "passphrase"):
        for key in (part, part + sources.FROM):
            if part not in known and reader.raw(key) is not None:
                reader.wrong(key, f"does not belong to type {kind}", "leave it out")


CREDENTIAL: Final = Table(
    about="A credential, without its value: that comes from elsewhere when the file is applied.",
    keys=(
        called("name", "How files and people call it."),
        one_of("type", "What it opens.", CredentialType, required=True),
        one_of("scope", "Of this project, or for all (made by admins).", CredentialScope),
        text("description", "For people."),
        text("registry", "The one registry that it opens."),
        text("username", "The user name that goes with the value.", check=name_problem),
        sources.source("username_from"),
        text("known_hosts", "Host keys that are right, for ssh.", most=65_536),
        sources.source("value_from"),
        sources.source("passphrase_from"),
        *(sources.refuse_plain(it) for it in ("value", "data", "password", "token")),
        *(sources.refuse_plain(it) for it in ("private_key", "passphrase", "kubeconfig")),
    ),
    rule=_parts_fit,
)


# --- applications --------------------------------------------------------------------------------


def _check_application(reader: Reader) -> None:
    driver, spec = reader.raw("driver"), reader.raw("spec")
    build, check = reader.raw("build"), reader.raw("health_check")
    refuse_ids(reader, "spec", spec)
    refuse_ids(reader, "build", build)
    if driver in list(DriverKind):
        judged = with_ids(spec, _stand_in)
        _noted(reader, lambda: check_application(DriverKind(driver), judged, check))
    _noted(reader, lambda: parse_build(with_ids(build, _stand_in)))


def _stand_in(_key: str, _name: str) -> str:
    return STAND_IN


def _noted(reader: Reader, check: Callable[[], object]) -> None:
    """Complaints of the domain's own readers, in the words of files."""
    try:
        check()
    except InvalidInput as error:
        for each in error.fields:
            mend = in_words_of_files(each.mend)
            reader.wrong(in_words_of_files(each.field), in_words_of_files(each.problem), mend)


APPLICATION: Final = Table(
    about="What is deployed, by which driver, and how one asks whether it is healthy.",
    keys=(
        called("name", "Unique in the project."),
        one_of("driver", "Who deploys it.", DriverKind, required=True),
        document("spec", "What its driver wants to know.", required=True),
        document("health_check", "", schema=drivers.HEALTH_CHECK),
        document("build", "", schema=drivers.BUILD),
        _config("application"),
        _variables("application"),
    ),
    rule=_check_application,
)


# --- environments --------------------------------------------------------------------------------


def _clock_problem(value: str) -> str | None:
    try:
        if len(value) == len("09:00"):
            clock_time.fromisoformat(value)
            return None
    except ValueError:
        pass
    return 'is no time of day; write HH:MM in quotes, such as "09:00"'


def _moment_problem(value: str) -> str | None:
    try:
        if datetime.fromisoformat(value).tzinfo is not None:
            return None
    except ValueError:
        pass
    return "is no moment with its offset; write it such as 2026-12-20T00:00:00+01:00"


def _zone_problem(value: str) -> str | None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "is no known time zone; write a name such as Europe/Berlin"
    return None


def _is_of_one_kind(reader: Reader) -> None:
    weekly = [bool(reader.raw("days")), reader.has("begin"), reader.has("end")]
    once = [reader.has("starts_at"), reader.has("ends_at")]
    if any(weekly) == any(once):
        mend = "write days, begin and end, or starts_at and ends_at"
        reader.wrong("", "is neither every week nor once", mend)
    elif any(weekly) and not all(weekly):
        reader.wrong("", "is every week and lacks something", "write all of days, begin and end")
    elif any(once) and not all(once):
        reader.wrong("", "is once and lacks something", "write both starts_at and ends_at")


WINDOW: Final = Table(
    about="When deployments may begin (allow) or must not (freeze): every week, or once.",
    keys=(
        called("name", "Unique in the environment."),
        one_of("kind", "A freeze beats every allow.", WindowKind, required=True),
        text("time_zone", "An IANA name; UTC unless said.", check=_zone_problem),
        some_of("days", "Every week on these days.", Weekday),
        text("begin", "HH:MM.", check=_clock_problem, pattern="^[0-9]{2}:[0-9]{2}$"),
        text("end", "HH:MM; before begin: on the next day.", check=_clock_problem,
             pattern="^[0-9]{2}:[0-9]{2}$"),
        text("starts_at", "Once, from this moment.", check=_moment_problem),
        text("ends_at", "Up to this moment.", check=_moment_problem),
        flag("overrun", "May finish what is under way when it closes; true unless said."),
        flag("skippable", "May be passed by hand; true unless said."),
    ),
    rule=_is_of_one_kind,
)  # fmt: skip
APPROVAL_POLICY: Final = Table(
    about="Who must agree; what is left out has its default.",
    keys=(
        number("required", "So many different people.", least=1, most=20, whole=True),
        some_of("roles", "Of these roles; roles and users empty: all who may deploy.", Role),
        texts("users", "Or these users.", check=name_problem),
        flag("forbid_requester", "Not whoever asked for the deployment."),
        number("expires_after", "Seconds.", least=1, most=366 * 86_400),
        one_of("on_expiry", "What happens then.", ExpiryOutcome),
    ),
)
TARGET: Final = Table(
    about="A place where applications run; their order is the one in which a canary counts.",
    keys=(
        called("name", "Unique in the environment."),
        text("agent", "Name of the agent that reaches it; the target's own unless said."),
    ),
)
ENVIRONMENT: Final = Table(
    about="Where applications run, and how careful one is there.",
    keys=(
        called("name", "Unique in the project."),
        one_of("kind", "How careful one is; needed for a new one.", EnvironmentKind),
        one_of("queue_policy", "What becomes of deployments that wait.", QueuePolicy),
        child("approval_policy", APPROVAL_POLICY),
        listed("windows", WINDOW),
        _config("environment"),
        _variables("environment"),
        listed("targets", TARGET),
    ),
)


# --- members, workflows, versions ----------------------------------------------------------------

MEMBER: Final = Table(
    about="Who is what in the project.",
    keys=(
        called("user", "The user's name."),
        one_of("role", "What they may do.", Role, required=True),
    ),
)


def _check_workflow(reader: Reader) -> None:
    if reader.has("file") == reader.has("text"):
        mend = "write `file: workflows/release.yaml`, or `text: |` with the template"
        reader.wrong("", "needs exactly one of `file` and `text`", mend)
    template = reader.raw("text")
    if isinstance(template, str) and template:
        _noted_template(reader, template)


def _noted_template(reader: Reader, template: str) -> None:
    for each in template_problems(template):
        reader.wrong("text", f"{each.field}: {each.problem}", each.mend)


def template_problems(template: str) -> Iterable[FieldError]:
    """What is wrong with a workflow's text, by its own lines and columns."""
    try:
        read_template(template)
    except InvalidInput as error:
        return error.fields
    return ()


WORKFLOW: Final = Table(
    about="A template of deployments; another text becomes its next version.",
    keys=(
        called("name", "Unique in the project."),
        text("description", "For people."),
        text("file", "Path of the template, from the directory of this file."),
        text("text", "The template itself.", most=LONGEST_TEXT),
    ),
    rule=_check_workflow,
)


def _one_of_both(reader: Reader) -> None:
    if reader.has("ref") and reader.has("commit"):
        reader.wrong("commit", "stands beside `ref`", "write the one you mean")
    if not reader.has("ref") and not reader.has("commit"):
        reader.wrong("ref", "is missing", "write a branch or tag, or `commit`")


GIT: Final = Table(
    about="Where the sources lie.",
    keys=(
        text("repository", "Its address.", required=True),
        text("ref", "Branch or tag; resolved once, when the version is made."),
        text("commit", "The full id of a commit."),
    ),
    rule=_one_of_both,
)
VERSION: Final = Table(
    about="An immutable snapshot of what to release.",
    keys=(
        called("name", "Unique in the project."),
        child("git", GIT),
        text("git_credential", "Name of the credential by which the repository is read."),
        document("artifacts", "By application: image, digest, ..."),
        document("config", "Configuration of this version."),
    ),
    rule=lambda reader: refuse_ids(reader, "", reader.whole_document),
)

PROJECT: Final = Table(
    about="A project of Boreas, or a part of it: what is left out stays as it is.",
    keys=(
        called("project", "Its name."),
        text("description", "For people."),
        _config("project"),
        _variables("project"),
        listed("credentials", CREDENTIAL),
        listed("applications", APPLICATION),
        listed("environments", ENVIRONMENT),
        texts("promotion_order", "Environments: a version goes into one after those before."),
        listed("workflows", WORKFLOW),
        listed("versions", VERSION),
        listed("members", MEMBER, identity="user"),
    ),
)

NOUNS: Final[Mapping[str, Table]] = {
    "credential": CREDENTIAL,
    "application": APPLICATION,
    "environment": ENVIRONMENT,
    "target": TARGET,
    "workflow": WORKFLOW,
    "version": VERSION,
    "member": MEMBER,
}


# --- what is the same ----------------------------------------------------------------------------


def usual_policy(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """An approval policy with its defaults, so that two of them can be compared."""
    given = {key: value for key, value in (policy or {}).items() if value is not None}
    found: dict[str, Any] = {
        "required": 1,
        "forbid_requester": False,
        "roles": [],
        "users": [],
        "expires_after": 86_400.0,
        "on_expiry": "fail",
        **given,
    }
    found["roles"] = [str(role) for role in Role if role in found["roles"]]
    return found


def usual_windows(windows: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """Windows with their defaults and every moment in UTC."""
    return [_usual_window(each) for each in windows or ()]


def _usual_window(window: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in window.items() if value not in (None, "", [])}
    usual = {"time_zone": "UTC", "overrun": True, "skippable": True}
    found: dict[str, Any] = {**usual, **given}
    if "days" in given:
        found["days"] = [str(day) for day in Weekday if day in given["days"]]
    for key in ("starts_at", "ends_at"):
        if key in given:
            moment = datetime.fromisoformat(str(given[key]))
            found[key] = moment.astimezone(UTC).isoformat()
    return found
