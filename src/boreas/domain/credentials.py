"""Credentials: what a project, or everybody, uses to get in elsewhere; values only by reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from boreas.domain.ids import ProjectId
from boreas.domain.secrets import SecretRef


class CredentialType(StrEnum):
    """What it opens, and which fields its value has."""

    USERNAME_TOKEN = "username_token"
    """`username`, `password`: git over HTTPS, a registry."""
    ACCESS_TOKEN = "access_token"
    """`token`: the API and git of a forge."""
    SSH = "ssh"
    """`private_key`, perhaps `passphrase` and `known_hosts`: git over SSH."""
    REGISTRY = "registry"
    """`registry`, `username`, `password`: one image registry and no other."""
    KUBECONFIG = "kubeconfig"
    """`kubeconfig`: a Kubernetes cluster."""


class CredentialScope(StrEnum):
    """Who may use it."""

    GLOBAL = "global"
    """Every project; kept by admins."""
    PROJECT = "project"


EVERYBODY: Final = "global"
"""The owner of global credentials; names are unique within an owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential without its value.

    `details` is what may be shown of the value (a registry's address, a key's public fingerprint);
    `fingerprint` tells two values apart without telling either.
    """

    id: str
    owner: str
    project_id: ProjectId | None = None
    name: str
    type: CredentialType
    description: str = ""
    secret: SecretRef
    fingerprint: str
    details: Mapping[str, str] = field(default_factory=dict)
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def scope(self) -> CredentialScope:
        """Everybody's, or a project's."""
        return CredentialScope.GLOBAL if self.project_id is None else CredentialScope.PROJECT

    def is_usable_in(self, project_id: str) -> bool:
        """May something of this project name it?"""
        return self.project_id is None or self.project_id == project_id


class CredentialAction(StrEnum):
    """What happened to a credential."""

    CREATE = "create"
    USE = "use"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialEvent:
    """One line of a credential's log; it stays when the credential goes.

    `user_id` is empty where nobody asked directly: an agent got it for a deployment that somebody
    else started; then `user` is that person's name and `purpose` says what for.
    """

    id: int = 0
    """Given by the store."""
    credential_id: str
    at: datetime
    action: CredentialAction
    revision: int
    """Of the value that was made, used or replaced."""
    owner: str = ""
    """The project's id, or `global`; only who makes or changes it need say."""
    user_id: str = ""
    user: str = ""
    address: str = ""
    purpose: str = ""
    project_id: str = ""
    deployment_id: str = ""
    execution_id: str = ""
    agent_id: str = ""
