"""What conditions may ask of a version, an environment, an application; see `engine.cel_texts`."""

from collections.abc import Mapping
from typing import Any

from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import Environment, Version


def facts_about(version: Version, environment: Environment) -> dict[str, Any]:
    """By their whole names; what is not known is empty."""
    git = version.git
    return {
        "version.name": version.name,
        "version.source": version.source,
        "version.git.repository": git.repository if git else "",
        "version.git.ref": (git.ref or "") if git else "",
        "version.git.commit": (git.commit or "") if git else "",
        "environment.name": environment.name,
        "environment.kind": environment.kind.value,
    }


def facts_of_application(release: ReleaseBody) -> Mapping[str, Any]:
    """Of one application, with the variables that only it sees so."""
    return {
        "application.name": release.application,
        "application.driver": release.driver.value,
        "variables": release.variables.plain,
    }
