"""The group commit: claim, load, decide, save, then send.

One loop per server. Each round writes the news that came in, decides every deployment that is due,
and writes what starts, all in one transaction; only after the commit is anything sent or
acknowledged. Level-triggered: a hint that is lost delays a decision, it never falsifies one.
Any server may run a round for any deployment: the row lock of the claim is the only ownership.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from boreas.domain.errors import Conflict, NoSpace, Unavailable
from boreas.domain.events import Changed, ExecutionReport
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import DeploymentId
from boreas.engine.decide import decide
from boreas.engine.reports import apply_reports
from boreas.engine.snapshot import Admission, Decision, Snapshot
from boreas.kit.bulkhead import Bulkhead
from boreas.kit.clock import Clock
from boreas.kit.until import Hint
from boreas.kit.values import replace
from boreas.runtime.membership import Membership
from boreas.runtime.news import News, NewsDesk
from boreas.runtime.order_bodies import outbox_rows, releases_needed, with_image
from boreas.runtime.ports import (
    CHANNEL_AGENTS,
    CHANNEL_CHANGED,
    CHANNEL_DUE,
    CHANNEL_OUTBOX,
    Loaded,
    OutboxRow,
    Store,
    Transaction,
)

log = structlog.get_logger(__name__)

# Enough that 200 busy deployments share one fsync; few enough that one round stays well under the
# 250 ms that a task's successor may wait.
MOST_PER_ROUND = 100
LONGEST_NAP_SECONDS = 30.0
REST_AFTER_OUTAGE_SECONDS = 0.5
REST_AFTER_RACE_SECONDS = 0.05
BROKEN_DEPLOYMENT_REST = timedelta(seconds=60)


class Post(Protocol):
    """Where committed promises go: the gateway, which knows who hangs on this server."""

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Send these to their agents if they are here; other servers were told by NOTIFY."""
        ...


@dataclass(slots=True)
class Round:
    """What one transaction did, to be acted upon after its commit."""

    now: datetime
    sent: list[OutboxRow] = field(default_factory=list)
    next_wake: datetime | None = None
    full: bool = False
    """More deployments were due than one round takes."""
    unread: set[DeploymentId] = field(default_factory=set)
    """Their reports could not be applied: not acknowledged, so that the agents keep them."""


class Loop:
    """Runs rounds until cancelled."""

    def __init__(self, *, store: Store, membership: Membership, clock: Clock) -> None:
        self._store = store
        self._membership = membership
        self._clock = clock
        self._hint = Hint()
        self.news = NewsDesk(self._hint)
        self._last_round = clock.monotonic()

    def wake(self) -> None:
        """Something may be due."""
        self._hint.raise_()

    def is_alive(self) -> bool:
        """Rounds went well lately."""
        return self._clock.monotonic() - self._last_round < 2 * LONGEST_NAP_SECONDS

    async def run(self, post: Post) -> None:
        """Rounds for ever: on every hint, and when the next timer rings."""
        nap = 0.0
        while True:
            await self._hint.wait(at_most=nap)
            nap = await self._round_or_rest(post)

    async def listen(self) -> None:
        """Look again whenever any server says that something is due."""
        async for _ in self._store.listen(CHANNEL_DUE):
            self.wake()

    async def _round_or_rest(self, post: Post) -> float:
        """One round; the answer is how long to sleep at most before the next."""
        news = self.news.take()
        try:
            done = await self._round(news)
        except (Unavailable, NoSpace) as outage:
            self.news.give_back(news)
            log.warning("round failed, trying again", action="round_failed", reason=outage.message)
            await self._clock.sleep(REST_AFTER_OUTAGE_SECONDS)
            return 0.0
        except Conflict as conflict:
            self.news.give_back(news)
            log.warning("round lost a race", action="round_conflict", reason=conflict.message)
            await self._membership.ensure()
            await self._clock.sleep(REST_AFTER_RACE_SECONDS)
            return 0.0
        self._last_round = self._clock.monotonic()
        self._settle(news, done)
        post.deliver(done.sent)
        return self._nap_after(done)

    async def _round(self, news: News) -> Round:
        done = Round(now=self._clock.now())
        async with self._store.transaction() as tx:
            await self._membership.check(tx)
            await self._write_fleet_news(tx, news, done.now)
            reports = _by_deployment(news)
            claimed = dict.fromkeys(await tx.work.claim(reports.keys()) if reports else ())
            due = await tx.work.claim_due(done.now, limit=MOST_PER_ROUND)
            done.full = len(due) == MOST_PER_ROUND
            claimed |= dict.fromkeys(due)
            loaded = await tx.work.load(list(claimed), done.now) if claimed else {}
            in_order = [loaded[deployment_id] for deployment_id in claimed]
            await self._advance(tx, in_order, reports, done)
            done.next_wake = await tx.work.earliest_wake()
        return done

    async def _write_fleet_news(self, tx: Transaction, news: News, now: datetime) -> None:
        if news.taken:
            await tx.outbox.taken(news.taken)
        if news.beats:
            await tx.links.seen(news.beats, now)
        me = self._membership.server_id
        for arrival, _ in news.arrivals:
            await tx.links.connected(
                arrival.agent_id,
                server_id=me,
                address=arrival.address,
                transport=arrival.transport,
                now=now,
            )
        if news.departures:
            await tx.links.disconnected(news.departures, server_id=me, now=now)
        moved = {a.agent_id for a, _ in news.arrivals} | set(news.departures)
        if moved:
            await tx.work.wake_for_agents(moved, now)
        for agent_id in moved | {a for a, facts in news.beats.items() if facts}:
            await tx.announce(CHANNEL_AGENTS, agent_id)

    async def _advance(
        self,
        tx: Transaction,
        claimed: Sequence[Loaded],
        reports: Mapping[DeploymentId, Sequence[ExecutionReport]],
        done: Round,
    ) -> None:
        """Carry each as far as it goes now; those that want their locks come last, together."""
        wanting: list[tuple[Loaded, Decision]] = []
        for loaded in claimed:
            snapshot = loaded.snapshot
            told = Decision(next=snapshot.deployment)
            if news := reports.get(snapshot.deployment.id):
                told = _told(told, news, done)
                snapshot = _after(snapshot, told, done.now)
            decision = _decided(snapshot, told, done.now)
            if decision.wants_admission:
                wanting.append((loaded, decision))
            else:
                await self._save(tx, loaded, decision, done)
        if wanting:
            await self._admit(tx, wanting, done)

    async def _admit(
        self, tx: Transaction, wanting: list[tuple[Loaded, Decision]], done: Round
    ) -> None:
        """Try to take the locks of each in the order of the queue, then go on with all of them."""
        granted: list[tuple[Loaded, Decision, Admission]] = []
        for loaded, decision in sorted(wanting, key=lambda it: it[1].next.number):
            admission = await tx.work.try_admit(decision.next, done.now)
            if admission.granted:
                granted.append((loaded, decision, admission))
            else:
                # Saved at once: the next one asks who is queued before it.
                await self._save(tx, loaded, _admitted(loaded, decision, admission, done), done)
        # Whoever held the locks may have ended in this very round: what is live now was written
        # after these were loaded, and is what they would go back to.
        ids = [decision.next.id for _, decision, _ in granted]
        fresh = await tx.work.load(ids, done.now) if ids else {}
        for loaded, decision, admission in granted:
            now_live = fresh[decision.next.id]
            after = _admitted(now_live, decision, admission, done)
            await self._save(tx, loaded, after, done)

    async def _save(self, tx: Transaction, loaded: Loaded, decision: Decision, done: Round) -> None:
        before, now = loaded.snapshot.deployment, done.now
        if decision.take_fence:
            fence = await tx.work.next_fence()
            decision = replace(decision, next=replace(decision.next, fence=fence))
        after = decision.next
        await tx.work.save(before, after, wake_at=decision.wake_at, now=now)
        if decision.live:
            await tx.work.change_live(after, decision.live, now)
        if decision.built:
            await tx.work.add_images(after, decision.built, now)
        if decision.notices:
            await tx.work.add_events(after.id, decision.notices, now)
        if decision.release_locks:
            await tx.work.release_locks(after, now)
        if after is not before:
            changed = Changed(
                deployment_id=after.id, revision=before.revision + 1, state=after.state
            )
            await tx.announce(CHANNEL_CHANGED, changed.payload())
        if decision.orders or decision.cancels:
            await self._promise(tx, loaded, decision, done)

    async def _promise(
        self, tx: Transaction, loaded: Loaded, decision: Decision, done: Round
    ) -> None:
        bodies = await tx.work.release_bodies(releases_needed(decision))
        to_build = [id_ for id_, body in bodies.items() if body.build is not None]
        images = await tx.work.images_of(to_build) if to_build else {}
        releases = {id_: with_image(body, images.get(id_)) for id_, body in bodies.items()}
        rows = await tx.outbox.put(outbox_rows(decision, loaded, releases))
        for agent_id in {row.agent_id for row in rows}:
            await tx.announce(CHANNEL_OUTBOX, f"{agent_id} {self._membership.server_id}")
        done.sent.extend(rows)

    def _settle(self, news: News, done: Round) -> None:
        """The commit stands: now acknowledge."""
        for report, settled in news.reports:
            if deployment_of(report.order_id) not in done.unread:
                settled()
        for _, written in news.arrivals:
            if not written.done():
                written.set_result(None)

    def _nap_after(self, done: Round) -> float:
        if done.full:
            return 0.0
        if done.next_wake is None:
            return LONGEST_NAP_SECONDS
        until_wake = (done.next_wake - self._clock.now()).total_seconds()
        return min(max(until_wake, 0.0), LONGEST_NAP_SECONDS)


def deployment_of(order_id: str) -> DeploymentId:
    """Order ids are `<deployment>.<ordinal>#<attempt>`."""
    return DeploymentId(order_id.rsplit(".", 1)[0])


def _by_deployment(news: News) -> Mapping[DeploymentId, Sequence[ExecutionReport]]:
    reports: dict[DeploymentId, list[ExecutionReport]] = {}
    for report, _ in news.reports:
        reports.setdefault(deployment_of(report.order_id), []).append(report)
    return reports


def _told(first: Decision, reports: Sequence[ExecutionReport], done: Round) -> Decision:
    """What the reports come to; nothing, and a word in the log, if the engine fails over them."""
    with Bulkhead(log, "cannot apply", action="reports_failed", deployment=first.next.id):
        return apply_reports(first.next, reports, done.now)
    done.unread.add(first.next.id)
    return first


def _decided(snapshot: Snapshot, first: Decision, now: datetime) -> Decision:
    """What the moment comes to; the first alone, and a word in the log, if the engine fails.

    What agents told is kept in any case: they forget it once the round is committed.
    """
    with Bulkhead(log, "cannot decide", action="decide_failed", deployment=first.next.id):
        return _joined(first, decide(snapshot, now))
    return replace(first, wants_admission=False, wake_at=now + BROKEN_DEPLOYMENT_REST)


def _admitted(loaded: Loaded, decision: Decision, admission: Admission, done: Round) -> Decision:
    """What follows from how it stands in the queue."""
    snapshot = replace(loaded.snapshot, deployment=decision.next, admission=admission)
    return _decided(snapshot, decision, done.now)


def _after(snapshot: Snapshot, decision: Decision, now: datetime) -> Snapshot:
    """The world as it is once this decision stands."""
    live = dict(snapshot.live)
    for change in decision.live:
        live[change.application_id, change.target_id] = LiveRecord(
            application_id=change.application_id,
            target_id=change.target_id,
            release_id=change.release_id,
            uncertain_release_id=change.uncertain_release_id,
            deployment_id=decision.next.id,
            since=now,
        )
    return replace(snapshot, deployment=decision.next, live=live)


def _joined(first: Decision, second: Decision) -> Decision:
    """Both decisions of one moment as one: the second stands on the first."""
    return replace(
        second,
        orders=first.orders + second.orders,
        cancels=first.cancels + second.cancels,
        live=first.live + second.live,
        built=first.built + second.built,
        notices=first.notices + second.notices,
        take_fence=first.take_fence or second.take_fence,
        release_locks=first.release_locks or second.release_locks,
    )
