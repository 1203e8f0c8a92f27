"""One run: a world, a weather, and steps until everything has come to its end.

`play` first lets anything happen, then lets everybody behave: agents come back, people agree, time
goes on. After each step the laws are asked. The first breach ends the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from boreas.domain.deployments import Deployment
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import DeploymentId
from boreas.engine.transitions import IllegalTransition
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import SimClock
from boreas.testing.simulate.happenings import Act, Happenings
from boreas.testing.simulate.laws import LAWS, Law
from boreas.testing.simulate.laws_of_the_queue import LAWS_OF_THE_QUEUE
from boreas.testing.simulate.laws_of_truth import LAWS_OF_TRUTH
from boreas.testing.simulate.ledger import AgentRow, Ledger
from boreas.testing.simulate.listening import Ear, listening
from boreas.testing.simulate.moment import Change, History, Moment
from boreas.testing.simulate.truth import Truth
from boreas.testing.simulate.weather import Limits, Weather, weather_of
from boreas.testing.simulate.world import release_of, world_of

ALL_LAWS: tuple[Law, ...] = (*LAWS, *LAWS_OF_THE_QUEUE, *LAWS_OF_TRUTH)
MOST_STEPS_TO_THE_END = 6000
LedgerOf = Callable[..., Ledger]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A law that was broken: where, and in which words."""

    law: str
    step: int
    text: str


@dataclass(slots=True, kw_only=True)
class Played:
    """What a run came to."""

    seed: int
    steps: int
    breach: Breach | None
    fingerprint: int
    """Of all that happened; two runs of one seed have the same."""
    ends: dict[str, int] = field(default_factory=dict)


class Simulation:
    """One seed's run."""

    def __init__(
        self, seed: int, limits: Limits | None = None, *, ledger_of: LedgerOf = Ledger
    ) -> None:
        self.seed = seed
        self.limits = limits or Limits()
        self.dice = Dice(seed)
        self.weather = weather_of(self.dice, self.limits.without)
        self.clock = SimClock()
        self.ledger = ledger_of(clock=self.clock)
        self.truth = Truth()
        self.world = world_of(self.dice)
        self.history = History()
        self.ear = Ear()
        self.steps = 0
        self.fingerprint = 0
        self.trace: list[str] | None = None
        self._seen: dict[DeploymentId, Deployment] = {}
        self._furnish()
        self.ledger.furnish(self.world)
        self.happenings = Happenings(
            dice=self.dice,
            weather=self.weather,
            world=self.world,
            ledger=self.ledger,
            truth=self.truth,
        )

    def _furnish(self) -> None:
        """Write down what exists before the first deployment."""
        tables = self.ledger
        tables.agents = {it: AgentRow(id=it, name=it) for it in self.world.agents}
        tables.application_names = {it.id: str(it.id) for it in self.world.apps}
        for place in self.world.environments:
            tables.policies[place.id] = place.policy
            for target in place.targets:
                tables.target_names[target.id] = target.name
                for app in self.world.apps:
                    self.truth.live[app.id, target.id] = None
                    if app.already_live:
                        body, view = release_of(app, "v0")
                        tables.releases[view.id] = (body, view)
                        self.truth.live[app.id, target.id] = view.id
                        self.history.proven[app.id, target.id] = view.id
                        tables.live[app.id, target.id] = LiveRecord(
                            application_id=app.id,
                            target_id=target.id,
                            release_id=view.id,
                            deployment_id=DeploymentId("d0"),
                            since=self.clock.now(),
                        )

    # --- the run -------------------------------------------------------------------------------

    def play(self) -> Played:
        """From the beginning to the end, or to the first breach."""
        with listening(self.ear):
            breach = self._live() or self._settle()
        ends: dict[str, int] = {}
        for it in self.ledger.deployments.values():
            ends[it.state.value] = ends.get(it.state.value, 0) + 1
        return Played(
            seed=self.seed,
            steps=self.steps,
            breach=breach,
            fingerprint=self.fingerprint,
            ends=ends,
        )

    def _live(self) -> Breach | None:
        for _ in range(self.limits.steps):
            acts = self.happenings.everything_possible()
            if (breach := self._step(self.dice.weighted(acts))) is not None:
                return breach
        return None

    def _settle(self) -> Breach | None:
        """Everybody behaves from now on; then every deployment must come to its end."""
        self.happenings.weather = Weather()
        for _ in range(MOST_STEPS_TO_THE_END):
            act = self.happenings.next_good_deed()
            if act is None:
                return self._judge_the_end()
            if (breach := self._step(act)) is not None:
                return breach
        return self._breach("every_deployment_comes_to_its_end", f"not in {self.steps} steps")

    def _judge_the_end(self) -> Breach | None:
        left = self.ledger.open_deployments()
        if left:
            waits = "; ".join(it.text for it in left[0].waiting_for)
            text = f"{left[0].id} is {left[0].state} for ever: {waits}"
            return self._breach("every_deployment_comes_to_its_end", text)
        if lying := self.happenings.still_lying_about():
            return self._breach("nothing_is_left_on_any_desk", lying[0])
        return None

    def _step(self, act: Act) -> Breach | None:
        self.steps += 1
        self.happenings.committed = False
        try:
            words = act()
        except IllegalTransition as error:
            return self._breach("only_transitions_of_the_tables", str(error))
        except AssertionError as error:
            return self._breach("the_engine_never_fails", repr(error))
        self._note(words)
        if self.ear.heard:
            return self._breach("the_engine_never_fails", self.ear.heard[0])
        return self._ask_the_laws()

    def _note(self, words: str) -> None:
        self.fingerprint = crc32(words.encode(), self.fingerprint)
        if self.trace is not None:
            self.trace.append(f"{self.steps:4d} {self.clock.now():%d %H:%M:%S.%f} {words}")

    def _breach(self, law: str, text: str) -> Breach:
        return Breach(law=law, step=self.steps, text=text)

    def _ask_the_laws(self) -> Breach | None:
        saved, put = list(self.ledger.saved), self.ledger.put
        changes = self._changes(saved)
        moment = Moment(
            now=self.clock.now(),
            ledger=self.ledger,
            truth=self.truth,
            changes=changes,
            put=put,
            after_round=self.happenings.committed,
            history=self.history,
            here=self.happenings.who_is_here(),
        )
        self.history.note(changes)
        if changes:
            self._note_changes(changes)
        self.ledger.saved, self.ledger.put = {}, []
        for law in ALL_LAWS:
            for text in law(moment):
                return self._breach(law.__name__, text)
        return None

    def _changes(self, saved: Sequence[DeploymentId]) -> list[Change]:
        changes = []
        for deployment_id in saved:
            after = self.ledger.deployments[deployment_id]
            changes.append(Change(before=self._seen.get(deployment_id), after=after))
            self._seen[deployment_id] = after
        return changes

    def _note_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.before is not change.after:
                self._note(f"     {_words_of(change)}")


def _words_of(change: Change) -> str:
    after = change.after
    parts = [f"{after.id} {after.state.value}/{after.phase.value} f{after.fence}"]
    if change.before is not None:
        parts += [
            f"{row.id}:{row.kind.value}@{row.target_id}={row.state.value}"
            for _, row in change.changed_rows()
        ]
        parts += [
            f"{task.id}={task.state.value}"
            for task in after.tasks
            if (old := change.was_task(task.id)) is None or old.state is not task.state
        ]
    parts += [it.text for it in after.waiting_for]
    return " | ".join(parts)
