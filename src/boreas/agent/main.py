"""`boreas agent`: puts the parts together and keeps them running until it is told to stop.

Stopping the agent stops no command: keepers go on, and the next agent process adopts them.
"""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from boreas.agent.build_slots import BuildSlots
from boreas.agent.desk import Desk
from boreas.agent.facts import FactsBoard, FactsGatherer
from boreas.agent.input_files import InputFiles
from boreas.agent.journal import Journal
from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.link import Parts
from boreas.agent.lookout import Lookout
from boreas.agent.order_run import DriverFor, Tools
from boreas.agent.records import NotAJournal, RecordFile
from boreas.agent.runner import Runner
from boreas.agent.secret_files import SecretFiles
from boreas.agent.settings import AgentSettings, settings_from
from boreas.agent.uplink import KnownServers, Uplink
from boreas.agent.way import DialledWay, Way
from boreas.domain.errors import BoreasError, Conflict, invalid
from boreas.kit import lean
from boreas.kit.clock import Clock, SystemClock
from boreas.kit.last_words import log_to_stderr
from boreas.kit.tasks import TaskGroup, first_error
from boreas.transport.frames import Report
from boreas.transport.identity import AgentVault
from boreas.transport.refusals import Refusal, ServerNotTrusted

logger = structlog.get_logger(__name__)

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
# sysexits' EX_CONFIG: a service manager must not start it again before a person has acted.
EXIT_REFUSED: Final = 78


def main(argv: Sequence[str]) -> int:
    """Run an agent until SIGTERM or SIGINT; the exit code."""
    log_to_stderr(structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]))
    try:
        settings = settings_from(argv)
        return asyncio.run(_run_until_stopped(settings))
    except (Refusal, ServerNotTrusted) as refusal:
        print(f"boreas agent: refused by the server: {refusal.message}", file=sys.stderr)
        return EXIT_REFUSED
    except BoreasError as error:
        print(f"boreas agent: {error.message}", file=sys.stderr)
        return EXIT_USAGE
    except (NotAJournal, OSError) as error:
        print(f"boreas agent: {error}", file=sys.stderr)
        return EXIT_FAILED


async def _run_until_stopped(settings: AgentSettings) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    agent = Agent(settings, clock=SystemClock())
    lean.end_start()
    try:
        async with TaskGroup("agent process") as tasks:
            work = tasks.start(agent.run, name="agent")
            stop = tasks.start(stopped.wait, name="signals")
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    except* (BoreasError, OSError) as group:
        raise first_error(group) from None
    logger.info("agent stops", action="agent_stops")
    return EXIT_STOPPED


class Agent:
    """All parts of one agent. `run` never ends by itself unless the server refuses it for good."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        clock: Clock,
        way: Way | None = None,
        driver_for: DriverFor | None = None,
        open_records: Callable[[Layout], RecordFile] = lambda layout: RecordFile(layout.journal),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._layout = Layout(data_dir=settings.data_dir)
        self._layout.prepare()
        self._vault = AgentVault(_private_directory(self._layout))
        self._way = way or DialledWay(settings, self._vault, self._layout.path_memory, clock)
        self._driver_for = driver_for or _drivers(clock)
        self._open_records = open_records
        self._uplink: Uplink | None = None
        self.keepers: Keepers | None = None

    async def run(self) -> None:
        """Take up what was under way, connect, serve."""
        lock = _lock(self._layout)
        journal = Journal(self._open_records(self._layout))
        keepers = self.keepers = Keepers(
            self._layout.news_socket, self._clock, on_output=self._output_came
        )
        try:
            async with TaskGroup("agent") as tasks:
                await self._serve(tasks, journal, keepers)
        finally:
            keepers.close()
            journal.close()
            os.close(lock)

    async def _serve(self, tasks: TaskGroup, journal: Journal, keepers: Keepers) -> None:
        inputs = InputFiles(self._layout)
        tools = Tools(
            journal=journal,
            keepers=keepers,
            layout=self._layout,
            driver_for=self._driver_for,
            clock=self._clock,
            inputs=inputs,
            secrets=SecretFiles(self._layout),
            build_slots=BuildSlots(self._settings.builds_at_once),
            build_cache=self._settings.build_cache,
            tell=self._tell,
        )
        tools.secrets.sweep([order.order_id for order in journal.unfinished()])
        runner = Runner(tools, tasks)
        desk = Desk(journal, runner, self._layout, self._clock)
        board = FactsBoard()
        lookout = Lookout(runner, self._layout, self._driver_for, self._clock, tasks)
        parts = Parts(
            desk=desk,
            facts=board,
            vault=self._vault,
            inputs=inputs,
            clock=self._clock,
            lookout=lookout,
        )
        servers = KnownServers(self._settings.servers, self._layout.known_servers)
        if not servers.all():
            raise invalid("--server", "no server is known", "give --server or --token")
        self._uplink = Uplink(self._way, servers, journal=journal, layout=self._layout, parts=parts)
        gatherer = FactsGatherer(board, self._layout.data_dir, self._clock)
        desk.give_up_old_logs()
        runner.resume()
        tasks.start(gatherer.run, name="facts")
        tasks.start(lookout.run, name="lookout")
        await self._uplink.stay_connected()

    def _output_came(self, order_dir: Path) -> None:
        if self._uplink is not None:
            self._uplink.output_came(order_dir)

    def _tell(self, report: Report) -> None:
        if self._uplink is not None:
            self._uplink.tell(report)


def _drivers(clock: Clock) -> DriverFor:
    from boreas.drivers.registry import driver_for

    return lambda kind: driver_for(kind, clock)


def _private_directory(layout: Layout) -> Path:
    layout.identity.mkdir(exist_ok=True, mode=0o700)
    return layout.identity


def _lock(layout: Layout) -> int:
    """One agent per data directory: two would both act on the same journal."""
    lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Conflict(f"another agent is using {layout.data_dir}") from None
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
