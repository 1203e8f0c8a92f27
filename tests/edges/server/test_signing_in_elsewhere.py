"""Sign-in by an identity provider that runs as a process of its own, with everything it may try."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, running_provider

from boreas.domain.errors import InvalidInput
from boreas.server.app import create_app
from boreas.server.services import ServiceBundle
from boreas.server.settings import OidcSettings, parse

TRICKS = (
    *("other_nonce", "no_nonce", "other_audience", "other_issuer", "expired"),
    *("other_key", "shared_secret", "unsigned"),
)
GRACE = {"email": "Grace@navy.example", "email_verified": True, "preferred_username": "grace"}
USERS: dict[str, Any] = {
    "sub-grace": {"claims": {**GRACE, "name": "Grace Hopper", "groups": ["admins"]}},
    "sub-other-grace": {"claims": {**GRACE, "email": "other@navy.example"}},
    "sub-unverified": {"claims": {**GRACE, "email_verified": False}},
    "sub-stranger": {"claims": {"email": "eve@evil.example", "email_verified": True}},
    **{trick: {"claims": GRACE, "trick": trick} for trick in TRICKS},
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_provider(USERS, Path(tmp_path_factory.mktemp("provider"))) as address:
        yield address


@pytest.fixture
def oidc(provider: str) -> OidcSettings:
    return OidcSettings(
        issuer=provider,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        domains=("navy.example",),
        create_users=True,
        label="Navy",
    )


@pytest.fixture
def settled(services: ServiceBundle, oidc: OidcSettings) -> ServiceBundle:
    return replace(services, settings=replace(services.settings, oidc=oidc))


@pytest.fixture
def app(settled: ServiceBundle) -> FastAPI:
    return create_app(settled)


async def gone_and_come_back(
    client: httpx.AsyncClient, as_: str, *, after: str = "/", changed: Any = None
) -> httpx.Response:
    """What a browser does: to our page, to the provider, and back to us."""
    begun = await client.get("/api/release/oidc/login", params={"next": after})
    assert begun.status_code == 302, begun.text
    async with httpx.AsyncClient() as elsewhere:
        granted = await elsewhere.get(begun.headers["location"] + f"&as={as_}")
    assert granted.status_code == 302, granted.text
    back = urlsplit(granted.headers["location"])
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    return await client.get(back.path, params={**query, **(changed or {})})


async def test_somebody_the_provider_knows_becomes_a_user_and_is_signed_in(
    anybody: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    answer = await gone_and_come_back(anybody, "sub-grace", after="/projects/x")

    assert (answer.status_code, answer.headers["location"]) == (302, "/projects/x")
    me = (await anybody.get("/api/release/me")).json()
    assert me["username"] == "grace"
    assert me["display_name"] == "Grace Hopper"
    assert me["email"] == "grace@navy.example"
    assert not me["is_admin"], "groups of the provider count for nothing"
    trail = (await admin.get("/api/release/audit", params={"actor": "grace"})).json()["items"]
    assert [entry["action"] for entry in trail] == ["user.sign_in", "user.create"]


async def test_the_second_time_it_is_the_same_user(
    anybody: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await gone_and_come_back(anybody, "sub-grace")
    first = (await anybody.get("/api/release/me")).json()["id"]
    await gone_and_come_back(anybody, "sub-grace")

    assert (await anybody.get("/api/release/me")).json()["id"] == first


async def test_somebody_of_the_same_name_is_another_user(
    anybody: httpx.AsyncClient, connect: Any, admin: httpx.AsyncClient
) -> None:
    other = connect()
    await gone_and_come_back(anybody, "sub-grace")
    await gone_and_come_back(other, "sub-other-grace")

    assert (await other.get("/api/release/me")).json()["username"] == "grace-2"


async def test_a_user_whom_an_admin_made_is_found_by_the_verified_address(
    anybody: httpx.AsyncClient, admin: httpx.AsyncClient, make: Any, oidc: OidcSettings
) -> None:
    body = {"username": "hopper", "email": "grace@navy.example"}
    made = await make(admin, "/api/release/users", body)

    await gone_and_come_back(anybody, "sub-grace")

    assert (await anybody.get("/api/release/me")).json()["id"] == made["id"]
    refused = {"username": "hopper", "password": ""}
    assert (await anybody.post("/api/release/login", json=refused)).status_code == 401


@pytest.mark.parametrize("who", ["sub-unverified", "sub-stranger"])
async def test_nobody_without_a_verified_address_of_an_allowed_domain_gets_in(
    anybody: httpx.AsyncClient, who: str
) -> None:
    answer = await gone_and_come_back(anybody, who)

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await anybody.get("/api/release/me")).status_code == 401


async def test_nobody_is_made_a_user_unless_that_is_allowed(
    settled: ServiceBundle, oidc: OidcSettings
) -> None:
    careful = replace(settled.settings, oidc=replace(oidc, create_users=False))
    app = create_app(replace(settled, settings=careful))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://boreas.test") as client:
        answer = await gone_and_come_back(client, "sub-grace")

    assert answer.status_code == 403
    assert "ask an admin" in answer.json()["detail"]


async def test_a_disabled_user_does_not_get_in(
    anybody: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await gone_and_come_back(anybody, "sub-grace")
    user = (await anybody.get("/api/release/me")).json()["id"]
    await admin.post(f"/api/release/users/{user}/disable")

    assert (await gone_and_come_back(anybody, "sub-grace")).status_code == 403
    assert (await anybody.get("/api/release/me")).status_code == 401


@pytest.mark.parametrize("trick", TRICKS)
async def test_an_id_token_that_is_not_good_lets_nobody_in(
    anybody: httpx.AsyncClient, trick: str
) -> None:
    answer = await gone_and_come_back(anybody, trick)

    assert answer.status_code == 401, answer.text
    assert (await anybody.get("/api/release/me")).status_code == 401


async def test_the_answer_to_somebody_elses_sign_in_is_refused(
    anybody: httpx.AsyncClient, connect: Any
) -> None:
    """A page that sends its victim to our callback with the attacker's own code."""
    wrong_state = await gone_and_come_back(anybody, "sub-grace", changed={"state": "another"})
    not_begun = await connect().get("/api/release/oidc/callback?code=x&state=y")

    assert wrong_state.status_code == not_begun.status_code == 401


async def test_a_code_works_once_and_only_where_it_was_asked_for(
    anybody: httpx.AsyncClient, connect: Any
) -> None:
    answer = await gone_and_come_back(anybody, "sub-grace", changed={"code": "guessed"})

    assert answer.status_code == 401
    assert "invalid_grant" in answer.json()["detail"]


async def test_who_says_no_at_the_provider_is_told_so(anybody: httpx.AsyncClient) -> None:
    answer = await gone_and_come_back(anybody, "nobody")

    assert answer.status_code == 401
    assert "access_denied" in answer.json()["detail"]


async def test_a_new_key_of_the_provider_is_fetched(
    anybody: httpx.AsyncClient, provider: str
) -> None:
    await gone_and_come_back(anybody, "sub-grace")
    async with httpx.AsyncClient() as elsewhere:
        await elsewhere.post(f"{provider}/change-key")

    assert (await gone_and_come_back(anybody, "sub-grace")).status_code == 302


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_the_way_back_leads_to_a_page_of_ours(anybody: httpx.AsyncClient, after: str) -> None:
    answer = await gone_and_come_back(anybody, "sub-grace", after=after)

    assert answer.headers["location"] == "/"


async def test_a_provider_that_does_not_answer_is_said(
    settled: ServiceBundle, oidc: OidcSettings
) -> None:
    gone = replace(settled.settings, oidc=replace(oidc, issuer="http://127.0.0.1:9"))
    app = create_app(replace(settled, settings=gone))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://boreas.test") as client:
        answer = await client.get("/api/release/oidc/login")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_the_sign_in_page_learns_that_there_is_a_provider(
    anybody: httpx.AsyncClient, services: ServiceBundle
) -> None:
    shown = (await anybody.get("/api/release/oidc")).json()

    assert shown == {"enabled": True, "label": "Navy", "login_url": "/api/release/oidc/login"}


def test_the_providers_secret_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    named = ["--oidc-issuer", "https://id.example/", "--oidc-client-id", "b"]
    file = tmp_path / "secret"
    file.write_text("s3cret\n")

    by_file = parse([*named, "--oidc-client-secret-file", str(file)], {})
    by_word = parse(named, {"BOREAS_OIDC_CLIENT_SECRET": "s3cret", "BOREAS_OIDC_DOMAINS": "A.b, c"})

    assert by_file.oidc is not None
    assert by_word.oidc is not None
    assert by_file.oidc.client_secret == by_word.oidc.client_secret == "s3cret"
    assert by_file.oidc.issuer == "https://id.example"
    assert by_word.oidc.domains == ("a.b", "c")
    assert "s3cret" not in repr(by_file)


def test_a_provider_that_is_half_described_is_refused(tmp_path: Path) -> None:
    named = ["--oidc-issuer", "https://id.example"]

    assert parse([], {}).oidc is None
    with pytest.raises(InvalidInput, match="--oidc-client-id"):
        parse(named, {})
    gone = str(tmp_path / "gone")
    with pytest.raises(InvalidInput, match="--oidc-client-secret-file"):
        parse([*named, "--oidc-client-id", "b", "--oidc-client-secret-file", gone], {})
