"""Strings that break software, in every text field: kept unchanged or refused, never a 500."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

FOUND = [
    directory / "shared/testdata/naughty_strings.json"
    for directory in Path(__file__).resolve().parents
]
STRINGS = next((path for path in FOUND if path.exists()), None)

pytestmark = pytest.mark.skipif(
    STRINGS is None, reason="shared/testdata/naughty_strings.json is not here"
)


def strings() -> list[str]:
    assert STRINGS is not None
    found: list[str] = json.loads(STRINGS.read_text())
    return found


async def kept_or_refused(answer: httpx.Response, text: str, field: str) -> None:
    assert answer.status_code in (200, 201, 400, 404, 409, 422), f"{text!r}: {answer.text}"
    if answer.status_code in (200, 201):
        assert answer.json()[field] == text
    else:
        assert answer.json()["code"]


async def test_in_names_and_descriptions(admin: httpx.AsyncClient) -> None:
    for text in strings():
        answer = await admin.post("/api/release/projects", json={"name": text})
        await kept_or_refused(answer, text, "name")
    for number, text in enumerate(strings()):
        body = {"name": f"d{number}", "description": text}
        answer = await admin.post("/api/release/projects", json=body)
        assert answer.status_code in (201, 400, 422)
        if answer.status_code == 201:
            assert answer.json()["description"] == text


async def test_in_ids_queries_and_cursors(admin: httpx.AsyncClient) -> None:
    from urllib.parse import quote

    for text in strings()[::3]:
        for path in (
            f"/api/release/projects/{quote(text, safe='')}",
            f"/api/v1/deployments/{quote(text, safe='')}",
        ):
            answer = await admin.get(path)
            assert answer.status_code in (200, 307, 404, 405), f"{text!r}: {answer.text}"
        for query in ({"q": text}, {"cursor": text}, {"projectId": text}):
            answer = await admin.get("/api/v1/deployments", params=query)
            assert answer.status_code in (200, 422), f"{text!r}: {answer.text}"


async def test_in_tasks_and_comments(admin: httpx.AsyncClient, site: Any) -> None:
    for text in strings()[::5]:
        task = {"id": text, "name": text, "type": "custom", "payload": {"command": text, "x": text}}
        body = {
            "versionId": site.version,
            "environmentId": site.environment,
            "tasks": [task],
            "autoStart": False,
        }
        answer = await admin.post("/api/v1/deployments", json=body)
        assert answer.status_code in (201, 400, 422), f"{text!r}: {answer.text}"
        if answer.status_code == 201:
            found = answer.json()
            assert found["tasks"][0]["payload"]["x"] == text
            path = f"/api/v1/deployments/{found['id']}"
            cancelled = await admin.post(f"{path}/cancel", json={"comment": text})
            assert cancelled.status_code == 200
            assert text in cancelled.json()["errorMessage"]


async def test_in_values_that_go_to_agents(admin: httpx.AsyncClient, site: Any) -> None:
    for number, text in enumerate(strings()[::5]):
        body = {"name": f"v{number}", "config": {"value": text, text: 1}}
        answer = await admin.post(f"/api/release/projects/{site.project}/versions", json=body)
        assert answer.status_code in (201, 400), f"{text!r}: {answer.text}"
        if answer.status_code == 201:
            assert answer.json()["config"]["value"] == text


async def test_at_the_door(anybody: httpx.AsyncClient, services: Any) -> None:
    for number, text in enumerate(strings()[::10]):
        body = {"username": text, "password": text}
        answer = await anybody.post("/api/release/login", json=body)
        assert answer.status_code in (401, 400, 422, 429), f"{text!r}: {answer.text}"
        headers = {"authorization": f"Bearer bapi_{number}"}
        assert (await anybody.get("/api/release/me", headers=headers)).status_code == 401
