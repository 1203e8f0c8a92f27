"""People, secrets, variables, builds, workflow templates, observations.

Revision 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FK = sa.ForeignKeyConstraint
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for make in TABLES:
        make()


def _people() -> None:
    op.create_table(
        "members",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("user_id", WORD, nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_members_project_id", ondelete="CASCADE"),
        FK(["user_id"], ["users.id"], name="fk_members_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.UniqueConstraint("project_id", "user_id", name="uq_members_project_id_user_id"),
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_table(
        "identities",
        sa.Column("id", WORD, nullable=False),
        sa.Column("user_id", WORD, nullable=False),
        sa.Column("issuer", WORD, nullable=False),
        sa.Column("subject", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["user_id"], ["users.id"], name="fk_identities_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
        sa.UniqueConstraint("issuer", "subject", name="uq_identities_issuer_subject"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "audit",
        sa.Column("sequence", SERIAL, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("project_id", WORD, nullable=True),
        sa.Column("actor", WORD, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("subject_id", WORD, nullable=False),
        sa.Column("hash", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_actor", "audit", ["actor"])
    op.create_index("ix_audit_project", "audit", ["project_id", "sequence"])
    op.create_index("ix_audit_subject_id", "audit", ["subject_id"])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


_APPEND_ONLY = {
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


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("id", WORD, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("owner_id", WORD, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("project_id", WORD, nullable=True),
        sa.Column("key_id", WORD, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_secrets"),
        sa.UniqueConstraint("owner_id", "revision", name="uq_secrets_owner_id_revision"),
    )
    op.create_index("ix_secrets_key_id", "secrets", ["key_id"])
    op.create_table(
        "credentials",
        sa.Column("id", WORD, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=True),
        sa.Column("name", WORD, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_credentials_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.UniqueConstraint("owner", "name", name="uq_credentials_owner_name"),
    )
    op.create_table(
        "credential_uses",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("credential_id", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credential_uses"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credential_uses_credential", "credential_uses", ["credential_id", "id"])


def _variables() -> None:
    op.create_table(
        "variables",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("application_id", WORD, nullable=True),
        sa.Column("environment_id", WORD, nullable=True),
        sa.Column("owner_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["application_id"],
            ["applications.id"],
            name="fk_variables_application_id",
            ondelete="CASCADE",
        ),
        FK(
            ["environment_id"],
            ["environments.id"],
            name="fk_variables_environment_id",
            ondelete="CASCADE",
        ),
        FK(["project_id"], ["projects.id"], name="fk_variables_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_variables"),
        sa.UniqueConstraint("owner_id", "name", name="uq_variables_owner_id_name"),
    )
    op.create_index("ix_variables_application_id", "variables", ["application_id"])
    op.create_index("ix_variables_environment_id", "variables", ["environment_id"])
    op.create_index("ix_variables_project_id", "variables", ["project_id"])


def _builds() -> None:
    of_builders = sa.text("target_id >= 'builder:' AND target_id < 'builder;'")
    op.create_index(
        "ix_executions_builds",
        "executions",
        ["deployment_id"],
        sqlite_where=of_builders,
        postgresql_where=of_builders,
    )
    op.create_table(
        "images",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("application_id", WORD, nullable=False),
        sa.Column("version_id", WORD, nullable=True),
        sa.Column("release_id", WORD, nullable=False),
        sa.Column("digest", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_images_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    op.create_index("ix_images_release_id", "images", ["release_id"])
    op.create_index("ix_images_digest", "images", ["digest"])
    op.create_index("ix_images_project_id", "images", ["project_id"])
    op.create_index("ix_images_version_id", "images", ["version_id"])


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", WORD, nullable=False),
        sa.Column("project_id", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(["project_id"], ["projects.id"], name="fk_workflows_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_workflows"),
        sa.UniqueConstraint("project_id", "name", name="uq_workflows_project_id_name"),
    )
    op.create_table(
        "workflow_versions",
        sa.Column("id", WORD, nullable=False),
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        FK(
            ["workflow_id"],
            ["workflows.id"],
            name="fk_workflow_versions_workflow_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_versions"),
        sa.UniqueConstraint(
            "workflow_id", "number", name="uq_workflow_versions_workflow_id_number"
        ),
    )
    op.create_table(
        "deployment_workflows",
        sa.Column("deployment_id", WORD, nullable=False),
        sa.Column("workflow_id", WORD, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        FK(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_deployment_workflows_deployment_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("deployment_id", name="pk_deployment_workflows"),
    )


def _observations() -> None:
    op.create_table(
        "observations",
        sa.Column("application_id", WORD, nullable=False),
        sa.Column("target_id", WORD, nullable=False),
        sa.Column("environment_id", WORD, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "target_id", name="pk_observations"),
    )
    op.create_index("ix_observations_environment_id", "observations", ["environment_id"])


TABLES = (_people, _secrets, _variables, _builds, _workflows, _observations)
