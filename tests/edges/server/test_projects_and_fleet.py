"""Plain keeping of projects, applications, environments, targets, agents, enrol tokens."""

from typing import Any

import httpx
import pytest

SCRIPT = {"driver": "script", "spec": {"scripts": {"deploy": "true"}}}


async def test_what_is_created_is_answered_whole_and_found_again(
    admin: httpx.AsyncClient, make: Any
) -> None:
    project = await make(admin, "/api/release/projects", {"name": "shop", "description": "d"})

    assert project == (await admin.get(f"/api/release/projects/{project['id']}")).json()
    assert project["created_by"] == "ada"
    assert project["created_at"].endswith("Z")


async def test_a_name_is_taken_once(admin: httpx.AsyncClient, make: Any) -> None:
    await make(admin, "/api/release/projects", {"name": "shop"})

    answer = await admin.post("/api/release/projects", json={"name": "shop"})

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.json()["errors"][0]["field"] == "name"


async def test_put_replaces_and_patch_changes_what_is_given(
    admin: httpx.AsyncClient, make: Any
) -> None:
    project = await make(admin, "/api/release/projects", {"name": "shop", "description": "d"})
    path = f"/api/release/projects/{project['id']}"

    patched = (await admin.patch(path, json={"name": "store"})).json()
    put = (await admin.put(path, json={"name": "shop"})).json()

    assert (patched["name"], patched["description"]) == ("store", "d")
    assert (put["name"], put["description"]) == ("shop", "")


async def test_what_was_removed_is_gone_with_all_it_owned(
    admin: httpx.AsyncClient, site: Any
) -> None:
    answer = await admin.delete(f"/api/release/projects/{site.project}")

    assert answer.status_code == 204
    for path in (
        f"projects/{site.project}",
        f"environments/{site.environment}",
        f"versions/{site.version}",
        f"targets/{site.targets[0]}",
        f"applications/{site.applications['user-service']}",
    ):
        assert (await admin.get(f"/api/release/{path}")).status_code == 404


async def test_what_a_deployment_uses_cannot_be_removed(
    admin: httpx.AsyncClient, site: Any, deploy: Any
) -> None:
    await deploy(autoStart=False)

    for path in (
        f"projects/{site.project}",
        f"environments/{site.environment}",
        f"targets/{site.targets[0]}",
        f"agents/{site.agents[0]}",
        f"applications/{site.applications['user-service']}",
    ):
        answer = await admin.delete(f"/api/release/{path}")
        assert answer.status_code == 409, path
        assert "#1" in answer.json()["detail"]


async def test_a_list_comes_in_pages_that_miss_nothing(admin: httpx.AsyncClient, make: Any) -> None:
    names = [f"project-{number:02}" for number in range(7)]
    for name in reversed(names):
        await make(admin, "/api/release/projects", {"name": name})
    seen, cursor = [], None

    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/api/release/projects", params=query)).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == names


async def test_a_wrong_spec_names_every_field_and_the_mend(
    admin: httpx.AsyncClient, site: Any
) -> None:
    body = {
        "name": "x",
        "driver": "script",
        "spec": {"scripts": {"deplyo": "true"}},
        "health_check": {"type": "tcp"},
    }

    answer = await admin.post(f"/api/release/projects/{site.project}/applications", json=body)

    fields = {entry["field"] for entry in answer.json()["errors"]}
    assert answer.status_code == 422
    assert {"spec.scripts.deploy", "spec.scripts.deplyo", "health_check.port"} <= fields


async def test_a_driver_that_is_not_there_is_refused(admin: httpx.AsyncClient, site: Any) -> None:
    body = {"name": "x", "driver": "teleport", "spec": {}}

    answer = await admin.post(f"/api/release/projects/{site.project}/applications", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "driver"


async def test_an_application_shows_its_health_check_with_its_times(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = f"/api/release/applications/{site.applications['user-service']}"

    shown = (await admin.get(path)).json()
    put = await admin.put(path, json={"name": "user-service", **SCRIPT, "position": 5})
    patched = await admin.patch(path, json={"health_check": shown["health_check"]})

    assert shown["health_check"]["type"] == "command"
    assert shown["health_check"]["retries"] == 3
    assert put.json()["health_check"] is None
    assert put.json()["position"] == 5
    assert patched.json()["health_check"] == shown["health_check"]


async def test_an_environment_keeps_its_policies(admin: httpx.AsyncClient, site: Any) -> None:
    path = f"/api/release/environments/{site.environment}"
    policy = {
        "required": 2,
        "forbid_requester": True,
        "roles": ["maintainer"],
        "users": ["carl"],
        "expires_after": 60.0,
        "on_expiry": "rollback",
    }

    changed = await admin.patch(path, json={"queue_policy": "reject", "approval_policy": policy})

    assert changed.json()["queue_policy"] == "reject"
    assert changed.json()["approval_policy"] == policy
    assert (await admin.patch(path, json={"kind": "moon"})).status_code == 422


async def test_a_target_names_its_agent_by_name_or_id(
    admin: httpx.AsyncClient, site: Any, make: Any, enrol: Any
) -> None:
    agent = await enrol("web-7")
    path = f"/api/release/environments/{site.environment}/targets"

    by_name = await make(admin, path, {"name": "a", "agent": "web-7"})
    by_id = await make(admin, path, {"name": "b", "agent": agent})
    unknown = await admin.post(path, json={"name": "c", "agent": "nobody"})

    assert by_name["agent_id"] == by_id["agent_id"] == agent
    assert by_name["agent"] == "web-7"
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "agent"


async def test_targets_keep_the_order_they_are_given(admin: httpx.AsyncClient, site: Any) -> None:
    path = f"/api/release/environments/{site.environment}/targets"
    turned = list(reversed(site.targets))

    answer = await admin.put(f"{path}/order", json={"target_ids": turned})

    assert [target["id"] for target in answer.json()["items"]] == turned
    assert [target["position"] for target in (await admin.get(path)).json()["items"]] == [0, 1, 2]
    for wrong in (turned[:2], [*turned, turned[0]], ["x", "y", "z"]):
        refused = await admin.put(f"{path}/order", json={"target_ids": wrong})
        assert refused.status_code == 422


async def test_the_same_id_in_another_place_is_not_there(
    admin: httpx.AsyncClient, site: Any, make: Any
) -> None:
    """Ids of one kind mean nothing where another kind is asked for."""
    for path in ("projects", "environments", "targets", "versions", "agents", "applications"):
        for stranger in (site.project, site.version, site.environment, "x", "%00", "..%2f"):
            answer = await admin.get(f"/api/release/{path}/{stranger}")
            own = {site.project: "projects", site.version: "versions"}
            if path == own.get(stranger, "environments" if stranger == site.environment else ""):
                assert answer.status_code == 200
            else:
                assert answer.status_code == 404, f"{path}/{stranger}"


async def test_an_enrol_token_is_shown_once_and_can_be_taken_back(
    admin: httpx.AsyncClient, make: Any
) -> None:
    path = "/api/release/agents/enroll-tokens"
    body = {"ttl_seconds": 600, "labels": {"zone": "eu"}, "uses": 3}

    token = await make(admin, path, body)
    listed = (await admin.get(path)).json()["items"]

    assert token["token"].startswith("boreas1.")
    assert token["uses_left"] == 3
    assert listed[0]["labels"] == {"zone": "eu"}
    assert "token" not in listed[0]
    assert (await admin.delete(f"{path}/{token['id']}")).status_code == 204
    assert (await admin.get(path)).json()["items"] == []


@pytest.mark.parametrize("uses", [0, -1, 1001, "3", 1.5])
async def test_an_enrol_token_has_sane_limits(admin: httpx.AsyncClient, uses: Any) -> None:
    answer = await admin.post("/api/release/agents/enroll-tokens", json={"uses": uses})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "uses"


async def test_a_revoked_agent_is_shut_out_at_once(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    agent = site.agents[0]

    answer = await admin.post(f"/api/release/agents/{agent}/revoke")
    target = {"name": "again", "agent": agent}
    refused = await admin.post(f"/api/release/environments/{site.environment}/targets", json=target)

    assert answer.json()["revoked_at"]
    assert services.wakes.shut_out == [agent]
    assert services.wakes.dues
    assert refused.status_code == 422


async def test_agents_are_listed_by_name(admin: httpx.AsyncClient, site: Any) -> None:
    page = (await admin.get("/api/release/agents")).json()

    assert [agent["name"] for agent in page["items"]] == ["node-0", "node-1", "node-2"]
    assert page["items"][0]["online"] is False
    assert "key_sha256" not in page["items"][0]


async def test_a_version_cannot_be_changed(admin: httpx.AsyncClient, site: Any) -> None:
    path = f"/api/release/versions/{site.version}"

    assert (await admin.put(path, json={"name": "other"})).status_code == 405
    assert (await admin.delete(path)).status_code == 409


async def test_a_version_freezes_the_commit_of_its_ref(
    admin: httpx.AsyncClient, site: Any, make: Any
) -> None:
    git = {"repository": "https://example.org/shop.git", "ref": "main"}

    version = await make(
        admin, f"/api/release/projects/{site.project}/versions", {"name": "v2", "git": git}
    )

    assert version["git"] == {**git, "commit": "a" * 40}


@pytest.mark.parametrize(
    ("git", "field"),
    [
        ({"repository": "https://example.org/x.git"}, "git"),
        ({"repository": "https://example.org/x.git", "ref": "a", "commit": "b"}, "git"),
        ({"repository": "ext::sh -c id", "ref": "main"}, "git.repository"),
        ({"repository": "-u./payload", "ref": "main"}, "git.repository"),
        ({"repository": "ssh://-oProxyCommand=id/x", "ref": "main"}, "git.repository"),
        ({"repository": "https://example.org/x.git", "ref": "--upload-pack=id"}, "git.ref"),
        ({"repository": "https://example.org/x.git", "ref": "main;id"}, "git.ref"),
        ({"repository": "https://example.org/x.git", "ref": "$(id)"}, "git.ref"),
        ({"repository": "https://example.org/x.git", "commit": "abc"}, "git.commit"),
    ],
    ids=str,
)
async def test_what_may_not_reach_git_is_refused_by_name(
    admin: httpx.AsyncClient, site: Any, git: dict[str, str], field: str
) -> None:
    answer = await admin.post(
        f"/api/release/projects/{site.project}/versions", json={"name": "v", "git": git}
    )

    if git.get("ref") in ("main;id", "$(id)"):
        # git allows these names, and they only ever stand in an argument of their own.
        assert answer.status_code == 201
        return
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


async def test_a_version_pins_only_applications_of_its_project(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = f"/api/release/projects/{site.project}/versions"

    known = {"name": "v3", "artifacts": {"user-service": {"image": "shop:3"}}}
    unknown = {"name": "v4", "artifacts": {"stranger": {"image": "shop:3"}}}

    assert (await admin.post(path, json=known)).status_code == 201
    refused = await admin.post(path, json=unknown)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "artifacts.stranger"
