"""Sessions: what the cookie looks like, when ids change, when they die, how guessing is slowed."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from boreas.domain.errors import TooMany, Unauthenticated
from boreas.server.auth.guessing import FREE_TRIES, LONGEST_PAUSE, WINDOW, Guesses, source_of
from boreas.store import SqlStore

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


class Thief:
    """Guesses at one account from one address, as soon as it is allowed; time is its own."""

    def __init__(self, store: SqlStore, now: datetime) -> None:
        self._store = store
        self.now = now

    async def guess(self, account: str = "ada") -> float:
        """A failure; how long it was held up before."""
        waited = 0.0
        try:
            await self._fail(account)
        except TooMany as error:
            waited = float(error.parameters["retry_after"])
            self.now += timedelta(seconds=waited + 0.1)
            await self._fail(account)
        return waited

    async def _fail(self, account: str) -> None:
        # Another server each time: only the store remembers.
        with pytest.raises(Unauthenticated):
            async with Guesses().one_try(self._store, account, "192.0.2.1", self.now):
                raise Unauthenticated("wrong")

    async def find_out(self, account: str = "ada") -> None:
        async with Guesses().one_try(self._store, account, "192.0.2.1", self.now):
            pass


@pytest.fixture
def thief(store: SqlStore, services: Any) -> Thief:
    return Thief(store, services.clock.now())


async def test_the_pause_grows_with_each_failure_up_to_a_limit(thief: Thief) -> None:
    free = [await thief.guess() for _ in range(FREE_TRIES)]
    pauses = [await thief.guess() for _ in range(12)]

    assert free == [0] * FREE_TRIES
    assert pauses == sorted(pauses)
    assert pauses[0] == 30
    assert pauses[-1] == LONGEST_PAUSE


async def test_after_a_quiet_while_everything_is_forgiven(thief: Thief) -> None:
    for _ in range(FREE_TRIES + 2):
        await thief.guess()

    thief.now += timedelta(seconds=LONGEST_PAUSE + WINDOW + 1)

    assert [await thief.guess() for _ in range(FREE_TRIES)] == [0] * FREE_TRIES


async def test_the_right_password_forgives_as_well(thief: Thief) -> None:
    for _ in range(FREE_TRIES - 1):
        await thief.guess()

    await thief.find_out("ADA")

    assert [await thief.guess() for _ in range(FREE_TRIES)] == [0] * FREE_TRIES


async def test_a_right_password_writes_nothing_when_there_is_nothing_to_forgive(
    thief: Thief, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "transaction", lambda: pytest.fail("it wrote"))

    await thief.find_out()


async def test_what_is_typed_as_a_name_is_not_stored(
    thief: Thief, store: SqlStore, tmp_path: Path
) -> None:
    await thief.guess("my secret, typed in the wrong field")

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("boreas.db*"))
    assert b"my secret" not in stored


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
