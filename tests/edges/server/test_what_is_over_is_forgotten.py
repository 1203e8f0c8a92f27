"""Housekeeping: the tables do not grow for ever."""

from datetime import timedelta

from boreas.domain.access import Session, User
from boreas.domain.ids import UserId
from boreas.kit.clock import VirtualClock
from boreas.server.housekeeping import ANSWERS_KEPT, forget_what_is_over
from boreas.store.idempotency import StoredAnswer
from boreas.testing.memory_store import MemoryStore


async def test_ended_sessions_and_old_answers_are_forgotten_and_young_ones_kept() -> None:
    clock, store = VirtualClock(), MemoryStore()
    now = clock.now()
    answer = StoredAnswer(status=201, body=b"{}")
    async with store.transaction() as tx:
        await tx.users.add(User(id=UserId("u"), username="u", created_at=now))
        for name, ends in (("ended", now), ("young", now + timedelta(days=30))):
            await tx.sessions.add(
                Session(
                    id_sha256=name,
                    user_id=UserId("u"),
                    created_at=now,
                    last_seen_at=now,
                    expires_at=ends,
                )
            )
        await tx.idempotency.keep("u", "old", "f", answer, now)
        await tx.idempotency.keep("u", "young", "f", answer, now + ANSWERS_KEPT)

    await clock.advance(ANSWERS_KEPT.total_seconds() + 1)
    await forget_what_is_over(store, clock)  # type: ignore[arg-type]  # the double

    async with store.reading() as tx:
        assert await tx.sessions.find("ended") is None
        assert await tx.sessions.find("young") is not None
        assert await tx.idempotency.recall("u", "old", "f") is None
        assert await tx.idempotency.recall("u", "young", "f") == answer
