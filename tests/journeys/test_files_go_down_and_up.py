"""Files for a task's commands, and files that they leave behind, over HTTP and the agent link."""

from hashlib import sha256

import httpx
from tests.support.installation import Installation
from tests.support.waiting import until

SUM = (
    'sha256sum < "$BOREAS_INPUT_DIR/data.bin" > "$BOREAS_OUTPUT_DIR/sum.txt";'
    ' cat "$BOREAS_INPUT_DIR/words.txt"'
)


def put(whole: Installation, path: str, body: bytes) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {whole.token}",
        "Content-Type": "application/octet-stream",
    }
    return httpx.put(whole.url + path, content=body, headers=headers, timeout=60)


def a_task_with_files(whole: Installation, *names: str) -> tuple[str, str]:
    """A deployment that waits to be started, and the path of its task's files."""
    application = whole.make_script("web", "true")
    task = {
        "id": "sum",
        "name": "sum",
        "type": "custom",
        "appId": application,
        "payload": {"command": SUM, "files": list(names), "scope": "each_target"},
    }
    deployment = whole.deploy("v1", tasks=[task], autoStart=False)
    return deployment, f"/api/v1/deployments/{deployment}/tasks/sum/files"


def test_files_reach_the_commands_and_what_they_leave_comes_back(
    installation: Installation,
) -> None:
    installation.add_agents(2)
    installation.make_project()
    deployment, files = a_task_with_files(installation, "data.bin", "words.txt")
    large = bytes(range(256)) * 20_000
    assert put(installation, f"{files}/data.bin", large).status_code == 201
    assert put(installation, f"{files}/words.txt", b"hello\n").json()["size"] == 6

    installation.post(f"/api/v1/deployments/{deployment}/start")
    installation.until_status(deployment, "success")

    def outputs() -> list[str]:
        listed = installation.get(files)["files"]
        return [each["target"] for each in listed if each["name"] == "sum.txt"]

    until(lambda: outputs() == ["n1", "n2"])
    sums = {
        installation.call("GET", f"{files}/sum.txt?target={name}").text.split()[0]
        for name in ("n1", "n2")
    }
    assert sums == {sha256(large).hexdigest()}
    until(lambda: installation.messages(deployment, "sum") == ["hello", "hello"])
    late = put(installation, f"{files}/words.txt", b"later")
    assert late.status_code == 409


def test_a_file_that_nobody_put_there_fails_the_task_with_its_name(
    installation: Installation,
) -> None:
    installation.add_agents(1)
    installation.make_project()
    deployment, _ = a_task_with_files(installation, "data.bin")

    installation.post(f"/api/v1/deployments/{deployment}/start")

    shown = installation.until_status(deployment, "failed")
    assert "data.bin" in shown["tasks"][0]["executions"][0]["reason"]


def test_names_that_lead_elsewhere_are_refused(installation: Installation) -> None:
    installation.add_agents(1)
    installation.make_project()
    _, files = a_task_with_files(installation)

    assert put(installation, f"{files}/.hidden", b"x").status_code == 422
    assert put(installation, f"{files}/..%2F..%2Fboreas.db", b"x").status_code in {404, 415, 422}
    assert installation.call("GET", f"{files}/none.txt").status_code == 404
