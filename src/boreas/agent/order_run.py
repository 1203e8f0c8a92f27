"""One order from its first verb to its last word.

Made by runner.py for a new order and again, after the agent was killed, for one that was under way:
verbs that are done are passed over, the one that was under way is entered again.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from boreas.agent.build_slots import BuildSlots
from boreas.agent.handed_on import read_outputs
from boreas.agent.input_files import InputFiles
from boreas.agent.journal import (
    Ending,
    Entry,
    Journal,
    OrderState,
    Reported,
    VerbDone,
    last_word,
)
from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.secret_files import SecretFiles
from boreas.agent.settings import docker_socket
from boreas.agent.workspace import Workspace
from boreas.domain.delivery import masked_values
from boreas.domain.errors import BoreasError, CommandLost, Unavailable
from boreas.domain.orders import DriverKind, OrderBody, Outcome, Verb, VerbOutcome
from boreas.domain.ports import Driver
from boreas.kit.bulkhead import Bulkhead
from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup
from boreas.transport.frames import Report

logger = structlog.get_logger(__name__)

# An order that ran out of time while no agent lived still gets this long to be adopted: its command
# may have ended in time, and then its exit code is the truth.
ADOPTION_SECONDS = 10.0

Tell = Callable[[Report], None]
DriverFor = Callable[[DriverKind], Driver]


class Tools(NamedTuple):
    """What every run of an order needs."""

    journal: Journal
    keepers: Keepers
    layout: Layout
    driver_for: DriverFor
    clock: Clock
    inputs: InputFiles
    secrets: SecretFiles
    build_slots: BuildSlots
    build_cache: str
    tell: Tell
    """A durable report is ready to be sent."""


class OrderRun:
    """Carries out one order. `run` returns when its last report is durable."""

    def __init__(self, state: OrderState, body: OrderBody, tools: Tools) -> None:
        self._state = state
        self._body = body
        self._tools = tools
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """The cancel stands in the journal; stop as soon as possible."""
        self._cancelled.set()

    async def run(self) -> None:
        """Do the verbs within the time, obey a cancel, say the last word."""
        try:
            bench = self._open_bench()
        except OSError as error:
            ending = Ending(Outcome.FAILED, f"the node says: {error}")
            await self._report(last_word(self._state, ending, at=self._now()))
            return
        try:
            ending = await self._until_end(bench)
            await self._finish(_without_secrets(ending, bench), bench)
        finally:
            bench.close()

    def _open_bench(self) -> Workspace:
        return Workspace(
            order=self._body,
            scope=self._state.scope,
            layout=self._tools.layout,
            keepers=self._tools.keepers,
            secrets=self._tools.secrets.read(self._body.order_id),
        )

    async def _until_end(self, bench: Workspace) -> Ending:
        if self._cancel_asked:
            return await self._stopped(bench)
        adopted = bool(self._state.reports)
        if not adopted:
            await self._report(self._news("started"), *self._verb_begins(0))
        seconds = self._seconds_left(adopted=adopted)
        async with TaskGroup(f"order {self._body.order_id}") as tasks:
            work = tasks.start(lambda: self._verbs(bench), name="verbs")
            stop = tasks.start(self._cancelled.wait, name="cancel")
            await asyncio.wait({work, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            work.cancel()
            await asyncio.wait({work})
        return await self._stopped(bench)

    async def _stopped(self, bench: Workspace) -> Ending:
        """Everything the order started is gone when this returns."""
        cancel = self._tools.journal.cancels.get(self._body.order_id)
        grace = cancel.grace_seconds if cancel else self._body.cancel_grace_seconds
        await bench.stop_all(grace=grace)
        if cancel:
            reason = cancel.reason or "cancelled"
            await bench.say(f"Stopped: {reason}")
            return Ending(Outcome.CANCELLED, reason)
        reason = f"took longer than {self._body.timeout_seconds:g} s and was stopped"
        await bench.say(f"The order {reason}.")
        return Ending(Outcome.FAILED, reason)

    async def _verbs(self, bench: Workspace) -> Ending:
        order = self._body.order_id
        log = _MaskedLog(bench.masked)
        with Bulkhead(log, "driver failed", action="driver_bug", order=order) as hull:
            return await self._verbs_unless_refused(bench)
        kind = type(hull.fault).__name__
        reason = f"a fault in Boreas itself ({kind}); see the agent's own log"
        return Ending(Outcome.FAILED, reason)

    async def _verbs_unless_refused(self, bench: Workspace) -> Ending:
        try:
            _refuse_without_secrets(bench)
            await self._tools.inputs.fetch(self._body)
            return await self._each_verb(bench)
        except CommandLost as lost:
            return Ending(Outcome.LOST, lost.message)
        except BoreasError as error:
            return Ending(Outcome.FAILED, error.message)
        except OSError as error:
            return Ending(Outcome.FAILED, f"the node says: {error}")

    async def _each_verb(self, bench: Workspace) -> Ending:
        result, exit_code = self._so_far()
        last = len(self._body.verbs) - 1
        for index in range(len(self._state.verbs_done), len(self._body.verbs)):
            outcome = await self._one_verb(self._body.verbs[index], bench)
            result |= outcome.result
            exit_code = exit_code if outcome.exit_code is None else outcome.exit_code
            if not outcome.ok:
                return Ending(Outcome.FAILED, outcome.reason, exit_code, result)
            if index < last:
                await self._next_verb(index, outcome, bench)
        return Ending(Outcome.SUCCESS, None, exit_code, result)

    def _so_far(self) -> tuple[dict[str, Any], int | None]:
        result: dict[str, Any] = {}
        exit_code = None
        for done in self._state.verbs_done:
            result |= done.result
            exit_code = exit_code if done.exit_code is None else done.exit_code
        return result, exit_code

    async def _one_verb(self, verb: Verb, bench: Workspace) -> VerbOutcome:
        if verb is Verb.RUN:
            return await _run_command(bench, self._tools.layout)
        if verb is Verb.BUILD:
            return await self._build(bench)
        return await self._driven(verb, bench)

    async def _driven(self, verb: Verb, bench: Workspace) -> VerbOutcome:
        if self._body.release is None:
            return VerbOutcome(ok=False, reason=f"the order names no release to {verb}")
        driver = self._tools.driver_for(self._body.release.driver)
        acts = {
            Verb.STAGE: driver.stage,
            Verb.CHECK_STAGED: driver.check_staged,
            Verb.ACTIVATE: driver.activate,
            Verb.CHECK: driver.check,
            Verb.REVERT: driver.revert,
            Verb.RETIRE: driver.retire,
            Verb.OBSERVE: driver.observe,
        }
        return await acts[verb](bench)

    async def _build(self, bench: Workspace) -> VerbOutcome:
        from boreas.drivers.build import Builder  # most nodes never build

        async with self._tools.build_slots.taken(bench):
            engine = f"unix://{docker_socket()}"
            return await Builder(engine=engine, keeps=self._tools.build_cache).build(bench)

    async def _next_verb(self, index: int, outcome: VerbOutcome, bench: Workspace) -> None:
        done = VerbDone(
            order_id=self._body.order_id,
            verb=self._body.verbs[index],
            exit_code=outcome.exit_code,
            result=masked_values(dict(outcome.result), bench.masked),
        )
        await self._report(*self._verb_begins(index + 1), after=(done,))

    def _verb_begins(self, index: int) -> tuple[Report, ...]:
        ahead = 0 if self._state.reports else 1  # `started` stands before the first one
        verbs = self._body.verbs[index : index + 1]
        return tuple(self._news("verb", verb=verb, ahead=ahead) for verb in verbs)

    def _news(self, kind: str, *, verb: Verb | None = None, ahead: int = 0) -> Report:
        return Report(
            order_id=self._body.order_id,
            sequence=self._state.next_sequence + ahead,
            kind=kind,
            at=self._now(),
            verb=verb.value if verb else None,
        )

    async def _finish(self, ending: Ending, bench: Workspace) -> None:
        bench.spool.note_drops()
        bench.spool.sync()
        report = last_word(self._state, ending, at=self._now(), log_bytes=bench.spool.size())
        await self._report(report)

    async def _report(self, *reports: Report, after: tuple[Entry, ...] = ()) -> None:
        await self._tools.journal.write(*after, *(Reported(report=report) for report in reports))
        for report in reports:
            self._tools.tell(report)

    @property
    def _cancel_asked(self) -> bool:
        return self._body.order_id in self._tools.journal.cancels

    def _seconds_left(self, *, adopted: bool) -> float:
        if not adopted:
            return self._body.timeout_seconds
        used = max(0.0, self._now() - self._state.reports[0].at)
        return max(ADOPTION_SECONDS, self._body.timeout_seconds - used)

    def _now(self) -> float:
        return self._tools.clock.now().timestamp()


class _MaskedLog:
    """The agent's own log, for faults whose words may tell what a driver had in its hands."""

    def __init__(self, masked: Callable[[str], str]) -> None:
        self._masked = masked

    def exception(self, event: str, /, **fields: object) -> None:
        fault = fields.pop("exc_info")
        assert isinstance(fault, BaseException)
        told = "".join(traceback.format_exception(fault))
        logger.error(event, exception=self._masked(told), **fields)


def _refuse_without_secrets(bench: Workspace) -> None:
    """Never run a command without what it was promised: a half-empty login may do harm."""
    order = bench.order
    missing = [name for name in order.secret_variables if name not in bench.secrets.variables]
    missing += [use for use in order.credentials if use not in bench.secrets.credentials]
    if missing:
        names = ", ".join(sorted(missing))
        raise Unavailable(
            f"the secrets of this order are not on the node any more ({names}): retry"
        )


def _without_secrets(ending: Ending, bench: Workspace) -> Ending:
    """What the server, its database and everybody who reads it may know."""
    reason = None if ending.reason is None else bench.masked(ending.reason)
    result = None if ending.result is None else masked_values(ending.result, bench.masked)
    return ending._replace(reason=reason, result=result)


async def _run_command(bench: Workspace, layout: Layout) -> VerbOutcome:
    """The task's own bash, from a file: neither its text nor a secret in it is in any argv."""
    order = bench.order
    if order.command is None:
        return VerbOutcome(ok=False, reason="the order has no command to run")
    script = layout.order_dir(order.order_id) / "command"
    if not script.exists():
        script.touch(mode=0o600)
        script.write_text(order.command, errors="surrogateescape")
    code = await bench.run("run", ("/bin/bash", str(script)), tell_secrets=True)
    reason = None if code == 0 else f"the command ended with exit code {code}"
    outputs = read_outputs(layout.outputs(order.order_id), bench.masked)
    result = {"outputs": outputs} if outputs else {}
    return VerbOutcome(ok=code == 0, reason=reason, exit_code=code, result=result)
