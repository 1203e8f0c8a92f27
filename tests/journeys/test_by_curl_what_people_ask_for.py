"""Pause, cancel, retry, skip, ignore, start, confirm: each over HTTP on a real fleet."""

import os
from pathlib import Path
from typing import Any

from tests.support.installation import FINAL, Installation
from tests.support.live import Live
from tests.support.waiting import until

ONE_BY_ONE = [{"batchSize": 1, "autoRollback": True}]
LEAVE_IT = [{"batchSize": 0, "autoRollback": False}]
NODES = [f"n{i}" for i in range(1, 7)]


def executions(shown: Any, task: str) -> dict[str, Any]:
    """The last execution of each target of a task."""
    found = next(each for each in shown["tasks"] if each["id"] == task)
    return {each["target"]: each for each in found["executions"]}


def states(shown: Any, task: str) -> dict[str, str]:
    return {name: each["state"] for name, each in executions(shown, task).items()}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def until_pid(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_a_paused_deployment_starts_no_new_batch_until_it_is_resumed(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("pause", targets=["n1", "n2", "n3"])
    gate = live.directory / "gate"
    fleet.make_script("web", live.deploy(first=f"until test -e {gate}; do sleep 0.05; done"))
    deployment = fleet.deploy("v1", strategy=ONE_BY_ONE)
    until(lambda: states(fleet.deployment(deployment), "web-deploy")["n1"] == "running")

    paused = fleet.act(deployment, "pause")
    gate.touch()
    until(lambda: states(fleet.deployment(deployment), "web-deploy")["n1"] == "success")
    shown = until(
        lambda: (it := fleet.deployment(deployment))["waitingFor"] and it,
        why=lambda: fleet.deployment(deployment),
    )
    assert paused["pausedBy"] == "admin"
    assert states(shown, "web-deploy") == {"n1": "success", "n2": "pending", "n3": "pending"}
    assert "paused by admin" in " ".join(shown["waitingFor"])
    assert fleet.refused("POST", f"/api/v1/deployments/{deployment}/pause")["status"] == 409

    fleet.act(deployment, "resume")
    fleet.until_status(deployment, "success")
    assert live.everywhere("web") == {"v1"}


def test_a_cancelled_command_is_stopped_before_it_is_called_cancelled(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("cancel", targets=["n1"])
    told = live.directory / "told"
    polite = f"trap 'echo asked >> {told}; exit 3' TERM; echo $$ > {live.directory}/pid; "
    fleet.make_script("web", polite + "while true; do sleep 0.05; done")
    deployment = fleet.deploy("v1", strategy=LEAVE_IT)
    pid = until_pid(live.directory / "pid")

    fleet.act(deployment, "cancel", {"comment": "wrong version"})
    shown = fleet.until_status(deployment, "cancelled")

    assert told.read_text() == "asked\n"
    assert not is_alive(pid)
    assert "admin" in shown["errorMessage"]
    assert states(shown, "web-deploy") == {"n1": "cancelled"}
    assert fleet.refused("POST", f"/api/v1/deployments/{deployment}/cancel")["status"] == 409


def test_a_command_that_ignores_term_is_killed(fleet: Installation, live: Live) -> None:
    fleet.make_project("kill", targets=["n1"])
    stubborn = f"trap '' TERM; echo $$ > {live.directory}/pid; "
    fleet.make_script("web", stubborn + "while true; do sleep 0.05; done")
    deployment = fleet.deploy("v1", strategy=LEAVE_IT)
    pid = until_pid(live.directory / "pid")

    fleet.act(deployment, "cancel")
    assert fleet.deployment(deployment)["status"] == "running"
    shown = fleet.until_status(deployment, "cancelled")

    assert not is_alive(pid)
    assert states(shown, "web-deploy") == {"n1": "cancelled"}


def test_cancel_with_rollback_brings_back_what_was_changed(fleet: Installation, live: Live) -> None:
    fleet.make_project("cancelback", targets=["n1", "n2"])
    slow = f'[ "$BOREAS_VERSION$BOREAS_TARGET" != v2n2 ] || touch {live.directory}/x'
    slow += '; while [ "$BOREAS_VERSION$BOREAS_TARGET" = v2n2 ]; do sleep 0.05; done'
    fleet.make_script("web", live.deploy(first=slow))
    fleet.until_status(fleet.deploy("v1", strategy=LEAVE_IT), "success")
    deployment = fleet.deploy("v2", strategy=ONE_BY_ONE)
    until(lambda: (live.directory / "x").exists())
    assert live.versions("web") == {"n1": "v2", "n2": "v1"}

    fleet.act(deployment, "cancel?rollback=true")
    shown = fleet.until_status(deployment, "cancelled", "rolled_back")

    assert live.versions("web") == {"n1": "v1", "n2": "v1"}
    assert shown["status"] == "rolled_back"


def test_retry_of_a_finished_deployment_runs_only_what_failed(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("retry", targets=["n1", "n2", "n3"])
    mended = live.directory / "mended"
    breaking = f"echo ran >> {live.directory}/ran-$BOREAS_TARGET; "
    breaking += f'test "$BOREAS_TARGET" != n2 || test -e {mended}'
    fleet.make_script("web", live.deploy(first=breaking))
    failed = fleet.deploy("v1", strategy=LEAVE_IT)
    shown = fleet.until_status(failed, "failed")
    assert states(shown, "web-deploy") == {"n1": "success", "n2": "failed", "n3": "success"}
    assert "n2" in shown["errorMessage"]
    assert executions(shown, "web-deploy")["n2"]["exitCode"] == 1

    mended.touch()
    again = fleet.act(failed, "retry")
    assert again["retryOf"] == failed
    shown = fleet.until_status(again["id"], "success")

    ran = {n: len((live.directory / f"ran-{n}").read_text().split()) for n in ("n1", "n2", "n3")}
    assert ran == {"n1": 1, "n2": 2, "n3": 1}
    assert fleet.deployment(failed)["status"] == "failed"
    assert fleet.refused("POST", f"/api/v1/deployments/{again['id']}/retry")["status"] == 409


def test_a_failed_task_is_tried_again_in_place_while_others_still_run(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("retryinplace", targets=["n1", "n2"])
    go, mended = live.directory / "go", live.directory / "mended"
    first = f'if test "$BOREAS_TARGET" = n1; then test -e {mended}; '
    first += f"else until test -e {go}; do sleep 0.05; done; fi"
    fleet.make_script("web", live.deploy(first=first))
    deployment = fleet.deploy("v1", strategy=LEAVE_IT)
    until(lambda: states(fleet.deployment(deployment), "web-deploy")["n1"] == "failed")

    mended.touch()
    fleet.act(deployment, "tasks/web-deploy/retry")
    go.touch()
    shown = fleet.until_status(deployment, "success")
    assert executions(shown, "web-deploy")["n1"]["attempt"] == 2
    assert live.versions("web") == {"n1": "v1", "n2": "v1"}


def test_skip_and_ignore_let_the_rest_go_on(fleet: Installation, live: Live) -> None:
    fleet.make_project("skip", targets=["n1", "n2"])
    fleet.make_script("web", live.deploy())
    tasks = [
        {"id": "ask", "type": "custom", "payload": {"command": "exit 1"}, "requireConfirm": True},
        {"id": "web-deploy", "appId": "web", "type": "deploy", "blockBy": "ask"},
    ]
    deployment = fleet.deploy("v1", tasks=tasks, strategy=ONE_BY_ONE)
    fleet.until_status(deployment, "waiting_confirm")
    second = fleet.deployment(deployment)["tasks"][1]["executions"][1]["targetId"]

    fleet.act(deployment, f"targets/{second}/ignore?taskId=web-deploy", {"comment": "broken disk"})
    fleet.act(deployment, "tasks/ask/skip", {"comment": "not needed"})
    shown = fleet.until_status(deployment, "success")

    assert live.versions("web") == {"n1": "v1"}
    assert executions(shown, "web-deploy")["n2"]["ignored"] is True
    history = fleet.get(f"/api/v1/deployments/{deployment}/events")["items"]
    said = " ".join(event["text"] for event in history)
    assert "broken disk" in said
    assert "not needed" in said
    assert {"admin"} <= {event["by"] for event in history}


def test_nothing_starts_without_start_when_autostart_is_false(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("later", targets=["n1"])
    fleet.make_script("web", live.deploy())
    deployment = fleet.deploy("v1", autoStart=False)
    shown = fleet.deployment(deployment)
    assert shown["status"] == "pending"
    assert shown["waitingFor"]

    fleet.act(deployment, "start")
    fleet.until_status(deployment, "success")
    assert fleet.refused("POST", f"/api/v1/deployments/{deployment}/start")["status"] == 409


def test_a_deployment_that_needs_approval_changes_nothing_before_it(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("approve", targets=["n1"])
    fleet.make_script("web", live.deploy())
    deployment = fleet.deploy("v1", manualApproval=True)
    fleet.until_status(deployment, "waiting_confirm")
    assert live.versions("web") == {}

    fleet.act(deployment, "reject", {"comment": "not on a Friday"})
    shown = fleet.until_status(deployment, *FINAL)
    assert shown["status"] == "cancelled"
    assert "not on a Friday" in shown["errorMessage"]
    assert live.versions("web") == {}


def test_reject_of_a_canary_takes_the_canary_back(fleet: Installation, live: Live) -> None:
    fleet.make_project("reject", targets=["n1", "n2", "n3"])
    fleet.make_script("web", live.deploy())
    fleet.until_status(fleet.deploy("v1", strategy=LEAVE_IT), "success")
    canary = [{"CanaryRatio": 0.1, "AutoRollback": True, "ManualApprovalStatus": None}]
    deployment = fleet.deploy("v2", strategy=canary)
    fleet.until_status(deployment, "waiting_confirm")
    assert live.versions("web") == {"n1": "v2", "n2": "v1", "n3": "v1"}

    fleet.act(deployment, "reject")
    fleet.until_status(deployment, "rolled_back")
    assert live.everywhere("web") == {"v1"}


def test_a_failure_without_autorollback_leaves_the_fleet_and_rollback_mends_it(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("byhand", targets=["n1", "n2", "n3"])
    fleet.make_script("web", live.deploy(), check=live.check(sick="v2"))
    fleet.until_status(fleet.deploy("v1", strategy=LEAVE_IT), "success")
    failed = fleet.deploy("v2", strategy=[{"batchSize": 2, "autoRollback": False}])
    shown = fleet.until_status(failed, "failed")
    assert live.versions("web") == {"n1": "v2", "n2": "v2", "n3": "v1"}
    assert "left as it is" in shown["errorMessage"]

    back = fleet.act(failed, "rollback")
    assert back["rollbackOf"] == failed
    fleet.until_status(back["id"], "success", "rolled_back")
    assert live.everywhere("web") == {"v1"}
