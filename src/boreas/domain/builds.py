"""How an application's image is built: the configuration people write, and what an agent is asked.

The configuration is the founding document's BuildConfig. `target_image` is a template such as
`{{registry}}/{{project}}/{{app}}:{{version}}-{{commit}}`; it is filled when a build is planned, so
that everybody sees the image's name before it exists.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from boreas.domain.delivery import GIT
from boreas.domain.errors import InvalidInput, invalid
from boreas.domain.git_names import repository_problem
from boreas.domain.ids import TargetId
from boreas.domain.images import image_problem
from boreas.domain.reading import Reader, has_control_characters

PUSH: Final = "push"
"""The use of a credential by which a built image is pushed."""

USUAL_IMAGE: Final = "{{registry}}/{{project}}/{{app}}:{{version}}-{{commit}}"
IMAGE_WORDS: Final = ("registry", "project", "app", "application", "version", "commit")
LONGEST_BUILD_SECONDS: Final = 3600.0

_WORD = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_ARGUMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")
_UNFIT = re.compile(r"[^a-z0-9._-]+")
_IN_A_ROW = re.compile(r"[._-]{2,}")
_UNFIT_IN_TAGS = re.compile(r"[^A-Za-z0-9._-]+")
_SHORT_COMMIT: Final = 12
_BUILDER: Final = "builder:"


class BuildCache(StrEnum):
    """From where layers are taken that need not be built again."""

    LOCAL = "local"
    """What the builder kept of earlier builds."""
    REGISTRY = "registry"
    """Also what was pushed before, so that any builder knows it."""
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """What an application says about its image.

    `repository` is where `git_credential_id` may be used; versions name their own commit in it.
    `secrets` are names of secret variables that the Dockerfile mounts (`--mount=type=secret,id=…`).
    """

    enabled: bool = True
    dockerfile: str = "Dockerfile"
    build_context: str = "."
    build_args: Mapping[str, str] = field(default_factory=dict)
    target_image: str = USUAL_IMAGE
    registry: str = ""
    registry_id: str | None = None
    repository: str | None = None
    git_credential_id: str | None = None
    secrets: tuple[str, ...] = ()
    cache: BuildCache = BuildCache.LOCAL
    push: bool = True
    timeout_seconds: float = LONGEST_BUILD_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """One build as an agent is asked for it: nothing is left to fill in."""

    repository: str
    commit: str
    usual_repository: str
    """The one place to which the git credential may be shown."""
    image: str
    usual_image: str
    """An image of the registry to which the push credential belongs."""
    dockerfile: str
    build_context: str
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    cache: BuildCache = BuildCache.LOCAL
    push: bool = True
    timeout_seconds: float = LONGEST_BUILD_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """What a build made: `digest` as the registry knows it, or the image's id if not pushed."""

    image: str
    digest: str
    size: int


def parse_build(document: object) -> BuildConfig | None:
    """The typed form of an application's `build`; `InvalidInput` names every wrong field."""
    if document is None or document == {}:
        return None
    reader = Reader(document, "build")
    config = BuildConfig(
        enabled=_flag(reader, "enabled", usual=True),
        dockerfile=_inner_path(reader, "dockerfile", "Dockerfile"),
        build_context=_inner_path(reader, "build_context", "."),
        build_args=_arguments(reader),
        target_image=_template(reader),
        registry=reader.text("registry", check=_registry_problem) or "",
        registry_id=reader.text("registry_id"),
        repository=reader.text("repository", check=repository_problem),
        git_credential_id=reader.text("git_credential_id"),
        secrets=reader.texts("secrets", _argument_problem),
        cache=_cache(reader),
        push=_flag(reader, "push", usual=True),
        timeout_seconds=reader.number("timeout_seconds", LONGEST_BUILD_SECONDS, least=1),
    )
    if config.git_credential_id and not config.repository:
        mend = "write the one repository to which the credential may be shown"
        reader.wrong("repository", "is missing beside git_credential_id", mend)
    if _lacks_registry(config):
        mend = "write its address, name a registry_id, or a target_image without {{registry}}"
        reader.wrong("registry", "is missing, and target_image names it", mend)
    reader.done()
    return config


def _lacks_registry(config: BuildConfig) -> bool:
    """A registry credential names its registry, too."""
    names_it = "registry" in _WORD.findall(config.target_image)
    return config.enabled and names_it and not (config.registry or config.registry_id)


def image_named(config: BuildConfig, words: Mapping[str, str]) -> str:
    """The image's full name; what people's names hold that no image may becomes `-`.

    `words` has a value for each of `IMAGE_WORDS`.

    >>> image_named(BuildConfig(registry="r:5000"), {"registry": "r:5000", "project": "My Shop",
    ...     "app": "web", "application": "web", "version": "v1+x", "commit": "0" * 40})
    'r:5000/my-shop/web:v1-x-000000000000'
    """
    template = config.target_image
    head, colon, tag = template.rpartition(":")
    if not colon or "/" in tag:
        head, tag = template, "{{version}}"
    name = _WORD.sub(lambda found: _in_path(found[1], words), head)
    image = f"{name}:{_tag(tag, words)}"
    if problem := image_problem(image):
        raise invalid("build.target_image", f"`{image}` {problem}", "write another template")
    return image


def _tag(template: str, words: Mapping[str, str]) -> str:
    filled = _WORD.sub(lambda found: _in_tag(found[1], words), template)
    return filled.lstrip(".-")[:128] or "latest"


def _in_path(word: str, words: Mapping[str, str]) -> str:
    if word == "registry":
        return words[word]
    fit = _UNFIT.sub("-", words[word].lower())
    return _IN_A_ROW.sub("-", fit).strip("-._") or "x"


def _in_tag(word: str, words: Mapping[str, str]) -> str:
    value = words[word][:_SHORT_COMMIT] if word == "commit" else words[word]
    return _UNFIT_IN_TAGS.sub("-", value)


def plan_of(
    config: BuildConfig, *, repository: str, commit: str, words: Mapping[str, str]
) -> BuildPlan:
    """The build of one commit; `InvalidInput` when its image cannot be named."""
    image = image_named(config, {**words, "commit": commit})
    return BuildPlan(
        repository=repository,
        commit=commit,
        usual_repository=config.repository or repository,
        image=image,
        usual_image=image,
        dockerfile=config.dockerfile,
        build_context=config.build_context,
        build_args=config.build_args,
        secrets=config.secrets,
        cache=config.cache,
        push=config.push,
        timeout_seconds=config.timeout_seconds,
    )


def built_of(result: Mapping[str, Any]) -> BuiltImage | None:
    """What a finished build reported, or None if it is no report of a build."""
    image, digest, size = (result.get(name) for name in ("image", "digest", "size"))
    if not isinstance(image, str) or not isinstance(digest, str):
        return None
    return BuiltImage(image=image, digest=digest, size=size if isinstance(size, int) else 0)


def credential_ids(config: BuildConfig) -> Mapping[str, str]:
    """Which credentials a build needs, by use."""
    named = {GIT: config.git_credential_id, PUSH: config.registry_id if config.push else None}
    return {use: id_ for use, id_ in named.items() if id_ is not None}


def builder_target(agent_id: str) -> TargetId:
    """How an execution names the agent that it builds on, where others name their target."""
    return TargetId(_BUILDER + agent_id)


def is_builder(target_id: str) -> bool:
    """Does this stand for a builder?"""
    return target_id.startswith(_BUILDER)


def builder_name(agent_name: str) -> str:
    """What people read in place of a target's name."""
    return f"builder {agent_name}"


def inner_path_problem(text: str) -> str | None:
    """Why this is no path inside a checkout, or None."""
    if has_control_characters(text):
        return "has control characters"
    if text.startswith(("/", "-", "~")):
        return "does not lie inside the repository"
    if any(part == ".." for part in text.split("/")):
        return "climbs out of the repository"
    return None


def _inner_path(reader: Reader, key: str, usual: str) -> str:
    mend = "write a path inside the repository, such as docker/Dockerfile"
    return reader.text(key, check=inner_path_problem, mend=mend) or usual


def _flag(reader: Reader, key: str, *, usual: bool) -> bool:
    value = reader.raw(key)
    if value is None:
        return usual
    if not isinstance(value, bool):
        reader.wrong(key, "is neither true nor false", "write true or false")
        return usual
    return value


def _arguments(reader: Reader) -> dict[str, str]:
    found = reader.text_by_name("build_args")
    for name, value in found.items():
        if problem := _argument_problem(name):
            reader.wrong(f"build_args.{name}", problem)
        if has_control_characters(value):
            reader.wrong(f"build_args.{name}", "has control characters", "leave them out")
    return found


def _argument_problem(name: str) -> str | None:
    if _ARGUMENT.match(name):
        return None
    return "is not a name; write letters, digits and _, no digit first"


def _template(reader: Reader) -> str:
    template = reader.text("target_image") or USUAL_IMAGE
    for word in _WORD.findall(template):
        if word not in IMAGE_WORDS:
            known = ", ".join(f"{{{{{name}}}}}" for name in IMAGE_WORDS)
            reader.wrong("target_image", f"has {{{{{word}}}}}", f"only {known} can stand here")
            return USUAL_IMAGE
    sample = dict.fromkeys(IMAGE_WORDS, "x") | {"registry": "registry.example.org"}
    try:
        image_named(BuildConfig(target_image=template), sample)
    except InvalidInput:
        mend = f"write a name such as {USUAL_IMAGE}"
        reader.wrong("target_image", f"`{template}` is not the name of an image", mend)
        return USUAL_IMAGE
    return template


def _registry_problem(text: str) -> str | None:
    problem = image_problem(f"{text}/x")
    return None if problem is None else "is not the address of a registry"


def _cache(reader: Reader) -> BuildCache:
    text = reader.text("cache")
    known = ", ".join(BuildCache)
    if text is None:
        return BuildCache.LOCAL
    if text not in list(BuildCache):
        reader.wrong("cache", f"is `{text}`", f"write one of {known}")
        return BuildCache.LOCAL
    return BuildCache(text)
