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
    TextClause,
    UniqueConstraint,
    text,
)

from boreas.store.columns import Serial, Word, document, own_id, time, within, word

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


def _only_where(condition: ColumnElement[bool] | TextClause) -> dict[str, Any]:
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

projects = Table("projects", metadata, own_id(), word("name"), document(), UniqueConstraint("name"))
applications = Table(
    "applications",
    metadata,
    own_id(),
    within("project_id", "projects.id"),
    word("name"),
    Column("position", Integer, nullable=False),
    document(),
    UniqueConstraint("project_id", "name"),
)
environments = Table(
    "environments",
    metadata,
    own_id(),
    within("project_id", "projects.id"),
    word("name"),
    document(),
    UniqueConstraint("project_id", "name"),
)
agents = Table(
    "agents",
    metadata,
    own_id(),
    word("name"),
    word("key_sha256"),
    word("server_id", nullable=True, index=True),
    time("connected_at", nullable=True),
    time("disconnected_at", nullable=True),
    time("last_seen_at", nullable=True),
    Column("address", Word, nullable=False, server_default=""),
    Column("transport", Word, nullable=False, server_default=""),
    time("revoked_at", nullable=True),
    Column("facts", Text, nullable=False, server_default="{}"),
    document(),
    UniqueConstraint("name"),
    UniqueConstraint("key_sha256"),
)
targets = Table(
    "targets",
    metadata,
    own_id(),
    within("environment_id", "environments.id"),
    word("name"),
    Column("agent_id", Word, ForeignKey("agents.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    document(),
    UniqueConstraint("environment_id", "name"),
)
versions = Table(
    "versions",
    metadata,
    own_id(),
    within("project_id", "projects.id"),
    word("name"),
    Column("sequence", BigInteger, nullable=False),
    document(),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("sequence"),
)
enrol_tokens = Table(
    "enrol_tokens",
    metadata,
    own_id(),
    word("secret_sha256"),
    Column("uses_left", Integer, nullable=False),
    time("expires_at"),
    document(),
    UniqueConstraint("secret_sha256"),
)

deployments = Table(
    "deployments",
    metadata,
    own_id(),
    Column("number", BigInteger, nullable=False),
    within("project_id", "projects.id", index=True),
    within("environment_id", "environments.id", index=True),
    word("version_id", index=True),
    word("version_name"),
    Column("version_sequence", BigInteger, nullable=False),
    word("state"),
    Column("final", Boolean, nullable=False),
    Column("queued", Boolean, nullable=False),
    word("origin"),
    Column("revision", BigInteger, nullable=False),
    time("due_at", nullable=True),
    Column("search", Text, nullable=False),
    document(),
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
    word("environment_id"),
    Index("ix_deployment_applications_place", "environment_id", "application_id"),
)
wakes = Table(
    "wakes",
    metadata,
    Column("id", Serial, primary_key=True),
    within("deployment_id", "deployments.id", index=True),
    time("at"),
)
tasks = Table(
    "tasks",
    metadata,
    Column(
        "deployment_id", Word, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("id", Word, primary_key=True),
    Column("position", Integer, nullable=False),
    document(),
)
executions = Table(
    "executions",
    metadata,
    own_id(),
    within("deployment_id", "deployments.id"),
    Column("ordinal", Integer, nullable=False),
    word("target_id"),
    word("agent_id"),
    word("order_id"),
    word("state"),
    Column("final", Boolean, nullable=False),
    document(),
    Index("ix_executions_deployment", "deployment_id", "ordinal"),
)
# Literals, or SQLite does not see that a query's condition is the index's.
IS_BUILD: Final = text("executions.target_id >= 'builder:' AND executions.target_id < 'builder;'")
Index(
    "ix_executions_builds",
    executions.c.deployment_id,
    **_only_where(text("target_id >= 'builder:' AND target_id < 'builder;'")),
)
Index("ix_executions_unfinished", executions.c.agent_id, **_only_where(~executions.c.final))
releases = Table(
    "releases",
    metadata,
    own_id(),
    within("deployment_id", "deployments.id", index=True),
    Column("view", Text, nullable=False),
    document(),
)
locks = Table(
    "locks",
    metadata,
    Column("application_id", Word, primary_key=True),
    Column("environment_id", Word, primary_key=True),
    within("deployment_id", "deployments.id", index=True),
)
# No foreign keys here: a target removed at the same moment must not fail a whole group commit.
live_records = Table(
    "live_records",
    metadata,
    Column("application_id", Word, primary_key=True),
    Column("target_id", Word, primary_key=True),
    word("release_id", nullable=True),
    word("uncertain_release_id", nullable=True),
    word("deployment_id"),
    time("since"),
    Index("ix_live_records_target", "target_id"),
)
events = Table(
    "events",
    metadata,
    Column("sequence", Serial, primary_key=True),
    within("deployment_id", "deployments.id"),
    time("at"),
    document(),
    Index("ix_events_deployment", "deployment_id", "sequence"),
    sqlite_autoincrement=True,
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    word("agent_id"),
    word("kind"),
    word("order_id", index=True),
    word("deployment_id"),
    word("scope"),
    Column("fence", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_outbox_agent", "agent_id", "id"),
)
servers = Table(
    "servers",
    metadata,
    own_id(),
    Column("epoch", BigInteger, nullable=False),
    word("address"),
    Column("lease_until", BigInteger, nullable=False),
)

users = Table(
    "users", metadata, own_id(), word("username"), document(), UniqueConstraint("username")
)
sessions = Table(
    "sessions",
    metadata,
    Column("id_sha256", Word, primary_key=True),
    within("user_id", "users.id", index=True),
    time("last_seen_at"),
    time("expires_at"),
    document(),
)
api_tokens = Table(
    "api_tokens",
    metadata,
    own_id(),
    within("user_id", "users.id", index=True),
    word("secret_sha256"),
    time("last_used_at", nullable=True),
    document(),
    UniqueConstraint("secret_sha256"),
)
login_attempts = Table(
    "login_attempts",
    metadata,
    Column("key", Word, primary_key=True),
    Column("failures", Integer, nullable=False),
    time("last_failed_at"),
)
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", Word, primary_key=True),
    Column("key", Word, primary_key=True),
    word("fingerprint"),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    time("created_at"),
)
