"""Members and credentials: who sees, makes, changes, removes by force, and reads the log."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.usefixtures("with_key")

Make = Callable[..., Awaitable[dict[str, Any]]]
WHERE = "/api/release/credentials"
ROLES = ("owner", "maintainer", "developer", "viewer", "nobody")
DATA = {"token": "t0ken-of-the-forge"}


@pytest.fixture
async def people(
    admin: httpx.AsyncClient, site: Any, make: Make, connect: Any
) -> dict[str, httpx.AsyncClient]:
    """A signed-in user of each role in the project, and one who is no member."""
    found = {}
    for role in ROLES:
        me = {"username": role, "password": "correct horse battery"}
        await make(admin, "/api/release/users", me)
        if role != "nobody":
            within = f"/api/release/projects/{site.project}/members"
            await make(admin, within, {"user": role, "role": role})
        client = connect(origin="http://boreas.test")
        assert (await client.post("/api/release/login", json=me)).status_code == 200
        found[role] = client
    return found


def a_body(project: str | None, name: str = "forge") -> dict[str, Any]:
    body = {"name": name, "type": "access_token", "data": DATA}
    return {**body, **({"scope": "global"} if project is None else {"project_id": project})}


async def statuses(people: dict[str, httpx.AsyncClient], *words: Any, **more: Any) -> list[int]:
    return [(await people[role].request(*words, **more)).status_code for role in ROLES]


async def test_a_projects_credentials_are_kept_by_who_configures_it(
    people: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    made = [
        (await people[role].post(WHERE, json=a_body(site.project, role))).status_code
        for role in ROLES
    ]
    forge = f"{WHERE}/{(await make(admin, WHERE, a_body(site.project)))['id']}"

    assert made == [201, 201, 403, 403, 404]
    assert await statuses(people, "GET", forge) == [200, 200, 200, 200, 404]
    change = {"json": {"description": "x"}}
    assert await statuses(people, "PUT", forge, **change) == [200, 200, 403, 403, 404]
    assert await statuses(people, "GET", f"{forge}/logs") == [200, 200, 403, 403, 404]
    query = {"params": {"project_id": site.project}}
    assert await statuses(people, "GET", WHERE, **query) == [200, 200, 200, 200, 404]
    reversed_roles = dict(reversed(people.items()))
    removed = {role: await reversed_roles[role].delete(forge) for role in reversed(ROLES)}
    assert removed["nobody"].status_code == 404
    assert removed["viewer"].status_code == removed["developer"].status_code == 403
    assert (removed["maintainer"].status_code, removed["owner"].status_code) == (204, 404)


async def test_global_ones_are_an_admins_and_named_to_who_configures_a_project(
    people: dict[str, httpx.AsyncClient], admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    made = [(await people[r].post(WHERE, json=a_body(None))).status_code for r in ROLES]
    shared = await make(admin, WHERE, a_body(None))
    where = f"{WHERE}/{shared['id']}"

    assert made == [403] * 5
    for method in ("GET", "PUT", "DELETE"):
        body = {"json": {}} if method == "PUT" else {}
        assert await statuses(people, method, where, **body) == [404] * 5
    assert await statuses(people, "GET", f"{where}/logs") == [404] * 5
    query = {"params": {"project_id": site.project}}
    listed = {
        role: [it["id"] for it in (await people[role].get(WHERE, **query)).json()["items"]]
        for role in ROLES[:4]
    }
    assert listed == {
        "owner": [shared["id"]],
        "maintainer": [shared["id"]],
        "developer": [],
        "viewer": [],
    }
    assert (await people["owner"].get(WHERE)).json()["items"] == []


async def test_only_the_owner_removes_by_force(
    people: dict[str, httpx.AsyncClient], site: Any, make: Make, admin: httpx.AsyncClient
) -> None:
    forge = (await make(admin, WHERE, a_body(site.project)))["id"]
    spec = {"repository": "https://g.example.org/x", "path": "/x", "git_credential_id": forge}
    site_app = {"name": "site", "driver": "git_pull", "spec": spec}
    await make(admin, f"/api/release/projects/{site.project}/applications", site_app)
    where, force = f"{WHERE}/{forge}", {"params": {"force": "true"}}

    assert (await people["owner"].delete(where)).status_code == 409
    assert (await people["maintainer"].delete(where, **force)).status_code == 403
    assert (await people["owner"].delete(where, **force)).status_code == 204


async def test_the_trail_has_every_change_and_no_value(
    admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    forge = await make(admin, WHERE, a_body(site.project))
    newer = {"data": {"token": "newer-t0ken"}}
    changed = (await admin.put(f"{WHERE}/{forge['id']}", json=newer)).json()
    await admin.delete(f"{WHERE}/{forge['id']}")

    answer = await admin.get("/api/release/audit", params={"project": site.project})

    lines = [it for it in answer.json()["items"] if it["subject_id"] == forge["id"]]
    actions = [line["action"] for line in lines]
    assert actions == ["credential.delete", "credential.update", "credential.create"]
    assert lines[1]["before"] == {"value": f"fingerprint {forge['fingerprint']}, revision 1"}
    assert lines[1]["after"] == {"value": f"fingerprint {changed['fingerprint']}, revision 2"}
    assert "t0ken" not in answer.text


async def test_an_admin_sees_which_keys_are_in_use(
    admin: httpx.AsyncClient, people: dict[str, httpx.AsyncClient], site: Any, make: Make
) -> None:
    await make(admin, WHERE, a_body(site.project))

    shown = (await admin.get("/api/release/secret-keys")).json()

    assert shown["state"] == "open"
    assert [(key["given"], key["current"], key["secrets"]) for key in shown["keys"]] == [
        (True, True, 2)
    ]
    assert (await people["owner"].get("/api/release/secret-keys")).status_code == 403
