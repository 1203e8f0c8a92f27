"""The schema, second part: people, secrets, variables, builds, workflow templates, observations.

As in `tables`: columns are what is searched, joined or counted; `document` holds the whole value.
"""

from typing import Final

from sqlalchemy import (
    DDL,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from boreas.store import columns as c
from boreas.store.columns import Serial, Word
from boreas.store.tables import metadata

members = Table(
    "members",
    metadata,
    c.own_id(),
    c.within("project_id", "projects.id"),
    c.within("user_id", "users.id", index=True),
    c.word("role"),
    c.document(),
    UniqueConstraint("project_id", "user_id"),
)
identities = Table(
    "identities",
    metadata,
    c.own_id(),
    c.within("user_id", "users.id", index=True),
    c.word("issuer"),
    c.word("subject"),
    c.document(),
    UniqueConstraint("issuer", "subject"),
)
# No foreign keys: what happened stays true when its subject is gone.
audit = Table(
    "audit",
    metadata,
    Column("sequence", Serial, primary_key=True),
    c.time("at"),
    c.word("project_id", nullable=True),
    c.word("actor", index=True),
    c.word("action"),
    c.word("subject_id", index=True),
    c.word("hash"),
    c.document(),
    Index("ix_audit_project", "project_id", "sequence"),
    sqlite_autoincrement=True,
)
# The database itself refuses what the code does not do anyway; only its owner can take this off.
APPEND_ONLY: Final = {
    "sqlite": (
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit\n"
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
        "CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit\n"
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION boreas_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS\n"
        "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$",
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit\n"
        "FOR EACH STATEMENT EXECUTE FUNCTION boreas_audit_is_append_only()",
    ),
}
for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        guard = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(audit, "after_create", guard.execute_if(dialect=_dialect))

secrets = Table(
    "secrets",
    metadata,
    c.own_id(),
    c.word("kind"),
    c.word("owner_id"),
    Column("revision", Integer, nullable=False),
    c.word("project_id", nullable=True),
    c.word("key_id", index=True),
    Column("sealed", LargeBinary, nullable=False),
    c.time("created_at"),
    UniqueConstraint("owner_id", "revision"),
)
"""Every encrypted value there is, by owner and revision; re-encryption walks this one table."""
credentials = Table(
    "credentials",
    metadata,
    c.own_id(),
    c.word("owner"),
    c.within("project_id", "projects.id", nullable=True),
    c.word("name"),
    c.word("type"),
    c.document(),
    UniqueConstraint("owner", "name"),
)
"""`owner` is the project's id, or `global`: a NULL would not be unique."""
credential_uses = Table(
    "credential_uses",
    metadata,
    Column("id", Serial, primary_key=True),
    c.word("credential_id"),
    c.time("at"),
    c.word("action"),
    c.document(),
    Index("ix_credential_uses_credential", "credential_id", "id"),
    sqlite_autoincrement=True,
)
variables = Table(
    "variables",
    metadata,
    c.own_id(),
    c.within("project_id", "projects.id", index=True),
    c.within("application_id", "applications.id", nullable=True, index=True),
    c.within("environment_id", "environments.id", nullable=True, index=True),
    c.word("owner_id"),
    c.word("name"),
    c.document(),
    UniqueConstraint("owner_id", "name"),
)

images = Table(
    "images",
    metadata,
    c.own_id(),
    c.within("project_id", "projects.id", index=True),
    c.word("application_id"),
    c.word("version_id", nullable=True, index=True),
    c.word("release_id", index=True),
    c.word("digest", index=True),
    c.time("at"),
    c.document(),
)

workflows = Table(
    "workflows",
    metadata,
    c.own_id(),
    c.within("project_id", "projects.id"),
    c.word("name"),
    Column("revision", Integer, nullable=False),
    c.document(),
    UniqueConstraint("project_id", "name"),
)
workflow_versions = Table(
    "workflow_versions",
    metadata,
    c.own_id(),
    c.within("workflow_id", "workflows.id"),
    Column("number", Integer, nullable=False),
    c.document(),
    UniqueConstraint("workflow_id", "number"),
)

deployment_workflows = Table(
    "deployment_workflows",
    metadata,
    Column(
        "deployment_id",
        Word,
        ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    c.word("workflow_id"),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
)
"""The template as a deployment took it; no key to the template, which may be removed."""

observations = Table(
    "observations",
    metadata,
    Column("application_id", Word, primary_key=True),
    Column("target_id", Word, primary_key=True),
    c.word("environment_id", index=True),
    c.time("at"),
    c.document(),
)
"""What an agent last saw live, beside `live_records`, which is what deployments proved."""
