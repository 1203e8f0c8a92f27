"""The container driver on a real Docker Engine."""

import asyncio
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from boreas.domain.orders import DriverKind, HealthCheck, ProbeKind, ReleaseBody
from boreas.drivers.container import ContainerDriver
from boreas.drivers.container_plan import name_beside
from boreas.testing.workbench import KilledHere, Scope, a_release


def a_version(version: str, check: HealthCheck | None = None, **spec: Any) -> ReleaseBody:
    document = {"image": "boreas-demo:{version}", "name": "shop", "ports": ["80"], **spec}
    artifact = document.pop("artifact", {})
    return a_release(
        version,
        driver=DriverKind.CONTAINER,
        spec=document,
        health_check=check,
        artifact=artifact,
    )


def http(**times: Any) -> HealthCheck:
    url = "http://127.0.0.1:80/"
    return HealthCheck(type=ProbeKind.HTTP, url=url, **{"interval": 0.1, "retries": 30, **times})


async def test_the_first_container_gets_the_application_s_name(driver, scope, docker, page_of):
    outcome = await driver.activate(scope.bench(a_version("v1", http())))

    assert outcome.ok, outcome.reason
    assert docker.names() == {"shop"}
    assert page_of("shop") == "page v1"


async def test_labels_say_where_a_container_comes_from(driver, scope, docker):
    await driver.activate(scope.bench(a_version("v1")))

    shown = docker("inspect", "shop", "--format", "{{json .Config.Labels}}")

    for text in ('boreas.application":"app_1', 'boreas.release":"rel_v1', 'boreas.version":"v1'):
        assert text in shown


async def test_the_new_one_replaces_the_old_one_which_is_kept_stopped(
    driver, scope, docker, page_of
):
    v1, v2 = a_version("v1", http()), a_version("v2", http())
    await driver.activate(scope.bench(v1))
    outcome = await driver.activate(scope.bench(v2, previous=v1))

    assert outcome.ok, outcome.reason
    assert docker.names() == {"shop", name_beside("shop", "rel_v1")}
    assert docker.names(running=True) == {"shop"}
    assert page_of("shop") == "page v2"


async def test_going_back_starts_the_kept_container(driver, scope, docker, page_of):
    v1, v2 = a_version("v1", http()), a_version("v2", http())
    await driver.activate(scope.bench(v1))
    first = docker("inspect", "shop", "--format", "{{.Id}}")
    await driver.activate(scope.bench(v2, previous=v1))

    outcome = await driver.revert(scope.bench(v1, previous=v1))

    assert outcome.ok, outcome.reason
    assert docker("inspect", "shop", "--format", "{{.Id}}") == first
    assert docker.names(running=True) == {"shop"}
    assert page_of("shop") == "page v1"


async def test_going_back_makes_the_container_again_when_it_is_gone(driver, scope, docker, page_of):
    v1, v2 = a_version("v1"), a_version("v2")
    await driver.activate(scope.bench(v1))
    await driver.activate(scope.bench(v2))
    docker("rm", name_beside("shop", "rel_v1"))

    assert (await driver.revert(scope.bench(v1))).ok
    assert page_of("shop") == "page v1"


async def test_a_staged_container_is_checked_while_the_old_one_is_live(
    driver, scope, docker, page_of
):
    await driver.activate(scope.bench(a_version("v1")))
    bench = scope.bench(a_version("v2", http(body="page v2")))

    staged = await driver.stage(bench)
    checked = await driver.check_staged(bench)

    assert staged.ok
    assert checked.ok, checked.reason
    assert docker.names(running=True) == {"shop", name_beside("shop", "rel_v2")}
    assert page_of("shop") == "page v1"
    assert (await driver.activate(bench)).ok
    assert (await driver.check(bench)).ok
    assert page_of("shop") == "page v2"


async def test_an_unhealthy_new_one_leaves_the_old_one_live_and_tells_its_log(
    driver, scope, docker, page_of
):
    await driver.activate(scope.bench(a_version("v1")))
    check = HealthCheck(type=ProbeKind.CONTAINER, interval=0.1, retries=2)
    bench = scope.bench(a_version("broken", check))

    outcome = await driver.activate(bench)

    assert "unhealthy: the container check failed 2 times in a row" in (outcome.reason or "")
    assert "exit code 3" in (outcome.reason or "")
    assert any(line.endswith("| out of cheese") for line in bench.said)
    assert docker.names(running=True) == {"shop"}
    assert page_of("shop") == "page v1"


async def test_docker_s_own_health_is_believed(driver, scope):
    check = HealthCheck(type=ProbeKind.CONTAINER, interval=0.1, retries=30)
    assert (await driver.activate(scope.bench(a_version("well", check)))).ok

    soon = HealthCheck(type=ProbeKind.CONTAINER, interval=0.1, retries=10)
    outcome = await driver.activate(scope.bench(a_version("sick", soon)))

    assert "Docker says unhealthy" in (outcome.reason or "")


async def test_a_fixed_host_port_stops_the_old_one_first(driver, scope, docker, port, page_at):
    check = HealthCheck(
        type=ProbeKind.HTTP, url=f"http://127.0.0.1:{port}/", interval=0.1, retries=30
    )
    v1 = a_version("v1", check, ports=[f"127.0.0.1:{port}:80"])
    v2 = a_version("v2", check, ports=[f"127.0.0.1:{port}:80"])
    await driver.activate(scope.bench(v1))

    bench = scope.bench(v2, previous=v1)
    assert (await driver.stage(bench)).ok
    assert page_at(port) == "page v1"
    assert (await driver.activate(bench)).ok
    assert (await driver.check(bench)).ok
    assert page_at(port) == "page v2"

    assert (await driver.revert(scope.bench(v1, previous=v1))).ok
    assert page_at(port) == "page v1"
    assert docker.names() == {"shop", name_beside("shop", "rel_v2")}


@pytest.mark.parametrize(
    "words", ["on the node", "Created the container", "Health check", "Stopped"]
)
async def test_an_agent_killed_in_the_middle_just_does_it_once_more(
    driver, scope, docker, page_of, words
):
    v1, v2 = a_version("v1", http()), a_version("v2", http())
    await driver.activate(scope.bench(v1))
    bench = scope.bench(v2, previous=v1)
    bench.die_saying = words
    with pytest.raises(KilledHere):
        await driver.activate(bench)

    bench.die_saying = None
    assert (await driver.activate(bench)).ok

    assert docker.names() == {"shop", name_beside("shop", "rel_v1")}
    assert docker.names(running=True) == {"shop"}
    assert page_of("shop") == "page v2"


async def test_doing_it_twice_changes_nothing(driver, scope, docker):
    await driver.activate(scope.bench(a_version("v1")))
    first = docker("inspect", "shop", "--format", "{{.Id}} {{.State.StartedAt}}")

    await driver.activate(scope.bench(a_version("v1")))

    assert docker("inspect", "shop", "--format", "{{.Id}} {{.State.StartedAt}}") == first


async def test_what_a_cancelled_deployment_left_running_is_stopped(driver, scope, docker):
    await driver.activate(scope.bench(a_version("v1")))
    await driver.stage(scope.bench(a_version("v2")))

    await driver.stage(scope.bench(a_version("v3")))

    assert docker.names(running=True) == {"shop", name_beside("shop", "rel_v3")}


async def test_a_foreign_container_of_that_name_is_never_touched(driver, scope, docker):
    docker("run", "--detach", "--name", "shop", "boreas-demo:v9")

    outcome = await driver.activate(scope.bench(a_version("v1")))

    assert "another container is called shop" in (outcome.reason or "")
    assert docker.names(running=True) == {"shop"}


async def test_targets_of_one_node_are_kept_apart(driver, tmp_path, docker):
    for number in (1, 2):
        body = a_version("v1", name="shop-{target}")
        scope = Scope(tmp_path / f"scope{number}")
        bench = scope.bench(body, target=f"web {number}", target_id=f"tgt_{number}")
        assert (await driver.activate(bench)).ok

    assert docker.names(running=True) == {"shop-web-1", "shop-web-2"}


async def test_the_container_sees_its_variables(driver, scope, docker):
    bench = scope.bench(
        a_version("v1", env={"COLOUR": "red", "N": 3}), variables={"COLOUR": "blue", "X": "1"}
    )
    await driver.activate(bench)

    seen = docker("exec", "shop", "/bin/env").splitlines()

    assert {"COLOUR=red", "N=3", "X=1", "BOREAS_VERSION=v1", "BOREAS_TARGET=web-1"} <= set(seen)


async def test_it_joins_all_its_networks(driver, scope, docker):
    names = ["boreas-one", "boreas-two"]
    for name in names:
        docker("network", "create", name, check=False)
    try:
        await driver.activate(scope.bench(a_version("v1", networks=names)))
        shown = docker("inspect", "shop", "--format", "{{json .NetworkSettings.Networks}}")
    finally:
        docker("rm", "--force", "shop")
        docker("network", "rm", *names)

    assert all(name in shown for name in names)


async def test_command_and_volumes_are_given_to_the_container(driver, scope, docker, tmp_path):
    (tmp_path / "word").write_text("from the host\n")
    body = a_version(
        "v1",
        volumes=[f"{tmp_path}:/from-host:ro"],
        command=["/bin/sh", "-c", "cat /from-host/word; sleep 60"],
    )

    await driver.activate(scope.bench(body))

    assert docker("logs", "shop") == "from the host"


async def test_a_version_is_pulled_by_its_digest(driver, scope, docker, registry, page_of):
    name = f"{registry}/shop:v1"
    docker("tag", "boreas-demo:v1", name)
    docker("push", name)
    digest = docker("inspect", name, "--format", "{{index .RepoDigests 0}}").rpartition("@")[2]
    docker("rmi", name)
    docker("tag", "boreas-demo:v2", name)
    docker("push", name)
    docker("rmi", name)
    artifact = {"image": name, "digest": digest}

    outcome = await driver.activate(scope.bench(a_version("v1", artifact=artifact)))

    assert outcome.ok, outcome.reason
    assert outcome.result["digest"] == digest
    assert page_of("shop") == "page v1"


async def test_a_registry_that_is_gone_is_told_and_the_local_image_used(
    driver, scope, docker, port
):
    docker("tag", "boreas-demo:v1", f"127.0.0.1:{port}/shop:v1")
    body = a_version("v1", image=f"127.0.0.1:{port}/shop:{{version}}")
    bench = scope.bench(body)

    assert (await driver.activate(bench)).ok
    assert any("Using the image of that name that is on the node." in line for line in bench.said)


async def test_an_image_that_cannot_be_had_is_the_reason(driver, scope, port):
    body = a_version("v1", image=f"127.0.0.1:{port}/none:{{version}}")

    outcome = await driver.stage(scope.bench(body))

    assert (outcome.reason or "").startswith(f"Docker could not pull 127.0.0.1:{port}/none:v1")


async def test_retire_keeps_the_last_five_and_what_a_rollback_needs(driver, scope, docker):
    for number in range(1, 9):
        await driver.activate(scope.bench(a_version(f"v{number}")))

    await driver.retire(scope.bench(a_version("v8"), keep_releases=("rel_v2",)))

    kept = {
        "shop",
        name_beside("shop", "rel_v2"),
        *(name_beside("shop", f"rel_v{number}") for number in range(4, 8)),
    }
    assert docker.names() == kept
    assert docker("images", "--quiet", "boreas-demo:v1"), "a local image may be the only copy"


async def test_observe_says_what_is_live(driver, scope, docker):
    await driver.activate(scope.bench(a_version("v1")))

    seen = (await driver.observe(scope.bench(a_version("v1")))).result
    assert (seen["version"], seen["running"], seen["certain"]) == ("v1", True, True)

    docker("stop", "shop")
    seen = (await driver.observe(scope.bench(a_version("v1")))).result
    assert seen["running"] is False


async def test_an_engine_that_is_not_there_is_the_reason(clock, scope):
    driver = ContainerDriver(clock, docker_url="unix:///nowhere/docker.sock")

    outcome = await driver.stage(scope.bench(a_version("v1")))

    assert "Cannot connect to Docker Engine" in (outcome.reason or "")


async def test_an_engine_that_hangs_is_the_reason_and_not_a_wait_for_ever(
    clock, scope, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr("boreas.drivers.docker_engine._ANSWER_SECONDS", 0.2)
    path = str(tmp_path_factory.mktemp("s") / "d.sock")
    release = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_unix_server(say_nothing, path)
    outcome = await ContainerDriver(clock, docker_url=f"unix://{path}").stage(
        scope.bench(a_version("v1"))
    )

    release.set()
    server.close()
    assert (outcome.reason or "").endswith("it does not answer")


@pytest.fixture
def page_at() -> Callable[[int], str]:
    def ask(port: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return str(answer.read().decode())

    return ask
