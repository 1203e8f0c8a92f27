"""Credentials over HTTP: made, listed, changed, removed, logged; values never answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from boreas.credentials.contents import unpacked
from boreas.domain.ids import ReleaseId
from boreas.domain.secrets import SecretRef
from boreas.server.services import ServiceBundle
from boreas.server.vault_keeper import forget_left_values

pytestmark = pytest.mark.usefixtures("with_key")

Make = Callable[..., Awaitable[dict[str, Any]]]
WHERE = "/api/release/credentials"
PASSWORD = "s3cret-of-the-registry"


def a_body(project: str | None, **more: Any) -> dict[str, Any]:
    scope = "global" if project is None else "project"
    body = {
        "name": "hub",
        "type": "username_token",
        "description": "for pulls",
        "scope": scope,
        "data": {"username": "robot", "password": PASSWORD},
    }
    return {**body, **({} if project is None else {"project_id": project}), **more}


@pytest.fixture
async def hub(admin: httpx.AsyncClient, site: Any, make: Make) -> dict[str, Any]:
    """A credential of the project."""
    return await make(admin, WHERE, a_body(site.project))


async def test_a_credential_is_shown_without_its_value(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any]
) -> None:
    answer = await admin.get(f"{WHERE}/{hub['id']}")

    shown = answer.json()
    assert shown == hub
    assert shown["name"] == "hub"
    assert shown["type"] == "username_token"
    assert shown["scope"] == "project"
    assert shown["project_id"] == site.project
    assert shown["created_by"] == "ada"
    assert shown["last_used_at"] is None
    assert shown["revision"] == 1
    assert "data" not in shown
    assert PASSWORD not in answer.text


async def test_the_value_is_what_was_given(services: ServiceBundle, hub: dict[str, Any]) -> None:
    async with services.store.reading() as tx:
        opened = await services.vault.open(tx, SecretRef(owner_id=hub["id"], revision=1))

    assert unpacked(opened) == {"username": "robot", "password": PASSWORD}


async def test_equal_values_have_equal_fingerprints_that_are_no_plain_hash(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any], make: Make
) -> None:
    same = await make(admin, WHERE, a_body(site.project, name="again"))
    data = {"username": "robot", "password": "another"}
    other = await make(admin, WHERE, a_body(site.project, name="other", data=data))

    assert same["fingerprint"] == hub["fingerprint"] != other["fingerprint"]


async def test_lists_show_those_of_a_project_and_the_global_ones_beside(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any], make: Make
) -> None:
    everybodys = await make(admin, WHERE, a_body(None, name="everybody's"))

    listed = (await admin.get(WHERE, params={"project_id": site.project})).json()

    assert [it["id"] for it in listed["items"]] == [everybodys["id"], hub["id"]]
    assert (await admin.get(WHERE)).json() == listed


async def test_names_are_unique_within_a_project(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any], make: Make
) -> None:
    await make(admin, WHERE, a_body(None))

    answer = await admin.post(WHERE, json=a_body(site.project))

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": "global"}, "project_id"),
        ({"project_id": None}, "project_id"),
        ({"type": "magic"}, "type"),
        ({"name": ""}, "name"),
        ({"data": None}, "data"),
        ({"data": {"username": "robot"}}, "data.password"),
        ({"data": {"username": "robot", "password": ""}}, "data.password"),
        ({"data": {"username": "robot", "password": 7}}, "data.password"),
        ({"data": {"username": "robot", "password": "x\n"}}, "data.password"),
        ({"data": {"username": "a:b", "password": "x"}}, "data.username"),
        ({"data": {"username": "robot", "password": "x", "token": "y"}}, "data.token"),
        ({"type": "registry"}, "data.registry"),
        (
            {
                "type": "registry",
                "data": {"registry": "not a host", "username": "a", "password": "b"},
            },
            "data.registry",
        ),
        ({"type": "ssh", "data": {"private_key": "hello"}}, "data.private_key"),
        ({"type": "kubeconfig", "data": {"kubeconfig": "[]"}}, "data.kubeconfig"),
    ],
)
async def test_a_wrong_value_is_refused_by_its_field(
    admin: httpx.AsyncClient, site: Any, change: dict[str, Any], field: str
) -> None:
    body = {**a_body(site.project), **change}

    answer = await admin.post(WHERE, json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert "robot" not in answer.text


async def test_a_new_value_is_a_new_revision_and_the_old_one_still_opens(
    admin: httpx.AsyncClient, services: ServiceBundle, hub: dict[str, Any]
) -> None:
    data = {"username": "robot", "password": "newer"}

    changed = (await admin.put(f"{WHERE}/{hub['id']}", json={"data": data})).json()

    assert changed["revision"] == 2
    assert changed["fingerprint"] != hub["fingerprint"]
    async with services.store.reading() as tx:
        for revision, password in ((1, PASSWORD), (2, "newer")):
            ref = SecretRef(owner_id=hub["id"], revision=revision)
            assert unpacked(await services.vault.open(tx, ref))["password"] == password


async def test_a_new_password_keeps_name_and_registry_but_never_the_other_way_round(
    admin: httpx.AsyncClient, services: ServiceBundle, site: Any, make: Make
) -> None:
    data = {"registry": "r.example.org", "username": "robot", "password": PASSWORD}
    hub = await make(admin, WHERE, a_body(site.project, type="registry", data=data))
    where = f"{WHERE}/{hub['id']}"

    changed = await admin.put(where, json={"data": {"password": "newer"}})
    sent_away = await admin.put(where, json={"data": {"registry": "evil.example.org"}})

    assert changed.json()["details"] == {"registry": "r.example.org"}
    async with services.store.reading() as tx:
        ref = SecretRef(owner_id=hub["id"], revision=2)
        kept = unpacked(await services.vault.open(tx, ref))
    assert kept == {**data, "password": "newer"}
    assert sent_away.status_code == 422
    assert sent_away.json()["errors"][0]["field"] == "data.password"


async def test_a_damaged_value_is_mended_by_giving_it_anew(
    admin: httpx.AsyncClient, services: ServiceBundle, hub: dict[str, Any]
) -> None:
    async with services.store._engine.begin() as connection:
        await connection.execute(
            text("UPDATE secrets SET sealed = x'01' WHERE kind = 'credential'")
        )

    answer = await admin.put(
        f"{WHERE}/{hub['id']}", json={"data": {"username": "robot", "password": "newer"}}
    )

    assert answer.json()["revision"] == 2
    async with services.store.reading() as tx:
        assert await services.vault.open(tx, SecretRef(owner_id=hub["id"], revision=2))


async def test_the_same_value_again_is_no_new_revision(
    admin: httpx.AsyncClient, hub: dict[str, Any]
) -> None:
    body = {"description": "pulls", "data": {"username": "robot", "password": PASSWORD}}

    changed = (await admin.put(f"{WHERE}/{hub['id']}", json=body)).json()

    assert (changed["revision"], changed["description"]) == (1, "pulls")


@pytest.mark.parametrize(
    "change", [{"type": "ssh"}, {"scope": "global"}, {"project_id": "prj_other"}]
)
async def test_type_scope_and_project_are_for_life(
    admin: httpx.AsyncClient, hub: dict[str, Any], change: dict[str, Any]
) -> None:
    answer = await admin.put(f"{WHERE}/{hub['id']}", json=change)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(change))


async def test_the_log_says_who_did_what_from_where_and_outlives_the_credential(
    admin: httpx.AsyncClient, hub: dict[str, Any]
) -> None:
    await admin.put(f"{WHERE}/{hub['id']}", json={"description": "pulls"})
    assert (await admin.delete(f"{WHERE}/{hub['id']}")).status_code == 204

    log = (await admin.get(f"{WHERE}/{hub['id']}/logs")).json()["items"]

    assert [line["action"] for line in log] == ["delete", "update", "create"]
    assert {line["ip_address"] for line in log} == {"192.0.2.1"}
    assert {line["user"] for line in log} == {"ada"}
    assert all(line["user_id"] for line in log)
    assert (await admin.get(f"{WHERE}/{hub['id']}")).status_code == 404


async def test_what_is_deleted_cannot_be_opened_any_more(
    admin: httpx.AsyncClient, services: ServiceBundle, hub: dict[str, Any]
) -> None:
    await admin.delete(f"{WHERE}/{hub['id']}")

    ref = SecretRef(owner_id=hub["id"], revision=1)
    async with services.store.reading() as tx:
        assert not await tx.secrets.find([ref])


async def using(admin: httpx.AsyncClient, make: Make, project: str, credential: str) -> str:
    """An application that pulls its image by this credential."""
    body = {
        "name": "web",
        "driver": "container",
        "spec": {"name": "web", "image": "r.example.org/web:v1", "registry_id": credential},
    }
    where = f"/api/release/projects/{project}/applications"
    return str((await make(admin, where, body))["id"])


async def test_one_that_an_application_names_is_not_deleted_without_force(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any], make: Make
) -> None:
    application = await using(admin, make, site.project, hub["id"])

    answer = await admin.delete(f"{WHERE}/{hub['id']}")

    assert (answer.status_code, answer.json()["code"]) == (409, "credential_in_use")
    assert "application web" in answer.json()["detail"]
    assert [user["id"] for user in answer.json()["params"]["users"]] == [application]
    assert (await admin.get(f"{WHERE}/{hub['id']}")).status_code == 200
    forced = await admin.delete(f"{WHERE}/{hub['id']}", params={"force": "true"})
    assert forced.status_code == 204
    log = (await admin.get(f"{WHERE}/{hub['id']}/logs")).json()["items"]
    assert log[0]["purpose"] == "by force, although used by application web"


async def test_one_that_a_workflow_names_is_not_deleted_until_its_newest_version_does_not(
    admin: httpx.AsyncClient, site: Any, hub: dict[str, Any], make: Make
) -> None:
    where = f"/api/release/projects/{site.project}/workflows"
    template = "stages:\n- name: go\n  tasks:\n  - {id: say, type: custom, command: echo HUB}\n"
    workflow = await make(admin, where, {"name": "w", "text": template.replace("HUB", hub["id"])})

    refused = await admin.delete(f"{WHERE}/{hub['id']}")
    changed = await admin.put(f"{where}/{workflow['id']}", json={"text": template})

    assert changed.status_code == 200, changed.text
    assert [(it["kind"], it["id"]) for it in refused.json()["params"]["users"]] == [
        ("workflow", workflow["id"])
    ]
    assert (await admin.delete(f"{WHERE}/{hub['id']}")).status_code == 204


async def test_a_run_keeps_what_it_started_with_even_if_that_is_deleted_by_force(
    admin: httpx.AsyncClient, services: ServiceBundle, site: Any, hub: dict[str, Any], make: Make
) -> None:
    application = await using(admin, make, site.project, hub["id"])
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "applicationIds": [application],
    }
    run = await make(admin, "/api/v1/deployments", body)
    data = {"username": "robot", "password": "newer"}
    await admin.put(f"{WHERE}/{hub['id']}", json={"data": data})

    answer = await admin.delete(f"{WHERE}/{hub['id']}")

    users = [(user["kind"], user["id"]) for user in answer.json()["params"]["users"]]
    assert users == [("application", application), ("deployment", run["id"])]
    await admin.delete(f"{WHERE}/{hub['id']}", params={"force": "true"})
    async with services.store.transaction() as tx:
        id_ = ReleaseId(f"{run['id']}.{application}")
        use = (await tx.work.release_bodies([id_]))[id_].credentials["registry"]
        assert use.ref.revision == 1, "recorded when it was frozen"
        await tx.credentials.forget_left_values()
        assert unpacked(await services.vault.open(tx, use.ref))["password"] == PASSWORD


async def test_what_was_deleted_by_force_is_forgotten_when_its_last_run_is_over(
    admin: httpx.AsyncClient, services: ServiceBundle, site: Any, hub: dict[str, Any], make: Make
) -> None:
    application = await using(admin, make, site.project, hub["id"])
    run = {"versionId": site.version, "environmentId": site.environment}
    await make(admin, "/api/v1/deployments", {**run, "applicationIds": [application]})
    await admin.delete(f"{WHERE}/{hub['id']}", params={"force": "true"})
    ref = SecretRef(owner_id=hub["id"], revision=1)
    async with services.store._engine.begin() as connection:
        assert list(
            await connection.execute(text("SELECT id FROM secrets WHERE owner_id LIKE 'c%'"))
        )
        await connection.execute(text("UPDATE deployments SET final = true"))

    await forget_left_values(services.store)

    async with services.store.reading() as tx:
        assert not await tx.secrets.find([ref])


async def test_of_two_who_change_a_value_at_once_one_is_told(
    admin: httpx.AsyncClient, hub: dict[str, Any]
) -> None:
    where = f"{WHERE}/{hub['id']}"

    answers = await asyncio.gather(
        *(admin.put(where, json={"data": {"password": f"new{n}"}}) for n in range(2))
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses in ([200, 409], [200, 200])
    revisions = {"[200, 409]": 2, "[200, 200]": 3}
    assert (await admin.get(where)).json()["revision"] == revisions[str(statuses)]


async def test_a_projects_secrets_go_with_it(
    admin: httpx.AsyncClient, services: ServiceBundle, site: Any, hub: dict[str, Any]
) -> None:
    assert (await admin.delete(f"/api/release/projects/{site.project}")).status_code == 204

    async with services.store.reading() as tx:
        assert not await tx.secrets.find([SecretRef(owner_id=hub["id"], revision=1)])


async def test_the_same_request_twice_makes_one_credential_and_stores_no_hash_of_its_value(
    admin: httpx.AsyncClient, services: ServiceBundle, site: Any
) -> None:
    headers = {"Idempotency-Key": "once"}

    first = await admin.post(WHERE, json=a_body(site.project), headers=headers)
    second = await admin.post(WHERE, json=a_body(site.project), headers=headers)

    assert first.json() == second.json()
    other = a_body(site.project, data={"username": "robot", "password": "guess"})
    refused = await admin.post(WHERE, json=other, headers=headers)
    assert refused.status_code == 409
