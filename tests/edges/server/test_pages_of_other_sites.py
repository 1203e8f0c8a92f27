"""What a page of another site makes the user's browser send is refused."""

from typing import Any

import httpx
import pytest

PROJECTS = "/api/release/projects"
OWN = "http://boreas.test"


@pytest.fixture
def page(browser: httpx.AsyncClient, connect: Any) -> Any:
    """A client with the user's cookie and whatever headers a browser would add."""

    def make(**headers: str) -> httpx.AsyncClient:
        secret = browser.cookies["boreas_session"]
        client: httpx.AsyncClient = connect(cookie=f"boreas_session={secret}", **headers)
        return client

    return make


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://boreas.test.evil.example"},
    {"origin": "http://boreas.test:81"},
    {"origin": "https://boreas.test"},
    {"origin": "http://boreas.test@evil.example"},
    {"origin": "not an origin"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "origin": OWN},
    {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_changes_nothing(page: Any, headers: dict[str, str]) -> None:
    answer = await page(**headers).post(PROJECTS, json={"name": "stolen"})

    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert (await page().get(PROJECTS)).json()["items"] == []


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_signs_nobody_in(anybody: Any, headers: dict[str, str]) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    answer = await anybody.post(
        "/api/release/login", json={"username": "a", "password": "b"}, headers=named
    )

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OWN},
        {"origin": "http://BOREAS.test:80"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ],
    ids=str,
)
async def test_our_own_page_may(page: Any, headers: dict[str, str]) -> None:
    assert (await page(**headers).post(PROJECTS, json={"name": "own"})).status_code == 201


async def test_what_a_form_could_send_needs_proof_of_its_origin(page: Any) -> None:
    answer = await page().post("/api/release/logout")

    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_the_csrf_token_is_proof(page: Any, browser: httpx.AsyncClient) -> None:
    token = (await browser.get("/api/release/me")).json()["csrf_token"]

    assert (await page(x_csrf_token="guess").post("/api/release/logout")).status_code == 403
    assert (await page(x_csrf_token=token).post("/api/release/logout")).status_code == 204


async def test_the_token_of_another_session_is_no_proof(
    page: Any, browser: httpx.AsyncClient, sign_in: Any, connect: Any
) -> None:
    other = connect(origin=OWN)
    await sign_in(other)
    token = (await other.get("/api/release/me")).json()["csrf_token"]

    assert (await page(x_csrf_token=token).post("/api/release/logout")).status_code == 403


async def test_a_program_with_a_cookie_jar_may_send_json(page: Any) -> None:
    """No page of another site can: a browser would ask first, and we never allow it."""
    assert (await page().post(PROJECTS, json={"name": "curl"})).status_code == 201


async def test_no_other_site_is_ever_allowed_to_ask(page: Any) -> None:
    answer = await page(origin="https://evil.example").request(
        "OPTIONS",
        PROJECTS,
        headers={
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )

    assert "access-control-allow-origin" not in answer.headers
    assert answer.status_code >= 400


async def test_a_bearer_token_needs_no_origin(admin: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example"}

    assert (await admin.post(PROJECTS, json={"name": "api"}, headers=headers)).status_code == 201


async def test_text_that_looks_like_json_is_refused(page: Any) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = await page(origin=OWN).post(
            PROJECTS, content=b'{"name":"x"}', headers={"content-type": kind}
        )

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"origin": "null"}])
async def test_a_foreign_page_reads_no_stream(page: Any, headers: dict[str, str]) -> None:
    answer = await page(**headers).get("/api/v1/deployments/x/tasks/y/logs/stream")

    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
