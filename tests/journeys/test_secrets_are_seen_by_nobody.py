"""Hazards 36, 48-53, 81-84: secrets do their work on a node and leave no trace anywhere."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.test_by_curl_git_and_containers import engine, make_image
from tests.support import traces
from tests.support.git_host import GitHost
from tests.support.installation import AgentProcess, Installation, free_port
from tests.support.private_git import Door, behind_a_door
from tests.support.waiting import until

__all__ = ["engine"]

KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="
TOKEN = 's3cr3t\'tok/en+é "42" $x'
PASSWORD = "g1t-p@ss w0rd&more"
KEYFILE = (
    "-----BEGIN SOMETHING-----\nMIIEpAIBAAKCAQEAsecretline1\nsecretline2xyz/+AB\n-----END-----\n"
)
SECRETS = (TOKEN, PASSWORD, "MIIEpAIBAAKCAQEAsecretline1", "secretline2xyz/+AB")

PRINT = r"""
echo "plain $TOKEN"
printf 'json '; python3 -c 'import json,os; print(json.dumps({"t": os.environ["TOKEN"]}))'
printf 'url '; python3 -c 'import os,urllib.parse as u; print(u.quote(os.environ["TOKEN"]))'
printf 'xml '; python3 -c 'import os,html; print(html.escape(os.environ["TOKEN"]))'
printf %s "$TOKEN" | base64 -w0; echo
printf x%s "$TOKEN" | base64 -w0; echo
printf xy%s "$TOKEN" | base64 -w0; echo
printf %s "$TOKEN" | od -An -v -tx1 | tr -d ' \n'; echo
printf '%q\n' "$TOKEN"
echo "$KEYFILE"
for piece in "${TOKEN:0:6}" "${TOKEN:6}"; do printf %s "$piece"; sleep 0.3; done; echo
set -x; : "$TOKEN"; set +x
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A server with a key for secrets, one agent."""
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    whole = Installation(tmp_path / "boreas")
    try:
        whole.add_server()
        whole.add_agents(1)
        yield whole
    finally:
        whole.stop()


def set_variables(whole: Installation, *items: dict[str, Any]) -> None:
    place = f"/api/release/projects/{whole.project}/variables"
    answer = whole.call("PUT", place, {"items": list(items)})
    assert answer.is_success, answer.text


def make_credential(whole: Installation, name: str, type_: str, **data: str) -> str:
    wish = {"name": name, "type": type_, "scope": "project", "project_id": whole.project}
    made: str = whole.post("/api/release/credentials", {**wish, "data": data})["id"]
    return made


def everything_said(whole: Installation, deployment: str, task: str) -> str:
    path = f"/api/v1/deployments/{deployment}/tasks/{task}/logs?tail=10000"
    return "\n".join(line["message"] for line in whole.get(path)["logs"])


def deploy_task(whole: Installation, deployment: str) -> str:
    tasks = whole.deployment(deployment)["tasks"]
    return str(next(task["id"] for task in tasks if task["type"] == "deploy"))


def assert_no_trace(whole: Installation, *, but: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    assert traces.in_files(SECRETS, whole.directory) <= but
    assert traces.in_arguments(SECRETS) == []


def test_a_private_repository_and_secret_variables_leave_no_trace(
    whole: Installation, tmp_path: Path
) -> None:
    git = GitHost(tmp_path / "git").make()
    root, go = tmp_path / "srv", tmp_path / "go"
    root.mkdir()
    commit = git.commit("page", "one")
    whole.make_project(kind="dev")
    set_variables(
        whole,
        {"name": "TOKEN", "value": TOKEN, "secret": True},
        {"name": "KEYFILE", "value": KEYFILE, "secret": True},
    )
    wait = f'echo waiting; until [ -e {go} ]; do sleep 0.05; done; echo "again $TOKEN"'
    with behind_a_door(git.directory, Door("ada", PASSWORD)) as door:
        address = f"{door.address}/shop.git"
        private = make_credential(
            whole, "forge", "username_token", username="ada", password=PASSWORD
        )
        spec = {"repository": address, "path": str(root), "git_credential_id": private}
        whole.make_application("site", "git_pull", {**spec, "post_deploy": PRINT + wait})
        version = whole.make_version("v1", git={"repository": address, "ref": "main"})
        assert whole.get(f"/api/release/versions/{version}")["git"]["commit"] == commit
        wish = {"versionId": version, "environmentId": whole.environment}
        deployment = whole.post("/api/v1/deployments", wish)["id"]
        task = deploy_task(whole, deployment)
        until(lambda: "waiting" in everything_said(whole, deployment, task), at_most=40)

        # During: only the order's own file on the node, and git's while it ran.
        assert_no_trace(whole, but={"secrets", "password"})
        whole.agents[0].kill()
        whole.servers[0].kill()
        assert_no_trace(whole, but={"secrets", "password"})
        whole.servers[0].start()
        whole.agents[0].start()
        go.touch()
        whole.until_status(deployment, "success", at_most=60)

    # After: nothing, nowhere.
    until(lambda: not traces.in_files(SECRETS, whole.directory), at_most=10)
    assert_no_trace(whole)
    said = everything_said(whole, deployment, task)
    assert (root / "current" / "page").read_text() == "one"
    assert "plain ***" in said
    assert "again ***" in said
    for secret in SECRETS:
        for form in traces.forms(secret):
            assert form.decode() not in said
    assert "secretline" not in said
    assert "tok/en" not in said.replace("\\", "")
    log = whole.get(f"/api/release/credentials/{private}/logs")["items"]
    used = [each for each in log if each["action"] == "use"]
    assert len(used) >= 2  # the server asked for the commit, the agent fetched it
    events = whole.call("GET", f"/api/v1/deployments/{deployment}/events").text
    for text in (events, whole.call("GET", f"/api/v1/deployments/{deployment}").text):
        assert "s3cr3t" not in text


def test_a_task_without_an_application_gets_the_project_s_secrets(whole: Installation) -> None:
    whole.make_project(kind="dev")
    set_variables(whole, {"name": "TOKEN", "value": TOKEN, "secret": True})
    wish = {
        "versionId": whole.make_version("v1"),
        "environmentId": whole.environment,
        "applicationIds": [whole.make_script("api", "true")],
        "tasks": [
            {
                "id": "t",
                "name": "t",
                "type": "custom",
                "payload": {"command": 'echo "is $TOKEN"; exit 3'},
            }
        ],
    }
    deployment = whole.post("/api/v1/deployments", wish)["id"]
    whole.until_status(deployment, "failed")

    assert "is ***" in everything_said(whole, deployment, "t")
    assert_no_trace(whole)


def test_without_the_key_an_order_with_secrets_fails_with_the_exact_mend(
    whole: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.make_project(kind="dev")
    set_variables(whole, {"name": "TOKEN", "value": TOKEN, "secret": True})
    whole.make_script("api", 'echo "ran $TOKEN"')
    monkeypatch.delenv("QUIC_FLOW_SECRET_KEY")
    whole.servers[0].stop()
    whole.servers[0].start()

    deployment = whole.deploy("v1")
    shown = whole.until_status(deployment, "failed")

    assert "could not open the secrets of this order" in str(shown)
    assert "QUIC_FLOW_SECRET_KEY" in str(shown)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real registry that asks for a password; its address."""
    crypt = pytest.importorskip("crypt")
    program = "/usr/bin/docker-registry"
    if not Path(program).exists():
        pytest.skip("docker-registry is not installed")
    port = free_port()
    hashed = crypt.crypt(PASSWORD, "$2b$05$" + "abcdefghijklmnopqrstuu")
    (tmp_path / "htpasswd").write_text(f"ada:{hashed}\n")
    (tmp_path / "registry.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/images}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: private, path: {tmp_path}/htpasswd}}}}\n"
    )
    argv = [program, "serve", str(tmp_path / "registry.yml")]
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_an_image_comes_from_a_private_registry(
    whole: Installation,
    engine: str,
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_image(engine, tmp_path / "images-made", "v1")
    image = f"{registry}/shop:v1"
    config = tmp_path / "docker-config"

    def docker(*words: str, told: bytes = b"") -> None:
        argv = ["docker", "--config", str(config), "-H", engine, *words]
        done = subprocess.run(argv, input=told, capture_output=True)
        assert done.returncode == 0, done.stderr

    until(lambda: subprocess.run(["curl", "-s", f"http://{registry}/v2/"]).returncode == 0)
    docker("login", "-u", "ada", "--password-stdin", registry, told=PASSWORD.encode())
    docker("tag", "shop:v1", image)
    docker("push", image)
    docker("rmi", image, "shop:v1")
    wish = {"ttl_seconds": 600, "labels": {}, "uses": 1}
    token = whole.post("/api/release/agents/enroll-tokens", wish)["token"]
    monkeypatch.setenv("DOCKER_HOST", engine)
    host = AgentProcess("dockerhost", whole.directory / "dockerhost", token).start()
    whole.agents.append(host)
    whole.until_online("dockerhost")
    whole.make_project("containers", targets=["dockerhost"], kind="dev")
    set_variables(whole, {"name": "TOKEN", "value": TOKEN, "secret": True})
    spec: dict[str, Any] = {"image": f"{registry}/shop:{{version}}", "name": "shop"}
    application = whole.make_application("shop", "container", spec)

    deployment = whole.deploy("v1")
    failed = whole.until_status(deployment, "failed")
    assert "no basic auth credentials" in str(failed)

    wrong = make_credential(
        whole,
        "wrong",
        "registry",
        registry="registry.example.org",
        username="ada",
        password=PASSWORD,
    )
    place = f"/api/release/applications/{application}"
    assert whole.call("PATCH", place, {"spec": {**spec, "registry_id": wrong}}).is_success
    again = {"versionId": whole.deployment(deployment)["versionId"]}
    again["environmentId"] = whole.environment
    refused = whole.post("/api/v1/deployments", again)["id"]
    assert "is for registry.example.org" in str(whole.until_status(refused, "failed"))

    right = make_credential(
        whole, "right", "registry", registry=registry, username="ada", password=PASSWORD
    )
    assert whole.call("PATCH", place, {"spec": {**spec, "registry_id": right}}).is_success
    deployment = whole.post("/api/v1/deployments", again)["id"]
    whole.until_status(deployment, "success", at_most=60)

    inside = subprocess.run(
        ["docker", "-H", engine, "exec", "shop", "/bin/sh", "-c", 'busybox printf %s "$TOKEN"'],
        capture_output=True,
        text=True,
    )
    assert inside.stdout == TOKEN
    until(lambda: not traces.in_files(SECRETS, whole.directory), at_most=10)
    assert_no_trace(whole)


def test_a_credential_of_another_project_is_as_if_it_were_not(whole: Installation) -> None:
    whole.make_project("one", kind="dev")
    foreign = make_credential(whole, "forge", "access_token", token="glpat-1234567890")
    whole.make_project("two", kind="dev")
    spec = {"repository": "https://git.example.org/x", "path": "/srv/x"}
    place = f"/api/release/projects/{whole.project}/applications"

    problems = [
        whole.refused(
            "POST",
            place,
            {"name": "x", "driver": "git_pull", "spec": {**spec, "git_credential_id": id_}},
        )
        for id_ in (foreign, "cred_unknown")
    ]

    assert [each["errors"][0]["field"] for each in problems] == ["spec.git_credential_id"] * 2
    assert problems[0]["detail"].replace(foreign, "") == problems[1]["detail"].replace(
        "cred_unknown", ""
    )


def test_a_secret_that_is_replaced_while_a_command_runs_stays_masked_old_and_new(
    whole: Installation, tmp_path: Path
) -> None:
    new, go, shown = "the-n3w-tok/en-value", tmp_path / "go", tmp_path / "shown"
    whole.make_project(kind="dev")
    set_variables(whole, {"name": "TOKEN", "value": TOKEN, "secret": True})
    wait = f"until [ -e {go} ]; do sleep 0.05; done"
    show = f'echo "$TOKEN"; cat {go}; printf %s "$TOKEN" > {shown}'
    whole.make_script("api", f"echo begin; {wait}; {show}")
    deployment = whole.deploy("v1")
    task = deploy_task(whole, deployment)
    until(lambda: "begin" in everything_said(whole, deployment, task), at_most=40)

    set_variables(whole, {"name": "TOKEN", "value": new, "secret": True})
    go.write_text(f"now {new}\n")
    whole.until_status(deployment, "success")

    said = everything_said(whole, deployment, task)
    assert shown.read_text() == TOKEN
    assert new not in said
    assert TOKEN not in said
    assert "now " + "*" * len(new) in said
