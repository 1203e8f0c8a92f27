"""People: they create, start, answer, change their minds and edit, each in its own transaction.

Done as the API does it: lock, load, ask the engine, save, make it due. A refusal is a fine answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from boreas.domain.deployments import TERMINAL, Deployment, GateState
from boreas.domain.errors import BoreasError
from boreas.domain.ids import DeploymentId
from boreas.domain.workflow import TaskRequest
from boreas.engine import edit, people, people_targets, successor
from boreas.engine.plan import Ground, PlannedApplication, lay_out
from boreas.engine.snapshot import Decision
from boreas.testing.simulate import world as worlds
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import run_now
from boreas.testing.simulate.ledger import Ledger, Version
from boreas.testing.simulate.transaction import SimTransaction
from boreas.testing.simulate.weather import Weather

Wish = Callable[[Deployment], Decision]


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Everybody who may click."""

    dice: Dice
    ledger: Ledger
    world: worlds.World
    grounds: dict[DeploymentId, Ground] = field(default_factory=dict)

    # --- making deployments --------------------------------------------------------------------

    def ask_for_one(self) -> str:
        """A new deployment of some version into some environment."""
        place = self.dice.pick(self.world.environments)
        apps = self.dice.shuffled(self.world.apps)[: self.dice.whole(1, len(self.world.apps))]
        version = self._version()
        number = self.ledger.counters.get("deployments", 0) + 1
        releases = [worlds.release_of(app, version.name, number) for app in apps]
        planned = tuple(
            PlannedApplication(id=app.id, name=app.id, release=view, targets=place.targets)
            for app, (_, view) in zip(apps, releases, strict=True)
        )
        ground = Ground(applications=planned, targets=place.targets, live=dict(self.ledger.live))
        request = worlds.request_of(self.dice, self.world, place, planned, number)
        try:
            deployment = lay_out(request, ground, self.ledger.clock.now())
        except BoreasError as refused:
            return f"is refused a plan: {refused.message}"
        self.grounds[deployment.id] = ground
        self.ledger.create(deployment, version, {it[1].id: it for it in releases})
        self.world.asked += 1
        return f"asks for {deployment.id} of {version.name}"

    def _version(self) -> Version:
        if self.world.versions and self.dice.chance(0.15):
            sequence = self.dice.whole(1, self.world.versions)
        else:
            self.world.versions += 1
            sequence = self.world.versions
        return Version(name=f"v{sequence}", sequence=sequence)

    def ask_for_successor(self) -> str:
        """Retry a finished deployment as a new one, or roll it back."""
        ended = [it for it in self.ledger.deployments.values() if it.state in TERMINAL]
        if not ended:
            return "finds nothing finished"
        old = self.dice.pick(ended)
        make = self.dice.pick((successor.retry_of, successor.rollback_of))
        number = self.ledger.counters.get("deployments", 0) + 1
        new = successor.NewDeployment(
            id=DeploymentId(f"d{number}"),
            number=number,
            by=self.dice.pick(worlds.PEOPLE),
            now=self.ledger.clock.now(),
            live=dict(self.ledger.live),
            target_names=self.ledger.target_names,
        )
        try:
            deployment = make(old, new)
        except BoreasError as refused:
            return f"is refused {make.__name__} {old.id}: {refused.message}"
        self.grounds[deployment.id] = self.grounds[old.id]
        # It points at the releases of the first one; they are not stored again.
        self.ledger.create(deployment, self.ledger.versions[old.id], {})
        return f"asks for {deployment.id} as {make.__name__} {old.id}"

    # --- wishes about one ----------------------------------------------------------------------

    def act(self, weather: Weather) -> str:
        """Somebody does something to some open deployment."""
        open_ = self.ledger.open_deployments()
        if not open_:
            return "finds nothing to do"
        deployment = self.dice.pick(open_)
        by = self.dice.pick(worlds.PEOPLE)
        name, wish = self._friendly(deployment, by)
        if self.dice.chance(weather.mischief):
            name, wish = self._mischief(deployment, by, weather)
        return self.wish(deployment, f"{by} {name}", wish)

    def wish(self, deployment: Deployment, words: str, wish: Wish) -> str:
        """One wish in one transaction, as the API does it."""
        return run_now(self._wish(deployment, words, wish))

    async def _wish(self, deployment: Deployment, words: str, wish: Wish) -> str:
        now = self.ledger.clock.now()
        tx: SimTransaction
        async with self.ledger.transaction() as tx:
            try:
                decision = wish(deployment)
            except BoreasError as refused:
                return f"{words} {deployment.id}: refused, {refused.message}"
            await tx.work.save(deployment, decision.next, wake_at=now, now=now)
            await tx.work.change_live(decision.next, decision.live, now)
            await tx.work.wake([deployment.id], now)
        return f"{words} {deployment.id}"

    def _friendly(self, deployment: Deployment, by: str) -> tuple[str, Wish]:
        now = self.ledger.clock.now()
        if not deployment.started:
            return "start", lambda it: people.start(it, by, now=now)
        if deployment.paused_at is not None:
            return "resume", lambda it: people.resume(it, by, now=now)
        gates = [it.id for it in deployment.gates if it.state is GateState.OPEN]
        if gates:
            gate = self.dice.pick(gates)
            return f"confirm {gate}", lambda it: people.confirm(it, by, now=now, gate_id=gate)
        return "confirm", lambda it: people.confirm(it, by, now=now)

    def agree(self, deployment: Deployment) -> str | None:
        """Whatever is still waited for is agreed to, by as many people as it takes."""
        now = self.ledger.clock.now()
        gate = next((it for it in deployment.gates if it.state is GateState.OPEN), None)
        if not deployment.started or deployment.paused_at is not None:
            name, wish = self._friendly(deployment, "dan")
            return self.wish(deployment, name, wish)
        if gate is None or now >= gate.expires_at:
            return None
        by = f"approver{len(gate.answers)}"
        return self.wish(
            deployment,
            f"confirm {gate.id}",
            lambda it: people.confirm(it, by, now=now, gate_id=gate.id),
        )

    def _mischief(self, deployment: Deployment, by: str, weather: Weather) -> tuple[str, Wish]:
        if self.dice.chance(weather.edits) and deployment.admitted_at is None:
            return self._edit(deployment, by)
        now = self.ledger.clock.now()
        if not deployment.tasks:
            return "cancel", lambda it: people.cancel(it, by, now=now)
        task = self.dice.pick(deployment.tasks).id
        target = self.dice.pick(deployment.executions).target_id if deployment.executions else None
        choices: list[tuple[float, tuple[str, Wish]]] = [
            (1, ("reject", lambda it: people.reject(it, by, now=now))),
            (1, ("cancel", lambda it: people.cancel(it, by, now=now))),
            (1, ("cancel+back", lambda it: people.cancel(it, by, now=now, rollback=True))),
            (2, ("pause", lambda it: people.pause(it, by, now=now))),
            (2, ("resume", lambda it: people.resume(it, by, now=now))),
            (1, ("rollback", lambda it: people.rollback(it, by, now=now))),
            (2, ("retry", lambda it: people_targets.retry_failed(it, by, now=now))),
            (
                2,
                (
                    f"retry {task}",
                    lambda it: people_targets.retry_failed(it, by, now=now, task_id=task),
                ),
            ),
            (1, (f"skip {task}", lambda it: people_targets.skip_task(it, task, by, now=now))),
        ]
        if target is not None:
            choices.append(
                (
                    1,
                    (
                        f"ignore {target}",
                        lambda it: people_targets.ignore_target(it, target, by, now=now),
                    ),
                )
            )
        choices.append((1, self._edit(deployment, by)))
        return self.dice.weighted(choices)

    def _edit(self, deployment: Deployment, by: str) -> tuple[str, Wish]:
        ground = replace(self.grounds[deployment.id], live=dict(self.ledger.live))
        now, expected = self.ledger.clock.now(), deployment.workflow_revision
        if self.dice.chance(0.1):
            expected -= 1
        requests = [edit.request_of(it) for it in deployment.tasks]
        at = self.dice.whole(0, len(requests) - 1) if requests else 0
        match self.dice.whole(0, 2) if requests else 0:
            case 0:
                new = self._new_task(deployment, ground, len(requests))
                requests.insert(at, new)
            case 1:
                del requests[at : at + 1]
            case _:
                before = tuple({self.dice.pick(requests).id: None for _ in range(2)})
                requests[at] = replace(requests[at], block_by=before)
        return "edit", lambda it: edit.edit_workflow(
            it, requests, by, ground=ground, expected=expected, now=now
        )

    def _new_task(self, deployment: Deployment, ground: Ground, count: int) -> TaskRequest:
        place = worlds.Place(
            id=deployment.environment_id,
            policy=self.ledger.policies[deployment.environment_id],
            targets=ground.targets,
        )
        ids = deployment.application_ids
        return worlds.tasks_of(self.dice, ids, place, first=count + 20, most=1)[0]
