"""Agents as the fleet's owner sees them, and the tokens that let new ones in."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.fleet import Agent, EnrolToken, serves
from boreas.domain.ids import AgentId
from boreas.kit.ids import new_secret
from boreas.server.auth.callers import Admin, AnyUser, Caller
from boreas.server.bodies import Body, Moment, Name, Page, View, Whole
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction
from boreas.store.nouns import not_found
from boreas.store.shelves import AGENTS
from boreas.transport.tokens import secret_hash

router = APIRouter(prefix="/api/release/agents", tags=["agents"])

# 128 bits, as transport.md wants of an enrol token.
_SECRET_BYTES = 16


class AgentView(View):
    """An agent; `facts` is what it reports of its node and of what Boreas deployed there."""

    id: str
    name: str
    labels: dict[str, str]
    version: str
    online: bool
    server_id: str | None
    address: str
    transport: str
    enrolled_at: Moment
    connected_at: Moment | None
    last_seen_at: Moment | None
    revoked_at: Moment | None
    facts: dict[str, Any]


class EnrolTokenBody(Body):
    """A token for new agents: how long, for how many, and the labels they get."""

    ttl_seconds: Whole = Field(default=3600, ge=1, le=7 * 86_400)
    labels: dict[Name, Name] = Field(default_factory=dict, max_length=50)
    uses: Whole = Field(default=1, ge=1, le=1000)


class EnrolTokenView(View):
    """An enrol token without its secret."""

    id: str
    labels: dict[str, str]
    uses_left: int
    created_by: str
    created_at: Moment
    expires_at: Moment


class NewEnrolTokenView(EnrolTokenView):
    """An enrol token at its birth; `token` is never shown again."""

    token: str


@router.post("/enroll-tokens", status_code=201, response_model=NewEnrolTokenView)
async def create_enrol_token(
    body: EnrolTokenBody, caller: Admin, services: Services, creating: Creating
) -> Response:
    """Make a token: `boreas agent --token <it>` on the node."""
    secret, now = new_secret(_SECRET_BYTES), services.clock.now()
    token = EnrolToken(
        id=services.ids("enr"),
        secret_sha256=secret_hash(secret),
        labels=body.labels,
        uses_left=body.uses,
        created_by=caller.name,
        created_at=now,
        expires_at=now + timedelta(seconds=body.ttl_seconds),
    )

    async def make(tx: Transaction) -> NewEnrolTokenView:
        await caller.must_be_admin(tx)
        await tx.enrol_tokens.add(token)
        await tx.audit.note(caller, "enrol_token.create", "enrol_token", token.id, after=token)
        shown = EnrolTokenView.model_validate(token).model_dump()
        return NewEnrolTokenView(**shown, token=services.mint_enrol_token(secret))

    return await creating.run(make, secret="token")


@router.get("/enroll-tokens")
async def list_enrol_tokens(
    caller: Admin, services: Services, limit: Limit = USUAL, cursor: Cursor = None
) -> Page[EnrolTokenView]:
    """Tokens that still let agents in."""
    async with services.store.reading() as tx:
        page = await tx.enrol_tokens.page(cursor=cursor, limit=limit)
    items = [EnrolTokenView.model_validate(token) for token in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.delete("/enroll-tokens/{token_id}", status_code=204)
async def delete_enrol_token(token_id: str, caller: Admin, services: Services) -> None:
    """Nobody gets in with this token any more."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        token = await tx.enrol_tokens.get(token_id)
        await tx.enrol_tokens.remove(token_id)
        await tx.audit.note(caller, "enrol_token.delete", "enrol_token", token_id, before=token)


@router.get("")
async def list_agents(
    caller: AnyUser, services: Services, limit: Limit = USUAL, cursor: Cursor = None
) -> Page[AgentView]:
    """Agents that the caller's projects may use, by name; their nodes' facts are for admins."""
    async with services.store.reading() as tx:
        page = await tx.agents.page(cursor=cursor, limit=limit)
        names = await own_projects(tx, caller)
    views = [agent_view(each, caller) for each in page.items if is_shown(each, names)]
    return Page(items=views, next_cursor=page.next_cursor)


@router.get("/{agent_id}")
async def show_agent(agent_id: AgentId, caller: AnyUser, services: Services) -> AgentView:
    """One agent."""
    async with services.store.reading() as tx:
        agent = await tx.agents.get(agent_id)
        if not is_shown(agent, await own_projects(tx, caller)):
            raise not_found(AGENTS, agent_id)
        return agent_view(agent, caller)


@router.post("/{agent_id}/revoke")
async def revoke_agent(agent_id: AgentId, caller: Admin, services: Services) -> AgentView:
    """Never let it in again; a live link closes at once. Its orders in flight become `lost`."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        before = await tx.agents.get(agent_id)
        await tx.agents.revoke(agent_id, services.clock.now())
        agent = await tx.agents.get(agent_id)
        await tx.audit.note(
            caller,
            "agent.revoke",
            "agent",
            agent_id,
            before={"revoked_at": before.revoked_at},
            after={"name": agent.name, "revoked_at": agent.revoked_at},
        )
    services.wakes.revoked(agent_id)
    services.wakes.due()
    return agent_view(agent, caller)


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(agent_id: AgentId, caller: Admin, services: Services) -> None:
    """Forget it; refused while targets use it."""
    async with services.store.transaction() as tx:
        await caller.must_be_admin(tx)
        agent = await tx.agents.get(agent_id)
        await tx.agents.remove(agent_id)
        gone = {"name": agent.name, "labels": agent.labels}
        await tx.audit.note(caller, "agent.delete", "agent", agent_id, before=gone)
    services.wakes.revoked(agent_id)


async def own_projects(tx: Transaction, caller: Caller) -> tuple[str, ...] | None:
    """Names and ids of the caller's projects; None for who sees everything."""
    seen = await tx.members.seen_by(await caller.sight_now(tx))
    if seen is None:
        return None
    found = [await tx.projects.find(each) for each in sorted(seen)]
    return tuple(word for each in found if each is not None for word in (each.id, each.name))


def is_shown(agent: Agent, projects: tuple[str, ...] | None) -> bool:
    """Is this agent shown to somebody with these projects?"""
    return projects is None or serves(agent.labels, *projects)


def agent_view(agent: Agent, caller: Caller) -> AgentView:
    """The agent as this caller sees it: its facts tell of every project that uses the node."""
    if not caller.is_admin:
        agent = replace(agent, facts={}, address="")
    return AgentView.model_validate(agent)
