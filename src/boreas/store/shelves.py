"""Which nouns there are and how each is stored; both stores read this list."""

from typing import Final

from boreas.domain.access import ApiToken, Identity, Session, User
from boreas.domain.credentials import Credential
from boreas.domain.fleet import Agent, EnrolToken, Target
from boreas.domain.permissions import Member
from boreas.domain.projects import Application, Environment, Project, Version
from boreas.domain.variables import Variable
from boreas.domain.workflows.templates import Workflow, WorkflowVersion
from boreas.store import release_tables, tables
from boreas.store.nouns import Shelf

_BY_POSITION: Final = (("position", int), ("id", str))

PROJECTS: Final = Shelf(noun="project", kind=Project, table=tables.projects)
APPLICATIONS: Final = Shelf(
    noun="application",
    kind=Application,
    table=tables.applications,
    parent="project_id",
    order=_BY_POSITION,
)
ENVIRONMENTS: Final = Shelf(
    noun="environment", kind=Environment, table=tables.environments, parent="project_id"
)
TARGETS: Final = Shelf(
    noun="target",
    kind=Target,
    table=tables.targets,
    parent="environment_id",
    order=_BY_POSITION,
)
VERSIONS: Final = Shelf(
    noun="version",
    kind=Version,
    table=tables.versions,
    parent="project_id",
    order=(("sequence", int),),
    newest_first=True,
)
AGENTS: Final = Shelf(noun="agent", kind=Agent, table=tables.agents)
ENROL_TOKENS: Final = Shelf(
    noun="enrol token",
    kind=EnrolToken,
    table=tables.enrol_tokens,
    label="secret_sha256",
    order=(("id", str),),
    overlay=("uses_left",),
)
USERS: Final = Shelf(
    noun="user",
    kind=User,
    table=tables.users,
    label="username",
    order=(("username", str), ("id", str)),
)
SESSIONS: Final = Shelf(
    noun="session",
    kind=Session,
    table=tables.sessions,
    label="id_sha256",
    key="id_sha256",
    parent="user_id",
    order=(("id_sha256", str),),
    overlay=("last_seen_at", "expires_at"),
)
API_TOKENS: Final = Shelf(
    noun="API token",
    kind=ApiToken,
    table=tables.api_tokens,
    label="secret_sha256",
    parent="user_id",
    order=(("id", str),),
    overlay=("last_used_at",),
)
MEMBERS: Final = Shelf(
    noun="member",
    kind=Member,
    table=release_tables.members,
    label="user_id",
    parent="project_id",
    order=(("id", str),),
)
VARIABLES: Final = Shelf(
    noun="variable", kind=Variable, table=release_tables.variables, parent="owner_id"
)
CREDENTIALS: Final = Shelf(
    noun="credential",
    kind=Credential,
    table=release_tables.credentials,
    parent="owner",
)
WORKFLOWS: Final = Shelf(
    noun="workflow", kind=Workflow, table=release_tables.workflows, parent="project_id"
)
WORKFLOW_VERSIONS: Final = Shelf(
    noun="workflow version",
    kind=WorkflowVersion,
    table=release_tables.workflow_versions,
    label="number",
    parent="workflow_id",
    order=(("number", int),),
    newest_first=True,
)
IDENTITIES: Final = Shelf(
    noun="identity",
    kind=Identity,
    table=release_tables.identities,
    label="subject",
    parent="issuer",
    order=(("id", str),),
)
