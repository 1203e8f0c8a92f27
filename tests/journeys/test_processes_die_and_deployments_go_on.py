"""kill -9 of servers and agents in the middle of running deployments."""

from collections.abc import Callable

import pytest
from tests.support.installation import Installation, Server
from tests.support.waiting import until

COUNTING = 'for i in $(seq 1 40); do echo "line $i"; sleep 0.05; done; echo ran >> "$PWD/../ran"'
EXPECTED = [f"line {i}" for i in range(1, 41)]


def is_printing(whole: Installation, deployment: str, task: str) -> bool:
    return len(whole.messages(deployment, task)) > 3


def test_a_killed_server_loses_no_line_and_runs_nothing_twice(installation: Installation) -> None:
    installation.add_agents(2)
    installation.make_project()
    installation.make_script("web", COUNTING)
    deployment = installation.deploy("v1", strategy=[{"batchSize": 0, "autoRollback": True}])
    until(lambda: is_printing(installation, deployment, "web-deploy"))

    installation.servers[0].kill()
    installation.servers[0].start()

    shown = installation.until_status(deployment, "success")
    executions = shown["tasks"][0]["executions"]
    assert [e["attempt"] for e in executions] == [1, 1]
    twice = sorted(EXPECTED * 2)
    until(lambda: sorted(installation.messages(deployment, "web-deploy")) == twice)


def test_a_killed_agent_adopts_its_command_and_tells_the_true_exit_code(
    installation: Installation,
) -> None:
    installation.add_agents(1)
    installation.make_project()
    installation.make_script("web", COUNTING + "; exit 7")
    deployment = installation.deploy("v1", strategy=[{"batchSize": 0}])
    until(lambda: is_printing(installation, deployment, "web-deploy"))

    installation.agents[0].kill()
    installation.agents[0].start()

    shown = installation.until_status(deployment, "failed")
    assert shown["tasks"][0]["executions"][0]["exitCode"] == 7
    until(lambda: installation.messages(deployment, "web-deploy") == EXPECTED)


def test_a_server_that_is_killed_is_replaced_by_another_on_postgresql(
    on_postgres: Callable[[], Installation],
) -> None:
    whole = on_postgres()
    first, second = whole.add_server(), whole.add_server()
    whole.add_agents(3)
    whole.make_project()
    whole.make_script("web", COUNTING)
    deployment = whole.deploy("v1", strategy=[{"batchSize": 1, "autoRollback": True}])
    until(lambda: whole.deployment(deployment)["status"] == "running")

    first.kill()
    whole.url = second.url

    shown = whole.until_status(deployment, "success", at_most=60)
    assert [e["state"] for e in shown["tasks"][0]["executions"]] == ["success"] * 3


def test_a_second_server_on_one_sqlite_file_is_refused_with_the_mend(
    installation: Installation,
) -> None:
    second = Server(installation.servers[0].data_dir)

    with pytest.raises(AssertionError) as refused:
        second.start()

    assert "in use by server" in str(refused.value)
    assert "PostgreSQL" in str(refused.value)
