"""The first schema.

Revision 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FK = sa.ForeignKeyConstraint
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    if op.get_bind().dialect.supports_sequences:
        op.execute(sa.schema.CreateSequence(sa.Sequence("boreas_fence")))
        op.execute(sa.schema.CreateSequence(sa.Sequence("boreas_outbox")))
    for make in TABLES:
        make()


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    op.create_table(
        "applications",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_applications_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_applications"),
        sa.UniqueConstraint("project_id", "name", name="uq_applications_project_id_name"),
    )
    op.create_table(
        "environments",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_environments_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_environments"),
        sa.UniqueConstraint("project_id", "name", name="uq_environments_project_id_name"),
    )


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_versions_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.UniqueConstraint("project_id", "name", name="uq_versions_project_id_name"),
        sa.UniqueConstraint("sequence", name="uq_versions_sequence"),
    )


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("key_sha256", WORD, nullable=False),
        sa.Column("server_id", WORD, nullable=True),
        sa.Column("connected_at", sa.BigInteger(), nullable=True),
        sa.Column("disconnected_at", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("address", WORD, server_default="", nullable=False),
        sa.Column("transport", WORD, server_default="", nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("facts", sa.Text(), server_default="{}", nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("key_sha256", name="uq_agents_key_sha256"),
        sa.UniqueConstraint("name", name="uq_agents_name"),
    )
    op.create_index("ix_agents_server_id", "agents", ["server_id"])


def _targets() -> None:
    op.create_table(
        "targets",
        sa.Column("id", WORD, nullable=False),
        sa.Column("environment_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("agent_id", WORD, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["agent_id"], ["agents.id"], name="fk_targets_agent_id"),
        FK(
            ["environment_id"],
            ["environments.id"],
            name="fk_targets_environment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
        sa.UniqueConstraint("environment_id", "name", name="uq_targets_environment_id_name"),
    )
    op.create_index("ix_targets_agent_id", "targets", ["agent_id"])
    op.create_table(
        "enrol_tokens",
        sa.Column("id", WORD, nullable=False),
        sa.Column("secret_sha256", WORD, nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_enrol_tokens"),
        sa.UniqueConstraint("secret_sha256", name="uq_enrol_tokens_secret_sha256"),
    )


def _servers_and_counters() -> None:
    op.create_table(
        "servers",
        sa.Column("id", WORD, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("address", WORD, nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_table(
        "counters",
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.create_table(
        "meta",
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )


def _live_records() -> None:
    op.create_table(
        "live_records",
        sa.Column("application_id", WORD, nullable=False),
        sa.Column("target_id", WORD, nullable=False),
        sa.Column("release_id", WORD, nullable=True),
        sa.Column("uncertain_release_id", WORD, nullable=True),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "target_id", name="pk_live_records"),
    )
    op.create_index("ix_live_records_target", "live_records", ["target_id"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", WORD, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("environment_id", WORD, nullable=False),
        sa.Column("version_id", WORD, nullable=False),
        sa.Column("version_name", WORD, nullable=False),
        sa.Column("version_sequence", sa.BigInteger(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.Column("origin", WORD, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["environment_id"],
            ["environments.id"],
            name="fk_deployments_environment_id",
            ondelete="CASCADE",
        ),
        FK(["project_id"], ["projects.id"], name="fk_deployments_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sa.UniqueConstraint("number", name="uq_deployments_number"),
    )
    op.create_index(
        "ix_deployments_active",
        "deployments",
        ["number"],
        sqlite_where=sa.text("final = 0"),
        postgresql_where=sa.text("NOT final"),
    )
    op.create_index(
        "ix_deployments_due",
        "deployments",
        ["due_at"],
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index("ix_deployments_environment_id", "deployments", ["environment_id"])
    op.create_index("ix_deployments_project_id", "deployments", ["project_id"])
    op.create_index(
        "ix_deployments_queued",
        "deployments",
        ["number"],
        sqlite_where=sa.text("queued IS 1"),
        postgresql_where=sa.text("queued IS true"),
    )
    op.create_index("ix_deployments_version_id", "deployments", ["version_id"])


def _queue() -> None:
    op.create_table(
        "deployment_applications",
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("application_id", WORD, nullable=False),
        sa.Column("environment_id", WORD, nullable=False),
        FK(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_deployment_applications_deployment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "deployment_id", "application_id", name="pk_deployment_applications"
        ),
    )
    op.create_index(
        "ix_deployment_applications_application_id", "deployment_applications", ["application_id"]
    )
    op.create_index(
        "ix_deployment_applications_place",
        "deployment_applications",
        ["environment_id", "application_id"],
    )
    op.create_table(
        "wakes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        FK(
            ["deployment_id"], ["deployments.id"], name="fk_wakes_deployment_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_wakes"),
    )
    op.create_index("ix_wakes_deployment_id", "wakes", ["deployment_id"])
    op.create_table(
        "locks",
        sa.Column("application_id", WORD, nullable=False),
        sa.Column("environment_id", WORD, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        FK(
            ["deployment_id"], ["deployments.id"], name="fk_locks_deployment_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("application_id", "environment_id", name="pk_locks"),
    )
    op.create_index("ix_locks_deployment_id", "locks", ["deployment_id"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("id", WORD, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["deployment_id"], ["deployments.id"], name="fk_tasks_deployment_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "id", name="pk_tasks"),
    )
    op.create_table(
        "releases",
        sa.Column("id", WORD, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_releases_deployment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_index("ix_releases_deployment_id", "releases", ["deployment_id"])


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", WORD, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("target_id", WORD, nullable=False),
        sa.Column("agent_id", WORD, nullable=False),
        sa.Column("order_id", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_executions_deployment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
    )
    op.create_index("ix_executions_deployment", "executions", ["deployment_id", "ordinal"])
    op.create_index(
        "ix_executions_unfinished",
        "executions",
        ["agent_id"],
        sqlite_where=sa.text("final = 0"),
        postgresql_where=sa.text("NOT final"),
    )


def _history() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", SERIAL, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_events_deployment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_deployment", "events", ["deployment_id", "sequence"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agent_id", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("order_id", WORD, nullable=False),
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("scope", WORD, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_agent", "outbox", ["agent_id", "id"])
    op.create_index("ix_outbox_order_id", "outbox", ["order_id"])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", WORD, nullable=False),
        sa.Column("username", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )
    op.create_table(
        "sessions",
        sa.Column("id_sha256", WORD, nullable=False),
        sa.Column("user_id", WORD, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id_sha256", name="pk_sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])


def _api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", WORD, nullable=False),
        sa.Column("user_id", WORD, nullable=False),
        sa.Column("secret_sha256", WORD, nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["user_id"], ["users.id"], name="fk_api_tokens_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_tokens_secret_sha256"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    op.create_table(
        "login_attempts",
        sa.Column("key", WORD, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_login_attempts"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("fingerprint", WORD, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency_keys"),
    )


TABLES = (
    _projects,
    _versions,
    _agents,
    _targets,
    _servers_and_counters,
    _live_records,
    _deployments,
    _queue,
    _tasks,
    _executions,
    _history,
    _users,
    _api_tokens,
)
