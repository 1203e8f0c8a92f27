"""Enrol tokens, users, sessions, API tokens, guesses, idempotency keys, facts."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from boreas.domain.access import ApiToken, Session, User
from boreas.domain.errors import Conflict, Unauthenticated, Unavailable
from boreas.domain.fleet import EnrolToken
from boreas.store.idempotency import StoredAnswer

HOUR = timedelta(hours=1)


@pytest.fixture
def now(scene):
    return scene.version.created_at


async def a_token(scene, now, uses=1):
    token = EnrolToken(
        id="enr_1",
        secret_sha256="hash-of-it",
        labels={"zone": "a"},
        uses_left=uses,
        created_at=now,
        expires_at=now + HOUR,
    )
    async with scene.store.transaction() as tx:
        return await tx.enrol_tokens.add(token)


async def use(scene, now):
    async with scene.store.transaction() as tx:
        return await tx.enrol_tokens.use("hash-of-it", now)


async def test_of_a_hundred_uses_at_once_one_passes(scene, now):
    await a_token(scene, now)

    answers = await asyncio.gather(*(use(scene, now) for _ in range(100)), return_exceptions=True)

    passed = [answer for answer in answers if isinstance(answer, EnrolToken)]
    assert len(passed) == 1
    assert passed[0].labels == {"zone": "a"}
    others = {type(answer) for answer in answers if not isinstance(answer, EnrolToken)}
    assert others <= {Unauthenticated, Unavailable}


async def test_a_token_may_be_used_as_often_as_it_says_and_not_after_its_time(scene, now):
    await a_token(scene, now, uses=2)

    assert (await use(scene, now)).uses_left == 1
    with pytest.raises(Unauthenticated):
        await use(scene, now + HOUR)
    assert (await use(scene, now)).uses_left == 0
    with pytest.raises(Unauthenticated):
        await use(scene, now)


async def test_a_use_is_undone_with_its_transaction(scene, now):
    await a_token(scene, now)

    async def fail():
        async with scene.store.transaction() as tx:
            await tx.enrol_tokens.use("hash-of-it", now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await use(scene, now)).uses_left == 0


async def a_user(scene, now):
    user = User(
        id="usr_1", username="ada", password_hash="$argon2$x", is_admin=True, created_at=now
    )
    async with scene.store.transaction() as tx:
        return await tx.users.add(user)


async def test_users_are_known_by_their_unique_name(scene, now):
    async with scene.store.reading() as tx:
        assert await tx.users.count() == 0
    user = await a_user(scene, now)

    async with scene.store.reading() as tx:
        assert await tx.users.count() == 1
        assert await tx.users.named("ada") == user
    with pytest.raises(Conflict) as refused:
        async with scene.store.transaction() as tx:
            await tx.users.add(replace(user, id="usr_2"))
    assert refused.value.fields[0].field == "username"


async def test_sessions_live_until_they_end(scene, now):
    user = await a_user(scene, now)
    sessions = [
        Session(
            id_sha256=f"s{n}",
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + HOUR,
        )
        for n in range(3)
    ]
    async with scene.store.transaction() as tx:
        for session in sessions:
            await tx.sessions.add(session)
        await tx.sessions.touch("s1", seen_at=now + HOUR, expires_at=now + 2 * HOUR)
        await tx.sessions.touch("nobody", seen_at=now, expires_at=now)
        await tx.sessions.remove_expired(now + HOUR)

    async with scene.store.transaction() as tx:
        left = await tx.sessions.all(within=user.id)
        await tx.sessions.remove_of(user.id, but="s1")
        assert await tx.sessions.find("s1") is not None
        await tx.sessions.remove_of(user.id)
        assert await tx.sessions.find("s1") is None

    assert [session.id_sha256 for session in left] == ["s1"]
    assert left[0].last_seen_at == now + HOUR
    assert left[0].expires_at == now + 2 * HOUR


async def test_tokens_are_found_by_their_hash_and_go_with_their_user(scene, now):
    user = await a_user(scene, now)
    token = ApiToken(id="tok_1", user_id=user.id, name="ci", secret_sha256="h", created_at=now)
    async with scene.store.transaction() as tx:
        await tx.api_tokens.add(token)
        await tx.api_tokens.add(replace(token, id="tok_2", secret_sha256="h2"))
        await tx.api_tokens.touch("tok_1", now)

    async with scene.store.reading() as tx:
        assert await tx.api_tokens.named("h") == replace(token, last_used_at=now)
        assert await tx.api_tokens.named("nothing") is None
    async with scene.store.transaction() as tx:
        await tx.users.remove(user.id)
        assert await tx.api_tokens.named("h") is None


async def test_guesses_are_counted_until_a_success_or_a_long_pause(scene, now):
    async def fail(at):
        async with scene.store.transaction() as tx:
            return (await tx.login_attempts.failed("ada", at, forget_after=HOUR)).failures

    counted = [await fail(now), await fail(now), await fail(now + 3 * HOUR)]
    assert counted == [1, 2, 1]

    async with scene.store.transaction() as tx:
        assert (await tx.login_attempts.of("ada")).last_failed_at == now + 3 * HOUR
        await tx.login_attempts.clear("ada")
        assert await tx.login_attempts.of("ada") is None


async def test_guesses_at_the_same_time_are_all_counted(scene, now):
    async def fail():
        async with scene.store.transaction() as tx:
            await tx.login_attempts.failed("ada", now, forget_after=HOUR)

    await asyncio.gather(*(fail() for _ in range(20)))

    async with scene.store.reading() as tx:
        assert (await tx.login_attempts.of("ada")).failures == 20


async def test_the_same_request_twice_is_answered_the_same(scene, now):
    answer = StoredAnswer(status=201, body=b'{"id": 1}\x00')
    async with scene.store.transaction() as tx:
        assert await tx.idempotency.recall("ada", "k1", "f1") is None
        await tx.idempotency.keep("ada", "k1", "f1", answer, now)

    async with scene.store.transaction() as tx:
        assert await tx.idempotency.recall("ada", "k1", "f1") == answer
        assert await tx.idempotency.recall("bob", "k1", "f1") is None
        with pytest.raises(Conflict):
            await tx.idempotency.recall("ada", "k1", "f2")
        await tx.idempotency.remove_older(now + HOUR)
        assert await tx.idempotency.recall("ada", "k1", "f1") is None


async def test_the_same_key_at_the_same_time_is_done_once(scene, now):
    done = []

    async def request(n):
        async with scene.store.transaction() as tx:
            known = await tx.idempotency.recall("ada", "k", "f")
            if known is not None:
                return known
            done.append(n)
            answer = StoredAnswer(status=201, body=str(n).encode())
            await tx.idempotency.keep("ada", "k", "f", answer, now)
            return answer

    answers = await asyncio.gather(*(request(n) for n in range(8)))

    assert len(done) == 1
    assert len(set(answers)) == 1


async def test_facts_of_the_installation_are_kept(scene):
    async with scene.store.transaction() as tx:
        await tx.meta.put("setup", "open")
        await tx.meta.put("setup", "done")
    async with scene.store.reading() as tx:
        assert await tx.meta.get("setup") == "done"
        assert await tx.meta.get("nothing") is None
    async with scene.store.transaction() as tx:
        await tx.meta.remove("setup")
        assert await tx.meta.get("setup") is None
