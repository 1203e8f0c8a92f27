"""What each driver wants to know of an application: `spec` and `health_check`, read and judged.

The server parses them when an application is saved, the agent again when it works. An unknown key
is refused by name, and every mistake says where it is and what would be right.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, assert_never

from boreas.domain.delivery import GIT, REGISTRY
from boreas.domain.errors import InvalidInput
from boreas.domain.git_names import REPOSITORY_MEND, repository_problem
from boreas.domain.health_specs import parse_health_check
from boreas.domain.images import image_problem
from boreas.domain.orders import DriverKind
from boreas.domain.placeholders import PLACE_WORDS, filled_safely, unknown_word
from boreas.domain.proxies import HaproxySpec, read_proxy
from boreas.domain.reading import Reader, has_control_characters

SCRIPT_NAMES: Final = ("deploy", "stage", "check", "revert", "retire")
DEFAULT_KEEP: Final = 5
_CONTAINER_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_PORT = re.compile(
    r"^(?:(?P<ip>[0-9]+(?:\.[0-9]+){3}|\[[0-9a-fA-F:]+\]):)?(?:(?P<host>[0-9]{0,5}):)?"
    r"(?P<inner>[0-9]{1,5})(?:/(?P<kind>tcp|udp))?\Z"
)
_ID = re.compile(r"^[A-Za-z0-9_-]{1,100}\Z")
_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSpec:
    """Bash per verb. Without `revert`, going back runs `deploy` with the previous version."""

    scripts: Mapping[str, str]
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPullSpec:
    """A checkout per commit under `<path>/releases`, the live one linked as `<path>/current`."""

    repository: str
    path: str
    post_deploy: str | None = None
    keep: int = DEFAULT_KEEP
    git_credential_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """A port of the container on the host; without `host_port` the engine picks a free one."""

    container_port: int
    host_port: int | None = None
    host_ip: str = "0.0.0.0"
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container of an image; `name` is what the live one is called."""

    image: str
    name: str
    ports: tuple[PortMapping, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    proxy: HaproxySpec | None = None
    registry_id: str | None = None
    """The credential by which the image is pulled."""

    @property
    def fixed_ports(self) -> tuple[int, ...]:
        """Host ports that only one container at a time can hold; a proxy holds them instead."""
        if self.proxy is not None:
            return ()
        return tuple(port.host_port for port in self.ports if port.host_port is not None)


Spec = ScriptSpec | GitPullSpec | ContainerSpec


def parse_spec(driver: DriverKind, spec: object) -> Spec:
    """The typed form of an application's `spec`; `InvalidInput` names every field that is wrong."""
    match driver:
        case DriverKind.SCRIPT:
            return parse_script(spec)
        case DriverKind.GIT_PULL:
            return parse_git_pull(spec)
        case DriverKind.CONTAINER:
            return parse_container(spec)
        case _:
            assert_never(driver)


def check_application(driver: DriverKind, spec: object, health_check: object) -> None:
    """Raise one `InvalidInput` with everything that is wrong with both documents."""
    problems = []
    for read in (
        lambda: parse_spec(driver, spec),
        lambda: parse_health_check(health_check, driver),
    ):
        try:
            read()
        except InvalidInput as error:
            problems.append(error)
    if problems:
        fields = tuple(one for error in problems for one in error.fields)
        raise InvalidInput("\n".join(error.message for error in problems), fields=fields)


def parse_script(spec: object) -> ScriptSpec:
    """`{"scripts": {"deploy", "stage"?, "check"?, "revert"?, "retire"?}, "timeout_seconds"?}`"""
    reader = Reader(spec, "spec")
    timeout = (
        reader.number("timeout_seconds", 0, least=1) if reader.has("timeout_seconds") else None
    )
    reader.raw("timeout_seconds")
    scripts: dict[str, str] = {}
    inner = reader.child("scripts")
    if inner is None:
        reader.wrong("scripts", "is missing", 'write {"deploy": "<bash>"}')
    else:
        for name in SCRIPT_NAMES:
            text = inner.text(
                name,
                required=name == "deploy",
                mend="write the bash that makes a version live",
                check=_nul_problem,
            )
            if text is not None:
                scripts[name] = text
        inner.refuse_the_rest()
    reader.done()
    return ScriptSpec(scripts=scripts, timeout_seconds=timeout)


def parse_git_pull(spec: object) -> GitPullSpec:
    """`{"repository", "path", "post_deploy"?, "keep"?, "git_credential_id"?}`"""
    reader = Reader(spec, "spec")
    repository = reader.text(
        "repository", required=True, mend=REPOSITORY_MEND, check=repository_problem
    )
    path = reader.text(
        "path",
        required=True,
        mend="write an absolute path such as /srv/shop that belongs to this application alone",
        check=_path_problem,
    )
    post_deploy = reader.text("post_deploy", check=_nul_problem)
    keep = reader.whole("keep", DEFAULT_KEEP, least=1, most=1000)
    credential = reader.text("git_credential_id", check=_id_problem)
    reader.done()
    return GitPullSpec(
        repository=repository or "",
        path=path or "",
        post_deploy=post_deploy,
        keep=keep,
        git_credential_id=credential,
    )


def parse_container(spec: object) -> ContainerSpec:
    """`{"image", "name", "ports"?, "env"?, "volumes"?, "networks"?, "command"?, "proxy"?,
    "registry_id"?}`"""
    reader = Reader(spec, "spec")
    image = reader.text(
        "image",
        required=True,
        mend="write a name such as registry.example.org/shop:{version}",
        check=image_problem,
    )
    name = reader.text(
        "name", required=True, mend="write the container's name", check=_container_name_problem
    )
    ports = tuple(parse_port(text) for text in reader.texts("ports", _port_problem))
    env = reader.text_by_name("env")
    for key in env:
        if not _ENV_NAME.match(key):
            reader.wrong(f"env.{key}", "is not the name of a variable", "use letters, digits and _")
    volumes = reader.texts("volumes", _volume_problem)
    networks = reader.texts("networks", _container_name_problem)
    command = reader.texts("command", _nul_problem) if reader.has("command") else None
    reader.raw("command")
    registry_id = reader.text("registry_id", check=_id_problem)
    inner = reader.child("proxy")
    proxy = read_proxy(inner) if inner is not None else None
    if proxy is not None and proxy.port is None and not ports:
        reader.wrong("proxy.port", "is missing", "name the container's port that takes requests")
    reader.done()
    return ContainerSpec(
        image=image or "",
        name=name or "",
        ports=ports,
        env=env,
        volumes=volumes,
        networks=networks,
        command=command,
        proxy=proxy,
        registry_id=registry_id,
    )


def credential_ids(driver: DriverKind, spec: Mapping[str, Any]) -> dict[str, str]:
    """The credentials that an application names, by use."""
    parsed = parse_spec(driver, spec)
    match parsed:
        case GitPullSpec(git_credential_id=str(git)):
            return {GIT: git}
        case ContainerSpec(registry_id=str(registry)):
            return {REGISTRY: registry}
        case _:
            return {}


CREDENTIAL_FIELDS: Final = {GIT: "spec.git_credential_id", REGISTRY: "spec.registry_id"}
"""Where an application names the credential of each use."""


def parse_port(text: str) -> PortMapping:
    """`80`, `8080:80`, `127.0.0.1:8080:80`, `127.0.0.1::80`, each with `/udp` if need be."""
    found = _PORT.match(text)
    if found is None:
        raise ValueError(text)
    return PortMapping(
        container_port=int(found["inner"]),
        host_port=int(found["host"]) or None if found["host"] else None,
        host_ip=(found["ip"] or "0.0.0.0").strip("[]"),
        protocol=found["kind"] or "tcp",
    )


# --- what the plan must say beforehand -----------------------------------------------------------


def can_stage(driver: DriverKind, spec: Mapping[str, Any]) -> bool:
    """Can the new version stand beside the live one before it is made live?"""
    return staging_obstacle(driver, spec) is None


def staging_obstacle(driver: DriverKind, spec: Mapping[str, Any]) -> str | None:
    """Why the new version cannot be staged beside the live one, as a sentence; None if it can."""
    parsed = parse_spec(driver, spec)
    match parsed:
        case ScriptSpec():
            if "stage" in parsed.scripts:
                return None
            return "it has no `stage` script, so it cannot be staged beside itself"
        case GitPullSpec():
            return None
        case ContainerSpec():
            return _port_obstacle(parsed)
        case _:
            assert_never(parsed)


def interrupts(driver: DriverKind, spec: Mapping[str, Any]) -> bool:
    """Making a version live must interrupt service, which a plan says before.

    Only what is certain counts: whether a script or a `post_deploy` interrupts is its author's
    doing and cannot be known here.
    """
    return driver is DriverKind.CONTAINER and not can_stage(driver, spec)


def _port_obstacle(spec: ContainerSpec) -> str | None:
    if not spec.fixed_ports:
        return None
    ports = ", ".join(str(port) for port in spec.fixed_ports)
    one = len(spec.fixed_ports) == 1
    return (
        f"the host port{'' if one else 's'} {ports} {'is' if one else 'are'} fixed, so the old "
        "container must stop before the new one can start; name a `proxy` to avoid it"
    )


# --- where it goes on a target -------------------------------------------------------------------


def placed_git_pull(spec: GitPullSpec, words: Mapping[str, str]) -> GitPullSpec:
    """The spec with `{target}` and its like in `path` replaced."""
    return replace(spec, path=filled_safely(spec.path, words))


def placed_container(spec: ContainerSpec, words: Mapping[str, str]) -> ContainerSpec:
    """The spec with `{target}` and its like in `name` and `volumes` replaced."""
    volumes = tuple(filled_safely(volume, words) for volume in spec.volumes)
    return replace(spec, name=filled_safely(spec.name, words), volumes=volumes)


# --- complaints ----------------------------------------------------------------------------------


def _nul_problem(text: str) -> str | None:
    return "has a NUL character" if "\0" in text else None


def _id_problem(text: str) -> str | None:
    return None if _ID.match(text) else "is not the id of a credential"


def _path_problem(path: str) -> str | None:
    if has_control_characters(path):
        return "has control characters"
    if not path.startswith("/") or ".." in path.split("/") or not path.strip("/."):
        return "is not an absolute path below /"
    return unknown_word(path, PLACE_WORDS)


def _container_name_problem(name: str) -> str | None:
    if problem := unknown_word(name, PLACE_WORDS):
        return problem
    if not _CONTAINER_NAME.match(filled_safely(name, dict.fromkeys(PLACE_WORDS, "x"))):
        return "is not a name that Docker allows (letters, digits, _ . -, at most 100)"
    return None


def _port_problem(text: str) -> str | None:
    found = _PORT.match(text)
    if found is None:
        return f"`{text}` is not a port, host:container or ip:host:container"
    if any(int(found[part] or 1) > 65535 for part in ("host", "inner")) or int(found["inner"]) == 0:
        return f"`{text}` is not between 1 and 65535"
    return None


def _volume_problem(text: str) -> str | None:
    source, _, rest = text.partition(":")
    inner = rest.partition(":")[0]
    if has_control_characters(text) or not inner.startswith("/"):
        return f"`{text}` is not name:/path or /host/path:/path"
    if "/" in source and not source.startswith("/"):
        return f"`{source}` is neither an absolute path nor the name of a volume"
    return unknown_word(text, PLACE_WORDS)
