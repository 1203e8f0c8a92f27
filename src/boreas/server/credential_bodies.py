"""Credentials as they go over the wire. A value comes in here, and none goes out."""

from datetime import datetime
from typing import Any

from pydantic import Field

from boreas.domain.credentials import (
    Credential,
    CredentialAction,
    CredentialEvent,
    CredentialScope,
    CredentialType,
)
from boreas.server.bodies import Body, Moment, Name, Text, View

_SHAPES = (
    "The value, by type. `username_token`: `username`, `password`. `access_token`: `token` "
    "(`username` for forges that want a certain one). `ssh`: `private_key` (PEM), perhaps "
    "`passphrase` and `known_hosts`. `registry`: `registry`, `username`, `password`. "
    "`kubeconfig`: `kubeconfig` (YAML). Never shown again by any route."
)


class CredentialBody(Body):
    """A new credential. Scope `global` is for every project and made by admins only."""

    name: Name
    type: CredentialType
    description: Text = ""
    scope: CredentialScope = CredentialScope.PROJECT
    project_id: str | None = None
    data: dict[str, Any] = Field(repr=False, description=_SHAPES)


class CredentialPatch(Body):
    """What to change. Without `data` the value stays; with it, it is replaced.

    Of `data` only `username`, `registry` and `known_hosts` stay when they are left out.

    `type`, `scope` and `project_id` may be sent along, but only as they are.
    """

    name: Name | None = None
    description: Text | None = None
    data: dict[str, Any] | None = Field(default=None, repr=False, description=_SHAPES)
    type: CredentialType | None = None
    scope: CredentialScope | None = None
    project_id: str | None = None


class CredentialView(View):
    """A credential without its value.

    `fingerprint` changes with the value and tells nothing of it; `revision` counts values;
    `details` is what may be known of the value: a registry's address, a key's public fingerprint.
    """

    id: str
    name: str
    type: CredentialType
    description: str
    scope: CredentialScope
    project_id: str | None
    fingerprint: str
    revision: int
    details: dict[str, str]
    created_by: str
    created_at: Moment
    updated_at: Moment
    last_used_at: Moment | None


class CredentialLogView(View):
    """One line of a credential's log; `purpose` says what it was used for."""

    id: str
    credential_id: str
    action: CredentialAction
    revision: int
    user_id: str
    user: str
    ip_address: str
    purpose: str
    project_id: str
    deployment_id: str
    execution_id: str
    agent_id: str
    created_at: Moment


def credential_view(credential: Credential, last_used_at: datetime | None) -> CredentialView:
    """What callers see of it."""
    return CredentialView(
        id=credential.id,
        name=credential.name,
        type=credential.type,
        description=credential.description,
        scope=credential.scope,
        project_id=credential.project_id,
        fingerprint=credential.fingerprint,
        revision=credential.secret.revision,
        details=dict(credential.details),
        created_by=credential.created_by,
        created_at=credential.created_at,
        updated_at=credential.updated_at,
        last_used_at=last_used_at,
    )


def log_view(event: CredentialEvent) -> CredentialLogView:
    """One line of the log."""
    return CredentialLogView(
        id=str(event.id),
        credential_id=event.credential_id,
        action=event.action,
        revision=event.revision,
        user_id=event.user_id,
        user=event.user,
        ip_address=event.address,
        purpose=event.purpose,
        project_id=event.project_id,
        deployment_id=event.deployment_id,
        execution_id=event.execution_id,
        agent_id=event.agent_id,
        created_at=event.at,
    )
