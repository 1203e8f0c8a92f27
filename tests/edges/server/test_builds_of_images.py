"""Builds over HTTP: what is asked for, who builds it, what becomes of the digest."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from boreas.domain.deployments import DeploymentState, ExecutionState, TaskState
from boreas.domain.events import ExecutionReport
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId
from boreas.engine.reports import apply_reports
from boreas.runtime.order_bodies import with_image

COMMIT = "b" * 40
DIGEST = "sha256:" + "d" * 64
BUILD = {
    "dockerfile": "Dockerfile",
    "registry": "registry.example.org",
    "target_image": "{{registry}}/{{project}}/{{app}}:{{version}}-{{commit}}",
    "repository": "https://git.example.org/shop.git",
}


@pytest.fixture
async def builder(store: Any, services: Any) -> AgentId:
    agent = Agent(
        id=AgentId("agt_builder"),
        name="forge",
        labels={"builder": "yes"},
        key_sha256="key_builder",
        enrolled_at=services.clock.now(),
    )
    async with store.transaction() as tx:
        await tx.agents.add(agent)
    return agent.id


@pytest.fixture
async def built_app(admin: httpx.AsyncClient, site: Any, make: Any) -> Any:
    body = {
        "name": "web",
        "driver": "container",
        "spec": {"image": "registry.example.org/shop/web:{version}", "name": "web"},
        "build": BUILD,
    }
    return await make(admin, f"/api/release/projects/{site.project}/applications", body)


@pytest.fixture
async def version(admin: httpx.AsyncClient, site: Any, make: Any) -> Any:
    git = {"repository": "https://git.example.org/shop.git", "commit": COMMIT}
    body = {"name": "v2", "git": git}
    return await make(admin, f"/api/release/projects/{site.project}/versions", body)


async def fail(services: Any, deployment_id: str) -> None:
    """The whole deployment ends because its build failed, as the loop would say it."""
    now = services.clock.now()
    async with services.store.transaction() as tx:
        await tx.work.claim([deployment_id])
        before = (await tx.work.load([deployment_id], now))[deployment_id].snapshot.deployment
        failed = replace(
            before,
            state=DeploymentState.FAILED,
            completed_at=now,
            tasks=tuple(
                replace(it, state=TaskState.FAILED if it.type == "build" else TaskState.CANCELLED)
                for it in before.tasks
            ),
            executions=tuple(
                replace(it, state=ExecutionState.FAILED)
                if it.kind == "build"
                else replace(it, state=ExecutionState.CANCELLED)
                for it in before.executions
            ),
        )
        await tx.work.save(before, failed, wake_at=None, now=now)


async def finish(services: Any, deployment_id: str, **result: Any) -> None:
    """The builder's report, applied as the loop would."""
    now = services.clock.now()
    async with services.store.transaction() as tx:
        await tx.work.claim([deployment_id])
        before = (await tx.work.load([deployment_id], now))[deployment_id].snapshot.deployment
        order = next(it for it in before.executions if it.kind == "build")
        running = replace(
            before,
            executions=tuple(
                replace(it, state=ExecutionState.RUNNING) if it is order else it
                for it in before.executions
            ),
        )
        report = ExecutionReport(
            order_id=order.order_id, kind="finished", at=now, outcome="success", result=result
        )
        decision = apply_reports(running, (report,), now)
        await tx.work.save(before, decision.next, wake_at=None, now=now)
        await tx.work.add_images(decision.next, decision.built, now)


async def test_a_build_is_told_what_it_will_make_and_who_makes_it(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any, builder: AgentId, make: Any
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    found = await make(admin, path, {"version_id": version["id"]})

    assert found["status"] == "pending"
    assert found["image"] == f"registry.example.org/shop/web:v2-{COMMIT[:12]}"
    assert found["builder"] == "builder forge"
    again = (await admin.get(f"/api/release/builds/{found['id']}")).json()
    assert again["image"] == found["image"]
    listed = (await admin.get(f"/api/release/projects/{site.project}/builds")).json()["items"]
    assert [it["id"] for it in listed] == [found["id"]]


async def test_a_build_is_in_no_list_of_deployments_and_its_place_in_none_of_environments(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any, builder: AgentId, make: Any
) -> None:
    await make(admin, f"/api/release/projects/{site.project}/build", {"version_id": version["id"]})

    deployments = (await admin.get("/api/v1/deployments")).json()["items"]
    path = f"/api/release/projects/{site.project}/environments"
    assert deployments == []
    assert [it["name"] for it in (await admin.get(path)).json()["items"]] == ["production"]


async def test_a_build_of_a_branch_makes_a_version_of_its_commit(
    admin: httpx.AsyncClient, site: Any, built_app: Any, builder: AgentId, make: Any
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    found = await make(admin, path, {"git": {"ref": "main"}, "version": "v3"})

    version = (await admin.get(f"/api/release/versions/{found['version_id']}")).json()
    assert version["name"] == "v3"
    assert version["git"]["commit"] == "a" * 40
    assert version["source"] == "build"


async def test_without_a_builder_it_is_refused_with_the_mend(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    answer = await admin.post(path, json={"version_id": version["id"]})

    assert answer.status_code == 422
    assert "no agent builds; start an agent with --label builder=yes" in answer.text


async def test_an_application_without_a_build_is_refused(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any, builder: AgentId
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    body = {"version_id": version["id"], "application": "user-service"}

    answer = await admin.post(path, json=body)

    assert answer.status_code == 422
    assert "user-service has no `build`" in answer.text


async def test_a_wrong_build_configuration_is_refused_by_name(
    admin: httpx.AsyncClient, built_app: Any
) -> None:
    path = f"/api/release/applications/{built_app['id']}"
    answer = await admin.patch(path, json={"build": BUILD | {"dockerfile": "../../etc/shadow"}})

    assert answer.status_code == 422
    assert "build.dockerfile" in answer.text
    assert (await admin.get(path)).json()["build"]["dockerfile"] == "Dockerfile"


async def test_a_deployment_builds_first_what_has_no_image(
    deploy: Any, site: Any, built_app: Any, version: Any, builder: AgentId
) -> None:
    found = await deploy(versionId=version["id"], applicationIds=["web"])

    assert [it["type"] for it in found["tasks"]] == ["build", "deploy"]
    [build, *_] = found["tasks"]
    assert build["executions"][0]["target"] == "builder forge"


async def test_once_built_every_deployment_uses_the_digest(
    deploy: Any,
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    services: Any,
) -> None:
    first = await deploy(versionId=version["id"], applicationIds=["web"])
    image = f"registry.example.org/shop/web:v2-{COMMIT[:12]}"
    await finish(services, first["id"], image=image, digest=DIGEST, size=1234)

    second = await deploy(versionId=version["id"], applicationIds=["web"])

    assert [it["type"] for it in second["tasks"]] == ["deploy"]
    async with services.store.reading() as tx:
        ids = [f"{it['id']}.{built_app['id']}" for it in (first, second)]
        bodies = await tx.work.release_bodies(ids)
        images = await tx.work.images_of(ids)
    ordered = [with_image(bodies[id_], images.get(id_)) for id_ in ids]
    assert [it.artifact["digest"] for it in ordered] == [DIGEST, DIGEST]


async def test_a_finished_build_shows_digest_and_size_and_is_an_image_of_its_version(
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    make: Any,
    services: Any,
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    found = await make(admin, path, {"version_id": version["id"]})
    await finish(services, found["deployment_id"], image=found["image"], digest=DIGEST, size=1234)

    done = (await admin.get(f"/api/release/builds/{found['id']}")).json()
    images = (await admin.get(f"/api/release/versions/{version['id']}/images")).json()["items"]

    assert (done["status"], done["digest"], done["size"]) == ("success", DIGEST, 1234)
    assert [(it["image"], it["digest"]) for it in images] == [(found["image"], DIGEST)]


async def test_a_build_of_its_own_is_stopped_and_one_of_a_deployment_is_not(
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    make: Any,
    deploy: Any,
) -> None:
    path = f"/api/release/projects/{site.project}/build"
    own = await make(admin, path, {"version_id": version["id"]})
    deployment = await deploy(versionId=version["id"], applicationIds=["web"])
    part = deployment["tasks"][0]["executions"][0]["id"]

    stopped = await admin.post(f"/api/release/builds/{own['id']}/cancel")
    refused = await admin.post(f"/api/release/builds/{part}/cancel")

    assert stopped.status_code == 200, stopped.text
    assert refused.status_code == 409
    assert "part of deployment #" in refused.text


async def test_a_secret_that_the_dockerfile_mounts_must_be_there_when_the_build_is_planned(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any, builder: AgentId
) -> None:
    changed = {"build": BUILD | {"secrets": ["NPM_TOKEN"]}}
    await admin.patch(f"/api/release/applications/{built_app['id']}", json=changed)

    path = f"/api/release/projects/{site.project}/build"
    answer = await admin.post(path, json={"version_id": version["id"]})

    assert answer.status_code == 422
    assert "names NPM_TOKEN, which is no secret variable that web gets" in answer.text


async def test_the_builder_with_the_least_to_do_builds(
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    make: Any,
    store: Any,
    services: Any,
) -> None:
    async with store.transaction() as tx:
        await tx.agents.add(
            Agent(
                id=AgentId("agt_second"),
                name="second",
                labels={"builder": "yes"},
                key_sha256="key_second",
                enrolled_at=services.clock.now(),
            )
        )
    path = f"/api/release/projects/{site.project}/build"

    made = [await make(admin, path, {"version_id": version["id"]}) for _ in range(4)]

    names = ["builder forge", "builder second"]
    assert [it["builder"] for it in made] == names * 2


async def test_a_plan_names_the_builder_that_is_away(
    admin: httpx.AsyncClient, site: Any, built_app: Any, version: Any, builder: AgentId, deploy: Any
) -> None:
    plan = await admin.post(
        "/api/v1/deployments",
        json={
            "versionId": version["id"],
            "environmentId": site.environment,
            "applicationIds": ["web"],
            "dryRun": True,
        },
    )

    assert plan.json()["offline"][0] == "builder forge"


async def test_a_failed_build_tried_again_as_a_new_deployment_makes_the_same_image(
    deploy: Any,
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    services: Any,
) -> None:
    first = await deploy(versionId=version["id"], applicationIds=["web"])
    await fail(services, first["id"])
    answer = await admin.post(f"/api/v1/deployments/{first['id']}/retry")
    assert answer.status_code in (200, 201), answer.text
    again = answer.json()

    builds = [it for it in again["tasks"] if it["type"] == "build"]
    assert [it["executions"][-1]["target"] for it in builds] == ["builder forge"]
    listed = (await admin.get(f"/api/release/projects/{site.project}/builds")).json()["items"]
    assert {it["image"] for it in listed} == {f"registry.example.org/shop/web:v2-{COMMIT[:12]}"}


async def test_an_agent_that_is_kept_to_other_projects_builds_nothing_here(
    admin: httpx.AsyncClient,
    site: Any,
    built_app: Any,
    version: Any,
    builder: AgentId,
    store: Any,
) -> None:
    async with store.transaction() as tx:
        agent = await tx.agents.get(builder)
        labels = {"builder": "yes", "project": "blog"}
        await tx.agents.change(replace(agent, labels=labels))

    path = f"/api/release/projects/{site.project}/build"
    answer = await admin.post(path, json={"version_id": version["id"]})

    assert answer.status_code == 422
    assert "no agent builds" in answer.text
