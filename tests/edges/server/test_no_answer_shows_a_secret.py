"""Hazards 74 and 81: known secrets are put in by every door, and looked for behind every other."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from fastapi import FastAPI
from tests.support.traces import forms

from boreas.server.app import declared_callers

pytestmark = pytest.mark.usefixtures("with_key")

Make = Callable[..., Awaitable[dict[str, Any]]]
WHERE = "/api/release/credentials"
PASSPHRASE = "canary-passphrase-é"
KEY = (
    ed25519.Ed25519PrivateKey.generate()
    .private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(PASSPHRASE.encode())
    )
    .decode()
)
KUBECONFIG = yaml.safe_dump(
    {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://k8s.example.org"}}],
        "users": [{"name": "u", "user": {"token": "canary-kube-token"}}],
    }
)
VALUES: Mapping[str, dict[str, str]] = {
    "username_token": {"username": "canary-user", "password": 'canary-pass"word'},
    "access_token": {"token": "canary-access-token"},
    "ssh": {"private_key": KEY, "passphrase": PASSPHRASE},
    "registry": {"registry": "r.example.org", "username": "robot", "password": "canary-registry"},
    "kubeconfig": {"kubeconfig": KUBECONFIG},
}
SECRETS = (
    "canary-user",
    'canary-pass"word',
    "canary-access-token",
    KEY.splitlines()[2],
    PASSPHRASE,
    "canary-registry",
    "canary-kube-token",
    "canary-variable",
    "canary-refused",
    "canary-newer",
)


def all_forms() -> Iterator[bytes]:
    """Plain, encoded, and as hashes that somebody could try values against."""
    for secret in SECRETS:
        yield from forms(secret)
        yield json.dumps(secret)[1:-1].encode()
        digest = sha256(secret.encode())
        yield digest.hexdigest().encode()
        yield base64.b64encode(digest.digest())
        yield digest.digest()
    for value in VALUES.values():
        yield sha256(json.dumps(value).encode()).hexdigest().encode()
        yield sha256(json.dumps(value, sort_keys=True).encode()).hexdigest().encode()


FORMS = tuple(all_forms())


def traces(content: bytes) -> list[bytes]:
    return [form for form in FORMS if form in content]


async def secrets_put_in(admin: httpx.AsyncClient, site: Any, make: Make) -> dict[str, str]:
    """Every type of credential made, changed, refused; a secret variable; ids by parameter."""
    ids = {}
    for kind, data in VALUES.items():
        body = {"name": kind, "type": kind, "project_id": site.project, "data": data}
        ids[kind] = (await make(admin, WHERE, body, **{"Idempotency-Key": kind}))["id"]
        wrong = {**body, "name": "w", "data": {**data, "canary-refused": "canary-refused"}}
        assert (await admin.post(WHERE, json=wrong)).status_code == 422
        texts = {**body, "data": json.dumps(data)}
        assert (await admin.post(WHERE, json=texts)).status_code == 422
    newer = {"data": {"token": "canary-newer"}}
    assert (await admin.put(f"{WHERE}/{ids['access_token']}", json=newer)).status_code == 200
    broken = {"data": {"private_key": KEY.replace("A", "B"), "passphrase": PASSPHRASE}}
    assert (await admin.put(f"{WHERE}/{ids['ssh']}", json=broken)).status_code == 422
    assert (await admin.delete(f"{WHERE}/{ids['kubeconfig']}")).status_code == 204
    items = [{"name": "CANARY", "value": "canary-variable", "secret": True}]
    for kind, key in (("projects", site.project), ("environments", site.environment)):
        path = f"/api/release/{kind}/{key}/variables"
        assert (await admin.put(path, json={"items": items})).status_code == 200
    return ids


async def test_no_route_answers_with_a_known_secret_and_no_file_holds_one(
    app: FastAPI,
    admin: httpx.AsyncClient,
    site: Any,
    deploy: Callable[..., Awaitable[dict[str, Any]]],
    make: Make,
    logged: list[Any],
    tmp_path: Path,
) -> None:
    made = await secrets_put_in(admin, site, make)
    run = await deploy(autoStart=False)
    ids = {
        "project_id": site.project,
        "environment_id": site.environment,
        "version_id": site.version,
        "application_id": next(iter(site.applications.values())),
        "target_id": site.targets[0],
        "agent_id": site.agents[0],
        "deployment_id": run["id"],
        "task_id": run["tasks"][0]["id"],
    }
    tried = 0
    for method, path, _ in declared_callers(app):
        # Streams never end; what they push is what these answer.
        if method == "WEBSOCKET" or path.endswith(("/stream", "/{path:path}")):
            continue
        for credential in made.values():
            named = {**ids, "credential_id": credential}
            for name in _parameters(path):
                named.setdefault(name, "x")
            body = {} if method in ("POST", "PUT", "PATCH") else None
            if method == "DELETE" and not path.startswith(WHERE):
                continue
            answer = await admin.request(
                method, path.format(**named), json=body, params={"project": site.project}
            )
            tried += 1
            shown = answer.content + repr(answer.headers.multi_items()).encode()
            assert not traces(shown), f"{method} {path}"
            if "{credential_id}" not in path:
                break

    assert tried > 80
    assert not traces(repr(logged).encode()), "what was logged"
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert not traces(file.read_bytes()), file.name


def _parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


async def test_the_needles_would_be_found(tmp_path: Path) -> None:
    assert traces(b"..." + base64.b64encode(b"x canary-access-token y") + b"...")
    assert traces(json.dumps({"p": 'canary-pass"word'}).encode())
    assert not traces(b"nothing of the kind")


async def test_a_viewer_sees_that_a_credential_is_there_and_nothing_of_its_value(
    admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    data = VALUES["username_token"]
    body = {"name": "hub", "type": "username_token", "project_id": site.project, "data": data}

    shown = await make(admin, WHERE, body)

    assert not traces(json.dumps(shown).encode())
    assert shown["fingerprint"] not in sha256(json.dumps(data).encode()).hexdigest()
