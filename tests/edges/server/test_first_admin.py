"""The first admin is made with the token that only the server's owner can read, and only once."""

import asyncio
from typing import Any

import httpx

from boreas.server.auth.setup_token import SetupToken

PASSWORD = "correct horse battery"


def wanted(token: str, name: str = "ada") -> dict[str, str]:
    return {"token": token, "username": name, "password": PASSWORD}


async def test_the_token_lies_in_a_file_that_only_its_owner_reads(services: Any) -> None:
    mode = services.setup_token.path.stat().st_mode & 0o777

    assert mode == 0o600
    assert services.setup_token.path.name == "setup-token"


async def test_the_token_makes_the_first_admin(anybody: httpx.AsyncClient, services: Any) -> None:
    token = services.setup_token.path.read_text().strip()

    answer = await anybody.post("/api/release/setup", json=wanted(token))

    assert answer.status_code == 201
    assert answer.json()["username"] == "ada"
    assert answer.json()["is_admin"] is True
    assert "password" not in answer.text
    assert not services.setup_token.path.exists()


async def test_a_second_set_up_is_refused_whatever_the_token(
    browser: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    answer = await anybody.post("/api/release/setup", json=wanted("anything", "eve"))

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_wrong_token_is_refused(anybody: httpx.AsyncClient, services: Any) -> None:
    answer = await anybody.post("/api/release/setup", json=wanted("guess"))

    assert answer.status_code == 403
    assert services.setup_token.path.exists()


async def test_of_many_set_ups_at_once_one_wins(connect: Any, services: Any) -> None:
    token = services.setup_token.path.read_text().strip()
    clients = [connect(address=f"192.0.2.{number}") for number in range(5)]

    answers = await asyncio.gather(
        *(
            client.post("/api/release/setup", json=wanted(token, f"user{number}"))
            for number, client in enumerate(clients)
        )
    )

    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    assert set(codes[1:]) <= {403, 409}
    async with services.store.reading() as tx:
        assert await tx.users.count() == 1


async def test_a_restart_before_the_set_up_offers_the_same_token(services: Any) -> None:
    token = services.setup_token.path.read_text().strip()

    assert SetupToken(services.setup_token.path).offer(users_exist=False) == token


async def test_a_restart_after_the_set_up_offers_none(services: Any) -> None:
    assert services.setup_token.offer(users_exist=True) is None
    assert not services.setup_token.path.exists()


async def test_a_short_password_is_refused_with_the_mend(
    anybody: httpx.AsyncClient, services: Any
) -> None:
    token = services.setup_token.path.read_text().strip()

    answer = await anybody.post(
        "/api/release/setup", json={"token": token, "username": "ada", "password": "short"}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "password", "problem": "is too short", "mend": "write at least 8 characters"}
    ]
    assert "short" not in answer.json()["detail"].replace("too short", "")
