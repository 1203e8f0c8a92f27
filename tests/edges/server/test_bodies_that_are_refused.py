"""Hostile and mistaken bodies get a clear refusal, quickly, and the server lives on."""

import json
from typing import Any

import httpx
import pytest

PROJECTS = "/api/release/projects"
JSON = {"content-type": "application/json"}


async def sent(admin: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await admin.post(PROJECTS, content=content, headers=JSON)


async def test_an_unknown_key_is_named_with_what_was_probably_meant(
    admin: httpx.AsyncClient,
) -> None:
    answer = await admin.post(PROJECTS, json={"name": "a", "descripton": "b"})

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "descripton", "problem": "is not known", "mend": "did you mean `description`?"}
    ]


async def test_every_wrong_field_is_named_at_once_in_the_spelling_of_the_json(
    admin: httpx.AsyncClient,
) -> None:
    body = {
        "versionId": 7,
        "strategy": {"steps": [{"batchSize": -1, "manualApprovalStatus": "yes"}]},
        "tasks": [{"id": "a", "type": "deploy"}, {"type": "dance", "requireConfirm": 3}],
        "surprise": 1,
    }

    answer = await admin.post("/api/v1/deployments", json=body)

    found = {entry["field"] for entry in answer.json()["errors"]}
    assert answer.status_code == 422
    assert found == {
        "versionId",
        "environmentId",
        "strategy.steps[0].batchSize",
        "strategy.steps[0].manualApprovalStatus",
        "tasks[1].type",
        "tasks[1].requireConfirm",
        "surprise",
    }


async def test_a_wrong_query_is_named_too(admin: httpx.AsyncClient) -> None:
    answer = await admin.get(f"{PROJECTS}?limit=0")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_cursor_that_we_never_gave_is_refused(admin: httpx.AsyncClient, limit: int) -> None:
    for cursor in ("x", "!!", "A" * 900, "W10", "bnVsbA"):
        answer = await admin.get(f"{PROJECTS}?limit={limit}&cursor={cursor}")

        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == "cursor"


async def test_a_bomb_of_brackets_is_refused_quickly(
    admin: httpx.AsyncClient, services: Any
) -> None:
    for bomb in (b"[" * 100_000, b'{"a":' * 100_000, b'{"name":' + b"[" * 100 + b"]" * 100 + b"}"):
        began = services.clock.monotonic()
        answer = await sent(admin, bomb)

        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")
        assert services.clock.monotonic() - began < 1
    assert (await admin.get("/healthz")).status_code == 200


async def test_brackets_inside_texts_are_only_text(admin: httpx.AsyncClient) -> None:
    name = "[" * 50 + '"' + "{\\" * 20

    answer = await admin.post(PROJECTS, json={"name": name})

    assert answer.status_code == 201
    assert answer.json()["name"] == name


async def test_a_large_body_is_refused_before_it_is_read(admin: httpx.AsyncClient) -> None:
    answer = await sent(admin, b" " * (1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_large_body_without_a_length_is_refused_while_it_is_read(
    admin: httpx.AsyncClient,
) -> None:
    sent_blocks = 0

    async def endless() -> Any:
        nonlocal sent_blocks
        while sent_blocks < 1000:
            sent_blocks += 1
            yield b" " * 65_536

    answer = await admin.post(PROJECTS, content=endless(), headers=JSON)

    assert answer.status_code == 413
    assert sent_blocks < 30


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"not json",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"name": 1' + b"0" * 5000 + b"}",
    ],
    ids=lambda content: repr(content)[:30],
)
async def test_what_is_not_json_that_can_be_kept_is_a_400(
    admin: httpx.AsyncClient, content: bytes
) -> None:
    answer = await sent(admin, content)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_json"), answer.text


@pytest.mark.parametrize("content", [b"null", b"[]", b'"x"', b"1", b"true"])
async def test_json_that_is_no_object_is_a_422(admin: httpx.AsyncClient, content: bytes) -> None:
    assert (await sent(admin, content)).status_code == 422


@pytest.mark.parametrize(
    "name", ["", " ", " x", "x\n", "a\tb", "x" * 101, "a\u202eb", "a\u2028b", "\u200b"]
)
async def test_names_that_mislead_people_are_refused(admin: httpx.AsyncClient, name: str) -> None:
    answer = await admin.post(PROJECTS, json={"name": name})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"
    assert answer.json()["errors"][0]["mend"]


async def test_an_unforeseen_error_tells_nothing_but_its_number(
    admin: httpx.AsyncClient, monkeypatch: Any, logged: list[Any]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr("boreas.server.api.projects.Project", broken)

    answer = await admin.post(PROJECTS, json={"name": "a"})

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "swordfish" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    errors = [entry for entry in logged if entry["log_level"] == "error"]
    assert [entry["request_id"] for entry in errors] == [answer.json()["request_id"]]
    logged.clear()


async def test_problems_have_the_shape_of_rfc_9457(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/api/release/projects/unknown")

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == 404
    problem = answer.json()
    assert set(problem) == {
        *("type", "title", "status", "detail", "code", "params", "errors", "request_id"),
    }
    assert problem["type"] == "urn:boreas:problem:not_found"


async def test_a_path_that_is_not_there_and_a_method_that_is_not_are_problems_too(
    admin: httpx.AsyncClient,
) -> None:
    missing = await admin.get("/api/release/nothing")
    posted = await admin.post("/api/release/nothing", json={})
    wrong = await admin.patch("/api/release/tokens", json={})

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (posted.status_code, posted.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_answers_carry_the_browsers_guards(anybody: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/api/release/me", "/"):
        headers = (await anybody.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"].split("style-src")[0]
    assert (await anybody.get("/api/release/me")).headers["cache-control"] == "no-store"


def test_names_of_union_arms_do_not_show_in_field_paths() -> None:
    from boreas.server.errors import field_path

    assert field_path(("body", "tasks", 0, "blockBy", "list[str]", 1)) == "tasks[0].blockBy[1]"
    assert field_path(("query", "limit")) == "limit"
    assert field_path(("body",)) == "body"
    assert json.dumps(field_path(("body", "strategy", "steps", 0, "batchSize", "int")))
