"""The schema. Columns are what is searched, joined or counted; `document` holds the whole value.

Changed only together with a new revision in `migrations/versions`; a test compares the two.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
)

from boreas.store.columns import Serial, UtcTime, Word

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Drawn without a row lock on PostgreSQL, so that servers never wait for each other's commits here;
# SQLite has no sequences and uses rows of `counters`.
FENCE: Final = "boreas_fence"
OUTBOX: Final = "boreas_outbox"
Sequence(FENCE, metadata=metadata)
Sequence(OUTBOX, metadata=metadata)


def _id() -> Column[Any]:
    return Column("id", Word, primary_key=True)


def _word(name: str, *, nullable: bool = False, index: bool = False) -> Column[Any]:
    return Column(name, Word, nullable=nullable, index=index)


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, UtcTime, nullable=nullable)


def _within(name: str, parent: str, *, index: bool = False) -> Column[Any]:
    """Goes with its parent."""
    return Column(name, Word, ForeignKey(parent, ondelete="CASCADE"), nullable=False, index=index)


def _document() -> Column[Any]:
    return Column("document", Text, nullable=False)


def _only_where(condition: ColumnElement[bool]) -> dict[str, Any]:
    return {"sqlite_where": condition, "postgresql_where": condition}


counters = Table(
    "counters",
    metadata,
    Column("name", Word, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
meta = Table(
    "meta", metadata, Column("name", Word, primary_key=True), Column("value", Text, nullable=False)
)

projects = Table("projects", metadata, _id(), _word("name"), _document(), UniqueConstraint("name"))
applications = Table(
    "applications",
    metadata,
    _id(),
    _within("project_id", "projects.id"),
    _word("name"),
    Column("position", Integer, nullable=False),
    _document(),
    UniqueConstraint("project_id", "name"),
)
environments = Table(
    "environments",
    metadata,
    _id(),
    _within("project_id", "projects.id"),
    _word("name"),
    _document(),
    UniqueConstraint("project_id", "name"),
)
agents = Table(
    "agents",
    metadata,
    _id(),
    _word("name"),
    _word("key_sha256"),
    _word("server_id", nullable=True, index=True),
    _time("connected_at", nullable=True),
    _time("disconnected_at", nullable=True),
    _time("last_seen_at", nullable=True),
    Column("address", Word, nullable=False, server_default=""),
    Column("transport", Word, nullable=False, server_default=""),
    _time("revoked_at", nullable=True),
    Column("facts", Text, nullable=False, server_default="{}"),
    _document(),
    UniqueConstraint("name"),
    UniqueConstraint("key_sha256"),
)
targets = Table(
    "targets",
    metadata,
    _id(),
    _within("environment_id", "environments.id"),
    _word("name"),
    Column("agent_id", Word, ForeignKey("agents.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    _document(),
    UniqueConstraint("environment_id", "name"),
)
versions = Table(
    "versions",
    metadata,
    _id(),
    _within("project_id", "projects.id"),
    _word("name"),
    Column("sequence", BigInteger, nullable=False),
    _document(),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("sequence"),
)
enrol_tokens = Table(
    "enrol_tokens",
    metadata,
    _id(),
    _word("secret_sha256"),
    Column("uses_left", Integer, nullable=False),
    _time("expires_at"),
    _document(),
    UniqueConstraint("secret_sha256"),
)

deployments = Table(
    "deployments",
    metadata,
    _id(),
    Column("number", BigInteger, nullable=False),
    _within("project_id", "projects.id", index=True),
    _within("environment_id", "environments.id", index=True),
    _word("version_id", index=True),
    _word("version_name"),
    Column("version_sequence", BigInteger, nullable=False),
    _word("state"),
    Column("final", Boolean, nullable=False),
    Column("queued", Boolean, nullable=False),
    _word("origin"),
    Column("revision", BigInteger, nullable=False),
    _time("due_at", nullable=True),
    Column("search", Text, nullable=False),
    _document(),
    UniqueConstraint("number"),
)
Index("ix_deployments_due", deployments.c.due_at, **_only_where(deployments.c.due_at.is_not(None)))
Index("ix_deployments_active", deployments.c.number, **_only_where(~deployments.c.final))
IS_QUEUED: Final = deployments.c.queued.is_(True)
"""Written in queries as it is in the index, or SQLite does not see that the index fits."""
Index("ix_deployments_queued", deployments.c.number, **_only_where(IS_QUEUED))
deployment_applications = Table(
    "deployment_applications",
    metadata,
    Column(
        "deployment_id", Word, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("application_id", Word, primary_key=True, index=True),
    _word("environment_id"),
    Index("ix_deployment_applications_place", "environment_id", "application_id"),
)
wakes = Table(
    "wakes",
    metadata,
    Column("id", Serial, primary_key=True),
    _within("deployment_id", "deployments.id", index=True),
    _time("at"),
)
tasks = Table(
    "tasks",
    metadata,
    Column(
        "deployment_id", Word, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("id", Word, primary_key=True),
    Column("position", Integer, nullable=False),
    _document(),
)
executions = Table(
    "executions",
    metadata,
    _id(),
    _within("deployment_id", "deployments.id"),
    Column("ordinal", Integer, nullable=False),
    _word("target_id"),
    _word("agent_id"),
    _word("order_id"),
    _word("state"),
    Column("final", Boolean, nullable=False),
    _document(),
    Index("ix_executions_deployment", "deployment_id", "ordinal"),
)
Index("ix_executions_unfinished", executions.c.agent_id, **_only_where(~executions.c.final))
releases = Table(
    "releases",
    metadata,
    _id(),
    _within("deployment_id", "deployments.id", index=True),
    Column("view", Text, nullable=False),
    _document(),
)
locks = Table(
    "locks",
    metadata,
    Column("application_id", Word, primary_key=True),
    Column("environment_id", Word, primary_key=True),
    _within("deployment_id", "deployments.id", index=True),
)
# No foreign keys here: a target removed at the same moment must not fail a whole group commit.
live_records = Table(
    "live_records",
    metadata,
    Column("application_id", Word, primary_key=True),
    Column("target_id", Word, primary_key=True),
    _word("release_id", nullable=True),
    _word("uncertain_release_id", nullable=True),
    _word("deployment_id"),
    _time("since"),
    Index("ix_live_records_target", "target_id"),
)
events = Table(
    "events",
    metadata,
    Column("sequence", Serial, primary_key=True),
    _within("deployment_id", "deployments.id"),
    _time("at"),
    _document(),
    Index("ix_events_deployment", "deployment_id", "sequence"),
    sqlite_autoincrement=True,
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    _word("agent_id"),
    _word("kind"),
    _word("order_id", index=True),
    _word("deployment_id"),
    _word("scope"),
    Column("fence", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_outbox_agent", "agent_id", "id"),
)
servers = Table(
    "servers",
    metadata,
    _id(),
    Column("epoch", BigInteger, nullable=False),
    _word("address"),
    Column("lease_until", BigInteger, nullable=False),
)

users = Table(
    "users", metadata, _id(), _word("username"), _document(), UniqueConstraint("username")
)
sessions = Table(
    "sessions",
    metadata,
    Column("id_sha256", Word, primary_key=True),
    _within("user_id", "users.id", index=True),
    _time("last_seen_at"),
    _time("expires_at"),
    _document(),
)
api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    _within("user_id", "users.id", index=True),
    _word("secret_sha256"),
    _time("last_used_at", nullable=True),
    _document(),
    UniqueConstraint("secret_sha256"),
)
login_attempts = Table(
    "login_attempts",
    metadata,
    Column("key", Word, primary_key=True),
    Column("failures", Integer, nullable=False),
    _time("last_failed_at"),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", Word, primary_key=True),
    Column("key", Word, primary_key=True),
    _word("fingerprint"),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _time("created_at"),
)
