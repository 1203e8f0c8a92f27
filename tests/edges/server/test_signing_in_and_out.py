"""Sessions: what the cookie looks like, when ids change, when they die, how guessing is slowed."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from boreas.domain.errors import TooMany
from boreas.server.auth.guessing import FREE_TRIES, LONGEST_PAUSE, WINDOW, Guesses, source_of

LOGIN = "/api/release/login"
RIGHT = {"username": "ada", "password": "correct horse battery"}
WRONG = {"username": "ada", "password": "wrong"}
NOBODY = {"username": "nobody", "password": "wrong"}


def cookie_of(answer: httpx.Response) -> str:
    return answer.headers["set-cookie"]


async def test_the_cookie_is_closed_to_scripts_and_other_sites(
    browser: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    cookie = cookie_of(await anybody.post(LOGIN, json=RIGHT))

    assert cookie.startswith("boreas_session=bses_")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie


async def test_over_https_the_cookie_is_secure_and_bound_to_this_host(
    browser: httpx.AsyncClient, connect: Any
) -> None:
    client = connect(base="https://boreas.test")

    cookie = cookie_of(await client.post(LOGIN, json=RIGHT))

    assert cookie.startswith("__Host-boreas_session=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


async def test_the_answer_says_who_one_is(browser: httpx.AsyncClient) -> None:
    me = (await browser.get("/api/release/me")).json()

    assert me["username"] == "ada"
    assert me["is_admin"] is True
    assert len(me["csrf_token"]) == 64
    assert "hash" not in str(me)


async def test_the_session_id_changes_at_every_sign_in_and_the_old_one_dies(
    browser: httpx.AsyncClient, connect: Any, sign_in: Any
) -> None:
    before = browser.cookies["boreas_session"]

    await sign_in(browser)

    assert browser.cookies["boreas_session"] != before
    old = connect(cookie=f"boreas_session={before}")
    assert (await old.get("/api/release/me")).status_code == 401


async def test_a_session_id_that_was_planted_is_not_taken_over(
    browser: httpx.AsyncClient, connect: Any
) -> None:
    victim = connect(cookie="boreas_session=bses_planted")

    answer = await victim.post(LOGIN, json=RIGHT)

    assert "bses_planted" not in cookie_of(answer)


async def test_signing_out_ends_the_session_on_the_server(
    browser: httpx.AsyncClient, connect: Any
) -> None:
    kept = browser.cookies["boreas_session"]

    answer = await browser.post("/api/release/logout", json={})

    assert answer.status_code == 204
    thief = connect(cookie=f"boreas_session={kept}")
    assert (await thief.get("/api/release/me")).status_code == 401


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    browser: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    wrong = await anybody.post(LOGIN, json=WRONG)
    nobody = await anybody.post(LOGIN, json=NOBODY)

    assert wrong.status_code == nobody.status_code == 401
    ignored = ("request_id",)
    assert {k: v for k, v in wrong.json().items() if k not in ignored} == {
        k: v for k, v in nobody.json().items() if k not in ignored
    }


async def test_an_unknown_name_costs_a_hash_as_well(services: Any, browser: Any) -> None:
    hasher = services.hasher
    runs = 0
    plain = hasher._in_thread

    async def counted(work: Any) -> Any:
        nonlocal runs
        runs += 1
        return await plain(work)

    hasher._in_thread = counted
    await hasher.verify_nobody("first")
    runs = 0

    await hasher.verify_nobody("again")

    assert runs == 1


async def test_a_new_password_ends_all_other_sessions_and_renews_this_one(
    browser: httpx.AsyncClient, connect: Any, sign_in: Any
) -> None:
    other = connect(origin="http://boreas.test")
    await sign_in(other)
    before = browser.cookies["boreas_session"]

    answer = await browser.post(
        "/api/release/me/password",
        json={"current_password": RIGHT["password"], "new_password": "another long one"},
    )

    assert answer.status_code == 200
    assert browser.cookies["boreas_session"] != before
    assert (await browser.get("/api/release/me")).status_code == 200
    assert (await other.get("/api/release/me")).status_code == 401
    await sign_in(other, "another long one")


async def test_a_new_password_needs_the_present_one(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(
        "/api/release/me/password",
        json={"current_password": "guess", "new_password": "another long one"},
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "current_password"


async def test_the_sixth_guess_is_refused_from_there_and_only_from_there(
    browser: httpx.AsyncClient, connect: Any
) -> None:
    thief = connect(address="203.0.113.9")
    codes = [(await thief.post(LOGIN, json=WRONG)).status_code for _ in range(FREE_TRIES)]
    blocked = await thief.post(LOGIN, json=RIGHT)
    owner = await connect(address="198.51.100.4").post(LOGIN, json=RIGHT)

    assert codes == [401] * FREE_TRIES
    assert blocked.status_code == 429
    assert int(blocked.headers["Retry-After"]) > 0
    assert blocked.json()["params"]["retry_after"] > 0
    assert owner.status_code == 200


async def test_a_hundred_guesses_at_once_are_not_a_hundred_free_ones(
    browser: httpx.AsyncClient, connect: Any
) -> None:
    thief = connect(address="203.0.113.9")

    answers = await asyncio.gather(*(thief.post(LOGIN, json=WRONG) for _ in range(100)))

    assert sum(answer.status_code == 401 for answer in answers) <= FREE_TRIES


async def test_health_answers_while_sign_ins_flood_in(
    browser: httpx.AsyncClient, served: str, services: Any
) -> None:
    services.hasher.__init__()  # at the real price
    async with httpx.AsyncClient(base_url=f"http://{served}", timeout=60) as crowd:
        names = [{"username": f"nobody{number}", "password": "wrong"} for number in range(80)]
        flood = [asyncio.ensure_future(crowd.post(LOGIN, json=name)) for name in names]
        waits = []
        async with httpx.AsyncClient(base_url=f"http://{served}", timeout=60) as watcher:
            while not all(each.done() for each in flood):
                began = services.clock.monotonic()
                assert (await watcher.get("/healthz")).status_code == 200
                waits.append(services.clock.monotonic() - began)
        codes = [each.result().status_code for each in flood]

    assert set(codes) == {401, 429}, "the queue is bounded"
    # The median, because this machine is shared with whatever else is running.
    assert sorted(waits)[len(waits) // 2] < 0.1


async def test_an_api_token_is_shown_once(browser: httpx.AsyncClient, connect: Any) -> None:
    made = (await browser.post("/api/release/tokens", json={"name": "ci"})).json()
    listed = (await browser.get("/api/release/tokens")).json()["items"]

    assert made["token"].startswith("bapi_")
    assert listed[0]["name"] == "ci"
    assert made["token"] not in str(listed)
    program = connect(authorization=f"Bearer {made['token']}")
    assert (await program.get("/api/release/me")).json()["csrf_token"] is None


async def test_a_deleted_token_is_worthless_at_once(browser: Any, connect: Any) -> None:
    made = (await browser.post("/api/release/tokens", json={"name": "ci"})).json()

    assert (await browser.delete(f"/api/release/tokens/{made['id']}")).status_code == 204

    program = connect(authorization=f"Bearer {made['token']}")
    assert (await program.get("/api/release/me")).status_code == 401


async def test_a_token_ends_when_it_was_told_to(browser: Any, connect: Any, services: Any) -> None:
    wanted = {"name": "ci", "expires_in_seconds": 60}
    made = (await browser.post("/api/release/tokens", json=wanted)).json()
    async with services.store.transaction() as tx:
        token = await tx.api_tokens.get(made["id"])
        past = services.clock.now() - timedelta(seconds=1)
        await tx.api_tokens.change(replace(token, expires_at=past))

    program = connect(authorization=f"Bearer {made['token']}")
    assert (await program.get("/api/release/me")).status_code == 401


async def test_use_keeps_a_session_alive_and_is_noted_for_tokens(
    browser: httpx.AsyncClient, admin: httpx.AsyncClient, services: Any
) -> None:
    async with services.store.transaction() as tx:
        user = await tx.users.named("ada")
        (session,) = await tx.sessions.all(within=user.id)
        old = services.clock.now() - timedelta(days=1)
        end = services.clock.now() + timedelta(minutes=1)
        await tx.sessions.touch(session.id_sha256, seen_at=old, expires_at=end)

    await browser.get("/api/release/me")
    await admin.get("/api/release/me")

    async with services.store.reading() as tx:
        (session,) = await tx.sessions.all(within=user.id)
        (token,) = await tx.api_tokens.all(within=user.id)
    assert session.expires_at > end + timedelta(days=6)
    assert token.last_used_at is not None


async def test_secrets_are_stored_as_hashes_only(
    browser: httpx.AsyncClient, services: Any, tmp_path: Any
) -> None:
    token = (await browser.post("/api/release/tokens", json={"name": "ci"})).json()["token"]
    enrol = (await browser.post("/api/release/agents/enroll-tokens", json={})).json()["token"]

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("boreas.db*"))

    for secret in (token, browser.cookies["boreas_session"], enrol.rsplit(".")[-1]):
        assert secret.encode() not in stored
    assert RIGHT["password"].encode() not in stored


# --- the counter alone ---------------------------------------------------------------------------


def failures(guesses: Guesses, count: int, now: float, address: str = "192.0.2.1") -> float:
    """So many failures in a row, each as soon as it is allowed; when the last one was."""
    for _ in range(count):
        try:
            guesses.begin("ada", address, now)
        except TooMany as error:
            now += float(error.parameters["retry_after"]) + 0.1
            guesses.begin("ada", address, now)
    return now


def test_the_pause_grows_with_each_failure_up_to_a_limit() -> None:
    guesses, now, pauses = Guesses(), 0.0, []
    failures(guesses, FREE_TRIES, now)
    for _ in range(12):
        with pytest.raises(TooMany) as caught:
            guesses.begin("ada", "192.0.2.1", now)
        pauses.append(float(caught.value.parameters["retry_after"]))
        now += pauses[-1] + 0.1
        guesses.begin("ada", "192.0.2.1", now)

    assert pauses == sorted(pauses)
    assert pauses[0] == 30
    assert pauses[-1] == LONGEST_PAUSE


def test_after_a_quiet_while_everything_is_forgiven() -> None:
    guesses = Guesses()
    now = failures(guesses, FREE_TRIES + 2, 0.0)

    later = now + LONGEST_PAUSE + WINDOW + 1

    failures(guesses, FREE_TRIES - 1, later)
    guesses.begin("ada", "192.0.2.1", later)


def test_the_right_password_forgives_as_well() -> None:
    guesses = Guesses()
    failures(guesses, FREE_TRIES - 1, 0.0)

    guesses.succeeded("ADA", "192.0.2.1")

    failures(guesses, FREE_TRIES - 1, 0.0)


def test_many_addresses_do_not_fill_the_memory() -> None:
    guesses = Guesses()

    for number in range(10_500):
        guesses.begin("ada", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)

    assert len(guesses._pairs) == 10_000


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unix", "unix"),
    ],
)
def test_one_customer_with_many_addresses_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source
