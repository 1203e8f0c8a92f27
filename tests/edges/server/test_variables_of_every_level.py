"""Variables over HTTP: lists per level, secrets never answered, every value explained."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from boreas.credentials.keys import ring_from
from boreas.domain.ids import DeploymentId
from boreas.server.live_pictures import Pictures
from boreas.server.services import ServiceBundle

Make = Callable[..., Awaitable[dict[str, Any]]]
KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="


@pytest.fixture
async def with_key(services: ServiceBundle) -> None:
    """The server has a key to keep secrets with."""
    vault = services.vault
    vault._ring = ring_from({"QUIC_FLOW_SECRET_KEY": KEY})
    async with services.store.transaction() as tx:
        await vault.unlock(tx)


def of(kind: str, key: str) -> str:
    return f"/api/release/{kind}/{key}/variables"


async def put(client: httpx.AsyncClient, path: str, *items: dict[str, Any]) -> dict[str, Any]:
    answer = await client.put(path, json={"items": list(items)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def got(client: httpx.AsyncClient, path: str, **query: str) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_put_replaces_the_whole_list(admin: httpx.AsyncClient, site: Any) -> None:
    path = of("projects", site.project)
    await put(admin, path, {"name": "A", "value": "1"}, {"name": "B", "value": 2})

    await put(admin, path, {"name": "B", "value": "3"}, {"name": "C", "value": True})

    items = (await got(admin, path))["items"]
    assert [(it["name"], it["value"]) for it in items] == [("B", "3"), ("C", "true")]


async def test_the_list_may_come_bare(admin: httpx.AsyncClient, site: Any) -> None:
    answer = await admin.put(of("projects", site.project), json=[{"name": "A", "value": "1"}])

    assert answer.status_code == 200, answer.text
    assert [it["name"] for it in answer.json()["items"]] == ["A"]


async def test_every_value_says_where_it_comes_from(admin: httpx.AsyncClient, site: Any) -> None:
    app = site.applications["user-service"]
    await put(admin, of("projects", site.project), {"name": "N", "value": "1"})
    await put(admin, of("applications", app), {"name": "N", "value": "2"})
    await put(admin, of("environments", site.environment), {"name": "N", "value": "3"})

    found = await got(
        admin,
        f"/api/release/projects/{site.project}/variables/resolved",
        environment="production",
        application="user-service",
    )

    only = found["items"][0]
    assert only["value"] == "3"
    assert only["origin"] == {"kind": "environment", "name": "production"}
    assert [(it["origin"]["kind"], it["value"]) for it in only["overrode"]] == [
        ("application", "2"),
        ("project", "1"),
    ]
    assert only["text"] == (
        "N=3 from environment production, "
        "overrides 2 of application user-service, 1 of project shop"
    )


async def test_a_task_of_the_newest_deployment_is_the_nearest_level(
    admin: httpx.AsyncClient, site: Any, deploy: Any
) -> None:
    await put(admin, of("environments", site.environment), {"name": "N", "value": "3"})
    task = {
        "id": "notes",
        "type": "custom",
        "payload": {"command": "true", "variables": {"N": 4}},
    }
    await deploy(tasks=[task], autoStart=False)

    found = await got(
        admin,
        f"/api/release/projects/{site.project}/variables/resolved",
        environment=site.environment,
        task="notes",
    )

    assert found["items"][0]["value"] == "4"
    assert found["items"][0]["origin"]["kind"] == "task"


async def test_configuration_is_explained_by_its_paths(admin: httpx.AsyncClient, site: Any) -> None:
    await admin.patch(
        f"/api/release/projects/{site.project}", json={"config": {"db": {"host": "a", "port": 1}}}
    )
    await admin.patch(
        f"/api/release/environments/{site.environment}", json={"config": {"db": {"host": "b"}}}
    )

    found = await got(
        admin,
        f"/api/release/projects/{site.project}/variables/resolved",
        environment="production",
    )

    assert found["config"] == {"db": {"host": "b", "port": 1}}
    first = found["config_items"][0]
    assert (first["path"], first["value"], first["overrode"][0]["value"]) == ("db.host", "b", "a")


async def test_a_deployment_keeps_what_was_resolved_when_it_was_made(
    admin: httpx.AsyncClient, site: Any, deploy: Any
) -> None:
    path = of("projects", site.project)
    await put(admin, path, {"name": "X", "value": "1"})
    made = await deploy(autoStart=False)

    await put(admin, path, {"name": "X", "value": "2"})

    kept = await got(admin, f"/api/v1/deployments/{made['id']}/variables")
    assert {(it["application"], it["name"], it["value"], it["origin"]) for it in kept["items"]} == {
        (None, "X", "1", "project shop"),
        ("user-service", "X", "1", "project shop"),
        ("order-service", "X", "1", "project shop"),
    }


@pytest.mark.usefixtures("with_key")
async def test_a_secret_is_never_answered(admin: httpx.AsyncClient, site: Any, deploy: Any) -> None:
    path = of("projects", site.project)
    answered = await put(admin, path, {"name": "TOKEN", "value": "s3cret-value", "secret": True})
    made = await deploy(autoStart=False)

    everywhere = [
        answered,
        await got(admin, path),
        await got(admin, f"/api/release/projects/{site.project}/variables/resolved"),
        await got(admin, f"/api/v1/deployments/{made['id']}"),
        await got(admin, f"/api/v1/deployments/{made['id']}/variables"),
    ]

    assert "s3cret-value" not in str(everywhere)
    assert {it["value"] for it in everywhere[4]["items"]} == {"***"}


@pytest.mark.usefixtures("with_key")
async def test_a_secret_sent_without_a_value_keeps_the_old_one(
    admin: httpx.AsyncClient, site: Any, services: ServiceBundle
) -> None:
    path = of("projects", site.project)
    await put(admin, path, {"name": "TOKEN", "value": "s3cret-value", "secret": True})

    await put(admin, path, {"name": "TOKEN", "secret": True}, {"name": "A", "value": "1"})

    async with services.store.reading() as tx:
        kept = (await tx.variables.all(within=site.project))[1]
        assert kept.secret is not None
        assert await services.vault.open(tx, kept.secret) == b"s3cret-value"


@pytest.mark.usefixtures("with_key")
async def test_a_secret_cannot_be_made_plain_without_writing_it_anew(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = of("projects", site.project)
    await put(admin, path, {"name": "TOKEN", "value": "s3cret-value", "secret": True})

    answer = await admin.put(path, json={"items": [{"name": "TOKEN"}]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "items[0].value"


@pytest.mark.usefixtures("with_key")
async def test_a_secret_too_short_to_be_masked_is_taken_with_a_warning(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = of("projects", site.project)

    answered = await put(admin, path, {"name": "PIN", "value": "1234", "secret": True})

    assert "PIN" in answered["warnings"][0]


async def test_without_a_key_a_secret_is_refused_and_nothing_is_changed(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = of("projects", site.project)
    await put(admin, path, {"name": "A", "value": "1"})

    answer = await admin.put(path, json={"items": [{"name": "T", "value": "x", "secret": True}]})

    assert answer.status_code == 503
    assert "QUIC_FLOW_SECRET_KEY" in answer.json()["detail"]
    assert [it["name"] for it in (await got(admin, path))["items"]] == ["A"]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"name": "1A", "value": "x"}, "items[0].name"),
        ({"name": "BOREAS_X", "value": "x"}, "items[0].name"),
        ({"name": "A"}, "items[0].value"),
        ({"name": "A", "value": "a\0b"}, ""),
        ({"name": "A", "value": "x" * 20_000}, "items[0].value"),
    ],
)
async def test_what_no_environment_can_hold_is_refused_by_field(
    admin: httpx.AsyncClient, site: Any, item: dict[str, Any], field: str
) -> None:
    answer = await admin.put(of("projects", site.project), json={"items": [item]})

    assert answer.status_code in (400, 422)
    assert not field or answer.json()["errors"][0]["field"] == field


async def test_variables_of_a_deploy_task_cannot_be_edited_afterwards(
    admin: httpx.AsyncClient, site: Any, deploy: Any
) -> None:
    task = {"id": "d", "type": "deploy", "appId": "user-service"}
    made = await deploy(tasks=[{**task, "payload": {"variables": {"A": "1"}}}], autoStart=False)

    answer = await admin.put(
        f"/api/v1/deployments/{made['id']}/tasks/d", json={"payload": {"variables": {"A": "2"}}}
    )

    assert answer.status_code == 422
    assert "frozen" in answer.json()["detail"]


async def test_configuration_of_all_levels_is_merged_into_the_release(
    admin: httpx.AsyncClient, site: Any, make: Make, deploy: Any
) -> None:
    app = site.applications["user-service"]
    for path, config in (
        (f"projects/{site.project}", {"db": {"host": "project", "port": 1}, "of": "project"}),
        (f"applications/{app}", {"of": "application", "list": [1, 2]}),
        (f"environments/{site.environment}", {"db": {"host": "environment"}, "list": [3]}),
    ):
        answer = await admin.patch(f"/api/release/{path}", json={"config": config})
        assert answer.json()["config"] == config, answer.text
    version = await make(
        admin,
        f"/api/release/projects/{site.project}/versions",
        {"name": "v2", "config": {"db": {"host": "version"}, "of": "version"}},
    )

    made = await deploy(versionId=version["id"], applicationIds=[app], autoStart=False)
    kept = await got(admin, f"/api/v1/deployments/{made['id']}/variables")

    assert kept["config"]["user-service"] == {
        "db": {"host": "environment", "port": 1},
        "of": "version",
        "list": [3],
    }


@pytest.mark.usefixtures("with_key")
async def test_a_live_picture_shows_the_snapshot_with_secrets_hidden(
    admin: httpx.AsyncClient, site: Any, deploy: Any, services: ServiceBundle
) -> None:
    await put(
        admin,
        of("environments", site.environment),
        {"name": "TOKEN", "value": "s3cret-value", "secret": True},
        {"name": "X", "value": "1"},
    )
    made = await deploy(applicationIds=["user-service"], autoStart=False)

    picture = await Pictures(services).of(DeploymentId(made["id"]), at_least=0)

    shown = picture.snapshot(services)["variables"]
    assert {(it["application"], it["name"], it["value"], it["origin"]) for it in shown} == {
        (app, name, value, "environment production")
        for app in (None, "user-service")
        for name, value in (("TOKEN", "***"), ("X", "1"))
    }
    assert "s3cret-value" not in str(picture)
