"""Users, members and tokens: who may become what, and that it counts at once."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from boreas.domain.permissions import Role
from boreas.server.services import ServiceBundle
from boreas.store import SqlStore

USERS, PROJECTS = "/api/release/users", "/api/release/projects"
PASSWORD = "correct horse battery"


class People:
    """Makes users and signs them in."""

    def __init__(self, admin: httpx.AsyncClient, connect: Any, make: Any) -> None:
        self.admin, self._connect, self._make = admin, connect, make
        self.ids: dict[str, str] = {}

    async def user(self, name: str, **more: Any) -> httpx.AsyncClient:
        body = {"username": name, "password": PASSWORD, **more}
        self.ids[name] = (await self._make(self.admin, USERS, body))["id"]
        return await self.signed_in(name)

    async def signed_in(self, name: str) -> httpx.AsyncClient:
        client: httpx.AsyncClient = self._connect(origin="http://boreas.test")
        body = {"username": name, "password": PASSWORD}
        answer = await client.post("/api/release/login", json=body)
        assert answer.status_code == 200, answer.text
        return client

    async def member(self, project: str, name: str, role: Role) -> tuple[str, httpx.AsyncClient]:
        client = await self.user(name)
        where = f"{PROJECTS}/{project}/members"
        made = await self._make(self.admin, where, {"user": name, "role": role})
        return made["id"], client


@pytest.fixture
def people(admin: httpx.AsyncClient, connect: Any, make: Any) -> People:
    return People(admin, connect, make)


# --- users ---------------------------------------------------------------------------------------


async def test_an_admin_makes_a_user_who_can_sign_in(people: People) -> None:
    client = await people.user("grace", display_name="Grace Hopper", email="g@navy.example")

    me = (await client.get("/api/release/me")).json()
    assert (me["username"], me["display_name"], me["is_admin"]) == ("grace", "Grace Hopper", False)


async def test_nobody_else_makes_or_changes_users(people: People) -> None:
    grace = await people.user("grace")
    where = f"{USERS}/{people.ids['grace']}"

    tries = [
        await grace.post(USERS, json={"username": "eve", "password": PASSWORD}),
        await grace.put(where, json={"is_admin": True}),
        await grace.patch(where, json={"is_admin": True}),
        await grace.post(f"{where}/password", json={"new_password": PASSWORD}),
        await grace.post(f"{where}/enable"),
    ]

    assert {answer.status_code for answer in tries} == {403}


async def test_somebody_who_is_disabled_is_out_at_once_and_their_tokens_too(
    people: People, connect: Any
) -> None:
    """Hazards 64, 75."""
    grace = await people.user("grace")
    token = (await grace.post("/api/release/tokens", json={"name": "ci"})).json()["token"]
    program = connect(authorization=f"Bearer {token}")
    assert (await program.get("/api/release/me")).status_code == 200

    body = {"reason": "left the company"}
    await people.admin.post(f"{USERS}/{people.ids['grace']}/disable", json=body)

    assert (await grace.get("/api/release/me")).status_code == 401
    refused = await program.get("/api/release/me")
    assert (refused.status_code, refused.json()["detail"]) == (401, "this account is disabled")
    trail = await people.admin.get("/api/release/audit", params={"action": "user.disable"})
    assert trail.json()["items"][0]["why"] == "left the company"

    await people.admin.post(f"{USERS}/{people.ids['grace']}/enable")
    assert (await grace.get("/api/release/me")).status_code == 401, "its session is gone for good"
    assert (await program.get("/api/release/me")).status_code == 200


async def test_who_becomes_an_admin_signs_in_anew(people: People) -> None:
    """Hazard 63: a session never grows in rights."""
    grace = await people.user("grace")

    await people.admin.patch(f"{USERS}/{people.ids['grace']}", json={"is_admin": True})

    assert (await grace.get("/api/release/me")).status_code == 401
    again = await people.signed_in("grace")
    assert (await again.get("/api/release/me")).json()["is_admin"]


async def test_a_reset_password_ends_sessions_and_if_wished_tokens(
    people: People, connect: Any
) -> None:
    grace = await people.user("grace")
    token = (await grace.post("/api/release/tokens", json={"name": "ci"})).json()["token"]
    where = f"{USERS}/{people.ids['grace']}/password"

    body = {"new_password": "another long one", "end_tokens": True}
    assert (await people.admin.post(where, json=body)).status_code == 200

    assert (await grace.get("/api/release/me")).status_code == 401
    assert (
        await connect(authorization=f"Bearer {token}").get("/api/release/me")
    ).status_code == 401
    old = {"username": "grace", "password": PASSWORD}
    assert (await connect().post("/api/release/login", json=old)).status_code == 401
    new = {"username": "grace", "password": "another long one"}
    assert (await connect().post("/api/release/login", json=new)).status_code == 200


async def test_the_last_admin_can_neither_be_disabled_nor_demoted(people: People) -> None:
    ada = (await people.admin.get("/api/release/me")).json()["id"]

    disabled = await people.admin.post(f"{USERS}/{ada}/disable")
    demoted = await people.admin.patch(f"{USERS}/{ada}", json={"is_admin": False})

    assert (disabled.status_code, demoted.status_code) == (409, 409)
    assert "last admin" in disabled.json()["detail"]


async def test_two_admins_who_demote_each_other_at_once_leave_one(people: People) -> None:
    grace = await people.user("grace", is_admin=True)
    ada = (await people.admin.get("/api/release/me")).json()["id"]

    answers = await asyncio.gather(
        people.admin.patch(f"{USERS}/{people.ids['grace']}", json={"is_admin": False}),
        grace.patch(f"{USERS}/{ada}", json={"is_admin": False}),
    )

    assert sorted(answer.status_code for answer in answers)[0] == 200
    assert max(answer.status_code for answer in answers) in (401, 403, 409)
    listed = (await people.admin.get(USERS)).json()["items"]
    me = (await people.admin.get("/api/release/me")).json()
    assert me["is_admin"] or any(user["is_admin"] for user in listed)


async def test_others_learn_the_names_of_people_and_nothing_else(people: People) -> None:
    grace = await people.user("grace", email="g@navy.example")
    await people.user("linus", email="l@kernel.example", is_admin=True)

    seen = {user["username"]: user for user in (await grace.get(USERS)).json()["items"]}

    assert seen["linus"]["email"] == ""
    assert not seen["linus"]["is_admin"]
    assert seen["grace"]["email"] == "g@navy.example"
    assert "password" not in json.dumps(seen)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "x", "password": "short"}, "password"),
        ({"username": " x", "password": PASSWORD}, "username"),
        ({"username": "x", "password": PASSWORD, "email": "nobody"}, "email"),
        ({"username": "x", "password": PASSWORD, "isAdmin": True}, "isAdmin"),
    ],
)
async def test_what_is_wrong_with_a_user_is_named(
    admin: httpx.AsyncClient, body: Any, field: str
) -> None:
    answer = await admin.post(USERS, json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


# --- members -------------------------------------------------------------------------------------


async def test_who_makes_a_project_owns_it_and_others_do_not_see_it(people: People) -> None:
    grace, linus = await people.user("grace"), await people.user("linus")
    project = (await grace.post(PROJECTS, json={"name": "compiler"})).json()["id"]

    members = (await grace.get(f"{PROJECTS}/{project}/members")).json()["items"]
    assert [(it["user"]["username"], it["role"]) for it in members] == [("grace", "owner")]
    assert (await linus.get(PROJECTS)).json()["items"] == []
    assert [it["id"] for it in (await grace.get(PROJECTS)).json()["items"]] == [project]
    assert (await linus.get(f"{PROJECTS}/{project}")).status_code == 404


async def test_the_last_owner_cannot_go(people: People) -> None:
    """Hazard 71."""
    grace = await people.user("grace")
    project = (await grace.post(PROJECTS, json={"name": "compiler"})).json()["id"]
    where = f"{PROJECTS}/{project}/members"
    member = (await grace.get(where)).json()["items"][0]["id"]

    removed = await grace.delete(f"{where}/{member}")
    demoted = await grace.put(f"{where}/{member}", json={"role": "viewer"})
    by_admin = await people.admin.delete(f"{where}/{member}")

    assert {it.status_code for it in (removed, demoted, by_admin)} == {409}


async def test_of_two_owners_who_demote_each_other_at_once_one_stays(people: People) -> None:
    """Hazard 71: two parallel requests demoting two owners."""
    grace, linus = await people.user("grace"), await people.user("linus")
    project = (await grace.post(PROJECTS, json={"name": "compiler"})).json()["id"]
    where = f"{PROJECTS}/{project}/members"
    await grace.post(where, json={"user": "linus", "role": "owner"})
    members = {it["user"]["username"]: it["id"] for it in (await grace.get(where)).json()["items"]}

    answers = await asyncio.gather(
        grace.put(f"{where}/{members['linus']}", json={"role": "viewer"}),
        linus.put(f"{where}/{members['grace']}", json={"role": "viewer"}),
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses[1] in (403, 409)
    roles = [it["role"] for it in (await people.admin.get(where)).json()["items"]]
    assert sorted(roles) == ["owner", "viewer"]


async def test_two_admins_who_remove_two_owners_at_once_leave_one(people: People) -> None:
    root = await people.user("root", is_admin=True)
    grace = await people.user("grace")
    await people.user("linus")
    project = (await grace.post(PROJECTS, json={"name": "compiler"})).json()["id"]
    where = f"{PROJECTS}/{project}/members"
    await grace.post(where, json={"user": "linus", "role": "owner"})
    first, second = [it["id"] for it in (await grace.get(where)).json()["items"]]

    answers = await asyncio.gather(
        people.admin.delete(f"{where}/{first}"), root.delete(f"{where}/{second}")
    )

    assert sorted(answer.status_code for answer in answers) == [204, 409]


@pytest.mark.parametrize("role", [Role.MAINTAINER, Role.DEVELOPER, Role.VIEWER])
async def test_nobody_but_an_owner_makes_members_or_raises_themself(
    people: People, role: Role, make: Any
) -> None:
    """Hazard 71."""
    project = (await make(people.admin, PROJECTS, {"name": "compiler"}))["id"]
    member, client = await people.member(project, "grace", role)
    await people.user("linus")
    where = f"{PROJECTS}/{project}/members"

    tries = [
        await client.put(f"{where}/{member}", json={"role": "owner"}),
        await client.post(where, json={"user": "linus", "role": "viewer"}),
        await client.delete(f"{where}/{member}"),
    ]

    assert {answer.status_code for answer in tries} == {403}


async def test_a_member_is_added_once_and_by_a_name_that_somebody_has(
    people: People, make: Any
) -> None:
    project = (await make(people.admin, PROJECTS, {"name": "compiler"}))["id"]
    await people.member(project, "grace", Role.VIEWER)
    where = f"{PROJECTS}/{project}/members"

    twice = await people.admin.post(where, json={"user": "grace", "role": "owner"})
    unknown = await people.admin.post(where, json={"user": "eve", "role": "owner"})
    wrong = await people.admin.post(where, json={"user": "grace", "role": "god"})

    assert twice.status_code == 409
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "user")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "role")


# --- at the moment of use ------------------------------------------------------------------------


async def test_somebody_demoted_in_mid_approval_is_refused_at_the_commit(
    people: People,
    site: Any,
    deploy: Any,
    services: ServiceBundle,
    store: SqlStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hazard 72: the gate let them in, then their role changed, then the approval is written."""
    member, grace = await people.member(site.project, "grace", Role.MAINTAINER)
    deployment = (await deploy(autoStart=False))["id"]
    real, demoted = services.store.transaction, []

    def after_the_demotion() -> Any:
        class Late:
            async def __aenter__(self) -> Any:
                if not demoted:
                    demoted.append(True)
                    async with real() as tx:
                        from dataclasses import replace

                        found = await tx.members.get(member)
                        await tx.members.change(replace(found, role=Role.VIEWER))
                self._inner = real()
                return await self._inner.__aenter__()

            async def __aexit__(self, *error: Any) -> Any:
                return await self._inner.__aexit__(*error)

        return Late()

    monkeypatch.setattr(services.store, "transaction", after_the_demotion)
    answer = await grace.post(f"/api/v1/deployments/{deployment}/start")

    assert (answer.status_code, answer.json()["params"]["role"]) == (403, "viewer")
    async with store.reading() as tx:
        assert not (await tx.deployments.get(deployment)).started


async def test_what_people_do_to_a_deployment_is_written_down(
    people: People, site: Any, deploy: Any
) -> None:
    _, grace = await people.member(site.project, "grace", Role.MAINTAINER)
    deployment = (await deploy(autoStart=False))["id"]
    await grace.post(f"/api/v1/deployments/{deployment}/start")
    await grace.post(f"/api/v1/deployments/{deployment}/cancel", json={"comment": "wrong version"})

    asked = await people.admin.get("/api/release/audit", params={"subject": deployment})

    told = [(it["actor"], it["action"], it["why"]) for it in asked.json()["items"]]
    assert told == [
        ("grace", "deployment.cancel", "wrong version"),
        ("grace", "deployment.start", ""),
        ("ada", "deployment.create", ""),
    ]
    entry = asked.json()["items"][0]
    assert (entry["via"], entry["address"], entry["project_id"]) == (
        *("session", "192.0.2.1", site.project),
    )


# --- tokens --------------------------------------------------------------------------------------


async def test_a_token_says_what_it_is_for(people: People, make: Any) -> None:
    project = (await make(people.admin, PROJECTS, {"name": "compiler"}))["id"]
    wishes: list[dict[str, Any]] = [
        {"name": "all"},
        {"name": "read", "scope": "read", "project_ids": [project]},
        {"name": "build", "permissions": ["build"]},
    ]
    for body in wishes:
        await make(people.admin, "/api/release/tokens", body)

    listed = (await people.admin.get("/api/release/tokens")).json()["items"]
    found = {it["name"]: it for it in listed}
    assert (found["all"]["scope"], found["all"]["permissions"]) == ("all", None)
    assert found["read"]["scope"] == "read"
    assert found["read"]["project_ids"] == [project]
    assert found["build"]["scope"] == "custom"
    assert found["build"]["permissions"] == ["see", "build"]


async def test_a_narrow_token_makes_no_wider_one(people: People, connect: Any, make: Any) -> None:
    body = {"name": "read", "scope": "read"}
    secret = (await make(people.admin, "/api/release/tokens", body))["token"]
    program = connect(authorization=f"Bearer {secret}")

    answer = await program.post("/api/release/tokens", json={"name": "all"})

    assert answer.status_code == 403
    assert (await program.get(USERS)).status_code == 403


async def test_a_token_is_not_made_for_a_project_one_does_not_see(
    people: People, make: Any
) -> None:
    project = (await make(people.admin, PROJECTS, {"name": "secret"}))["id"]
    grace = await people.user("grace")

    body = {"name": "t", "project_ids": [project]}
    foreign = await grace.post("/api/release/tokens", json=body)
    unknown = await grace.post("/api/release/tokens", json={"name": "t", "project_ids": ["x"]})

    assert (foreign.status_code, unknown.status_code) == (422, 422)
    assert foreign.json()["detail"].replace(project, "x") == unknown.json()["detail"]


async def test_a_token_of_one_project_lists_that_one_alone(
    people: People, connect: Any, make: Any
) -> None:
    first = (await make(people.admin, PROJECTS, {"name": "one"}))["id"]
    await make(people.admin, PROJECTS, {"name": "two"})
    body = {"name": "t", "project_ids": [first]}
    secret = (await make(people.admin, "/api/release/tokens", body))["token"]

    listed = await connect(authorization=f"Bearer {secret}").get(PROJECTS)

    assert [it["id"] for it in listed.json()["items"]] == [first]


# --- the trail over HTTP -------------------------------------------------------------------------


async def test_the_trail_shows_each_what_they_may_see(people: People, make: Any) -> None:
    mine = (await make(people.admin, PROJECTS, {"name": "mine"}))["id"]
    await make(people.admin, PROJECTS, {"name": "other"})
    _, keeper = await people.member(mine, "grace", Role.MAINTAINER)
    _, viewer = await people.member(mine, "linus", Role.VIEWER)

    seen = (await keeper.get("/api/release/audit")).json()["items"]
    assert {it["project_id"] for it in seen} == {mine}
    assert (await viewer.get("/api/release/audit")).json()["items"] == []
    refused = await viewer.get("/api/release/audit", params={"project": mine})
    assert refused.status_code == 403
    everything = (await people.admin.get("/api/release/audit")).json()["items"]
    assert {"user.sign_in", "user.create", "member.add", "token.create"} <= {
        it["action"] for it in everything
    }


async def test_no_password_token_or_hash_is_in_the_trail(people: People, store: SqlStore) -> None:
    """Hazard 74."""
    grace = await people.user("grace")
    token = (await grace.post("/api/release/tokens", json={"name": "t"})).json()["token"]
    async with store.reading() as tx:
        user = await tx.users.named("grace")
    assert user is not None

    written = (await people.admin.get("/api/release/audit/export")).text

    for secret in (PASSWORD, token, token[5:], user.password_hash, "argon2id"):
        assert secret not in written


async def test_the_trail_is_taken_away_as_lines_or_as_a_table(people: People) -> None:
    await people.user("=cmd()")
    lines = (await people.admin.get("/api/release/audit/export")).text.splitlines()
    table = await people.admin.get("/api/release/audit/export", params={"format": "csv"})

    sequences = [json.loads(line)["sequence"] for line in lines]
    assert sequences == list(range(1, len(lines) + 1))
    assert table.text.splitlines()[0].startswith("sequence,at,actor,")
    assert ",'=cmd()," in table.text, "no cell can be taken for a formula"


async def test_the_chain_is_verified_over_http(people: People) -> None:
    verdict = (await people.admin.get("/api/release/audit/verify")).json()

    assert verdict["holds"]
    assert verdict["entries"] > 0
    assert len(verdict["head"]) == 64


async def test_a_failed_sign_in_of_a_known_name_is_written_down_and_of_others_not(
    people: People, connect: Any
) -> None:
    await people.user("grace")
    for name in ("grace", "my secret password"):
        body = {"username": name, "password": "wrong"}
        await connect(address="198.51.100.7").post("/api/release/login", json=body)

    params = {"action": "user.sign_in_refused"}
    found = (await people.admin.get("/api/release/audit", params=params)).json()["items"]
    assert [(it["subject_id"], it["address"]) for it in found] == [
        (people.ids["grace"], "198.51.100.7")
    ]


# --- agents --------------------------------------------------------------------------------------


async def test_an_agent_that_is_for_another_project_is_neither_seen_nor_used(
    people: People, make: Any, store: SqlStore, enrol: Any
) -> None:
    """Hazard 70: the id of another project's agent."""
    from dataclasses import replace

    mine = (await make(people.admin, PROJECTS, {"name": "mine"}))["id"]
    _, grace = await people.member(mine, "grace", Role.MAINTAINER)
    kind = {"name": "prod", "kind": "prod"}
    where = f"{PROJECTS}/{mine}/environments"
    environment = (await make(people.admin, where, kind))["id"]
    common, theirs = await enrol("common"), await enrol("theirs")
    async with store.transaction() as tx:
        agent = await tx.agents.get(theirs)
        await tx.agents.change(replace(agent, labels={"project": "payroll"}))
        own = await tx.agents.get(common)
        await tx.agents.change(replace(own, labels={"project": "payroll, mine"}))

    seen = (await grace.get("/api/release/agents")).json()["items"]
    assert [it["name"] for it in seen] == ["common"]
    foreign = await grace.get(f"/api/release/agents/{theirs}")
    unknown = await grace.get("/api/release/agents/agt_none")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["detail"].replace(theirs, "agt_none") == unknown.json()["detail"]

    targets = f"/api/release/environments/{environment}/targets"
    refused = await grace.post(targets, json={"name": "t", "agent": "theirs"})
    missing = await grace.post(targets, json={"name": "t", "agent": "nobody"})
    assert refused.status_code == missing.status_code == 422
    assert refused.json()["detail"].replace("theirs", "nobody") == missing.json()["detail"]
    assert (await grace.post(targets, json={"name": "t", "agent": "common"})).status_code == 201
