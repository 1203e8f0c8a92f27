"""The agent's side of running commands: asks the launcher for keepers, watches them, stops them.

The truth is in the files of `steps.py`; a datagram from a keeper is only a hint to look again, and
so is the clock. Commands are started at most once: a second request for the same step finds the
claim taken and adopts what is there.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import boreas
from boreas.agent import steps
from boreas.agent.shim import FREE, LENGTH, OUTPUT, Spec
from boreas.agent.spoolfile import DEFAULT_LIMIT
from boreas.domain.errors import BoreasError, CommandLost, Unavailable
from boreas.kit.clock import Clock
from boreas.kit.until import Hint

# A lost datagram delays an answer by at most this much.
LOOK_AGAIN_SECONDS = 2.0

# A keeper that went with a daemon of its command is replaced when the rush is over.
_SPARE_AFTER_SECONDS = 0.5
_SPARE = LENGTH.pack(0)

# Keepers that wait for their next command: each is a megabyte or two.
_MOST_FREE_KEEPERS = 6
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from boreas.agent.launcher import serve; serve(int(sys.argv[2]), int(sys.argv[3]))"
)


class CannotStart(BoreasError):
    """The command could not be started."""


class _LauncherGone(Exception):
    """The launcher ended before it answered; asking again is safe."""


class _KeeperGone(Exception):
    """A free keeper ended before it answered; asking another is safe."""


class Launcher:
    """One launcher process and the two sockets to it."""

    def __init__(self) -> None:
        self._answers_waited_for: dict[int, asyncio.Future[str]] = {}
        self._sending = asyncio.Lock()
        self._free: list[socket.socket] = []
        self._given: dict[int, socket.socket] = {}
        self._spare_is_due = False
        self._requests, their_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._answers, their_answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._process = _spawn_launcher(their_requests, their_answers)
        self.is_gone = False
        self._listen()

    async def ask(self, spec: Spec) -> str:
        """Have a keeper take this; its words: `started`, `taken` or `failed: …`."""
        text = json.dumps(spec._asdict()).encode()
        text = LENGTH.pack(len(text)) + text
        self._want_spare()
        while self._free:
            with contextlib.suppress(_KeeperGone):
                return await self._ask_free(self._free.pop(), spec.request, text)
        return await self._ask_for_a_fork(spec.request, text)

    async def _ask_free(self, keeper: socket.socket, request: int, text: bytes) -> str:
        """One that is there already; if it died meanwhile, asking another is safe."""
        with self._answer_to(request) as answer:
            self._given[request] = keeper
            try:
                await asyncio.get_running_loop().sock_sendall(keeper, text)
                return await answer
            except OSError:
                if keeper.fileno() >= 0:
                    self._drop(keeper)
                raise _KeeperGone from None

    def _want_spare(self) -> None:
        """Soon have a keeper ready for the command after this one."""
        if not self._spare_is_due:
            self._spare_is_due = True
            asyncio.get_running_loop().call_later(_SPARE_AFTER_SECONDS, self._fork_spare)

    def _fork_spare(self) -> None:
        self._spare_is_due = False
        if self._free or self.is_gone or self._sending.locked() or self._requests.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self._requests.send(_SPARE)

    async def _ask_for_a_fork(self, request: int, text: bytes) -> str:
        try:
            with self._answer_to(request) as answer:
                async with self._sending:
                    await asyncio.get_running_loop().sock_sendall(self._requests, text)
                return await answer
        except OSError as error:
            raise _LauncherGone from error

    @contextlib.contextmanager
    def _answer_to(self, request: int) -> Iterator[asyncio.Future[str]]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers_waited_for[request] = answer
        try:
            yield answer
        finally:
            del self._answers_waited_for[request]

    def close(self) -> None:
        """Let the launcher end; keepers and commands stay."""
        if self._requests.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        for ours in (self._requests, self._answers):
            loop.remove_reader(ours)
            ours.close()
        for keeper in (*self._free, *self._given.values()):
            self._drop(keeper)
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for ours in (self._requests, self._answers):
            ours.setblocking(False)
        loop.add_reader(self._requests, self._on_end)
        loop.add_reader(self._answers, self._on_answer)

    def _on_answer(self) -> None:
        with contextlib.suppress(BlockingIOError):
            text, sockets, _, _ = socket.recv_fds(self._answers, 4096, 1, socket.MSG_CMSG_CLOEXEC)
            request, _, words = text.decode().partition(" ")
            if words == FREE:
                self._note_free(int(request), [socket.socket(fileno=fd) for fd in sockets])
                return
            waiting = self._answers_waited_for.get(int(request))
            if waiting is not None and not waiting.done():
                waiting.set_result(words)

    def _note_free(self, request: int, new: list[socket.socket]) -> None:
        """A keeper has seen its command to the end and takes another."""
        for keeper in new:
            keeper.setblocking(False)
            # It says nothing on this socket, ever: something to read is its end.
            asyncio.get_running_loop().add_reader(keeper, self._drop, keeper)
        given = self._given.pop(request, None)
        for keeper in new or ([given] if given else []):
            self._free.append(keeper)
        while len(self._free) > _MOST_FREE_KEEPERS:
            self._drop(self._free[0])

    def _drop(self, keeper: socket.socket) -> None:
        """It ended, or is one too many: without its socket it ends when its command has ended."""
        asyncio.get_running_loop().remove_reader(keeper)
        keeper.close()
        self._free = [free for free in self._free if free is not keeper]
        for request in [number for number, given in self._given.items() if given is keeper]:
            del self._given[request]
            waiting = self._answers_waited_for.get(request)
            if waiting is not None and not waiting.done():
                waiting.set_exception(_KeeperGone())

    def _on_end(self) -> None:
        self.is_gone = True
        asyncio.get_running_loop().remove_reader(self._requests)
        for waiting in self._answers_waited_for.values():
            if not waiting.done():
                waiting.set_exception(_LauncherGone())


def _spawn_launcher(requests: socket.socket, answers: socket.socket) -> subprocess.Popen[bytes]:
    source = str(Path(boreas.__file__).parent.parent)
    fds = (requests.fileno(), answers.fileno())
    try:
        # Isolated and without site-packages: a small process makes small, quick forks.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, source, str(fds[0]), str(fds[1])],
            pass_fds=fds,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={},
        )
    finally:
        requests.close()
        answers.close()


class Keepers:
    """Runs, watches and stops commands by their step directories."""

    def __init__(
        self,
        news_socket: Path,
        clock: Clock,
        *,
        on_output: Callable[[Path], None] = lambda order_dir: None,
    ) -> None:
        self._clock = clock
        self._on_output = on_output
        self._news_path = news_socket
        self._requests = itertools.count(1)
        self._launcher: Launcher | None = None
        self._hints: dict[str, Hint] = {}
        self._directory = os.open(news_socket.parent, os.O_PATH)
        self._news = self._bind_news()

    def close(self) -> None:
        """Stop listening; nothing that runs is touched."""
        asyncio.get_running_loop().remove_reader(self._news)
        self._news.close()
        os.close(self._directory)
        if self._launcher is not None:
            self._launcher.close()

    def spec(
        self,
        step_dir: Path,
        *,
        argv: tuple[str, ...],
        env: dict[str, str],
        cwd: Path,
        secrets: Sequence[str] = (),
    ) -> Spec:
        """What to ask the launcher for; the spool is the order's, two directories up."""
        return Spec(
            request=next(self._requests),
            step_dir=str(step_dir),
            argv=list(argv),
            env=env,
            cwd=str(cwd),
            spool=str(step_dir.parent.parent / "spool"),
            spool_limit=DEFAULT_LIMIT,
            news=str(self._news_path),
            secrets=secrets,
            packages=_installed_packages() if secrets else "",
        )

    async def start(self, spec: Spec) -> None:
        """Start a command that never started; does nothing if somebody else was faster."""
        try:
            words = await self._launch().ask(spec)
        except _LauncherGone:
            words = await self._ask_once_more(spec)
        if words.startswith("failed"):
            raise CannotStart(f"cannot start a command: {words.removeprefix('failed: ')}")

    async def ended(self, step_dir: Path) -> steps.Exited:
        """Wait for the end of a started command. Raises CommandLost when it is unknowable."""
        with self._watched(str(step_dir)) as hint:
            while True:
                match steps.fate(str(step_dir)):
                    case steps.Exited() as exited:
                        return exited
                    case steps.Unknowable() as unknowable:
                        raise CommandLost(await self._clear_away(unknowable))
                    case steps.NeverStarted():
                        raise CommandLost("the keeper of a command ended before it started it")
                    case steps.Starting() | steps.Running():
                        await hint.wait(at_most=LOOK_AGAIN_SECONDS)

    async def stop(self, step_dir: Path, *, grace: float) -> None:
        """TERM to all that the command started, KILL after the grace; returns when all are gone."""
        while not steps.bar(str(step_dir)) and _is_starting(step_dir):
            await self._clock.sleep(0.01)
        if not self._signal_keeper(step_dir, signal.SIGTERM):
            await self._clear_if_orphaned(step_dir)
            return
        try:
            async with asyncio.timeout(grace):
                await self._settled(step_dir)
        except TimeoutError:
            while self._signal_keeper(step_dir, signal.SIGUSR1):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                        await self._settled(step_dir)
        await self._clear_if_orphaned(step_dir)

    async def _settled(self, step_dir: Path) -> None:
        with contextlib.suppress(CommandLost):
            await self.ended(step_dir)

    async def _clear_if_orphaned(self, step_dir: Path) -> None:
        fate = steps.fate(str(step_dir))
        if isinstance(fate, steps.Unknowable):
            await self._clear_away(fate)

    async def _clear_away(self, lost: steps.Unknowable) -> str:
        """Nobody will see the end of this command: it must not go on beside the next order."""
        if not lost.same_boot:
            return "the node was restarted while the command ran"
        while members := _session_of(lost):
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await self._clock.sleep(0.05)
        return "the keeper of the command was killed, so how it ended is not known"

    def _signal_keeper(self, step_dir: Path, number: int) -> bool:
        """Signal the keeper of a running command; False when there is none."""
        fate = steps.fate(str(step_dir))
        if not isinstance(fate, steps.Running):
            return False
        try:
            keeper = os.pidfd_open(fate.keeper)
        except ProcessLookupError:
            return False
        try:
            if steps.start_time(fate.keeper) != fate.keeper_started:
                return False
            signal.pidfd_send_signal(keeper, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(keeper)
        return True

    def _launch(self) -> Launcher:
        if self._launcher is None or self._launcher.is_gone:
            if self._launcher is not None:
                self._launcher.close()
            self._launcher = Launcher()
        return self._launcher

    async def _ask_once_more(self, spec: Spec) -> str:
        try:
            return await self._launch().ask(spec)
        except _LauncherGone:
            raise Unavailable("the launcher of commands does not stay alive") from None

    @contextlib.contextmanager
    def _watched(self, step_dir: str) -> Iterator[Hint]:
        hint = self._hints.setdefault(step_dir, Hint())
        try:
            yield hint
        finally:
            self._hints.pop(step_dir, None)

    def _bind_news(self) -> socket.socket:
        news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        news.setblocking(False)
        self._news_path.unlink(missing_ok=True)
        # A path through /proc, because the address of a socket has at most 108 bytes.
        news.bind(f"/proc/self/fd/{self._directory}/{self._news_path.name}")
        asyncio.get_running_loop().add_reader(news, self._on_news)
        return news

    def _on_news(self) -> None:
        with contextlib.suppress(BlockingIOError):
            words = self._news.recv(4096).decode()
            if words.startswith(OUTPUT):
                self._on_output(Path(words.removeprefix(OUTPUT)).parent.parent)
            elif (hint := self._hints.get(words)) is not None:
                hint.raise_()


def _installed_packages() -> str:
    """Where the search for secrets is installed; empty when the keeper must find it by itself."""
    found = importlib.util.find_spec("ahocorasick_rs")
    return str(Path(found.origin).parent.parent) if found and found.origin else ""


def _is_starting(step_dir: Path) -> bool:
    return isinstance(steps.fate(str(step_dir)), steps.Starting)


def _session_of(lost: steps.Unknowable) -> list[int]:
    """Living processes of the session that the command led, unless its pid is another's by now."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = steps.stat_fields(int(name))
            if fields and int(fields[3]) == lost.pid and fields[0] not in (b"Z", b"X"):
                members.append((int(name), int(fields[19])))
    return [pid for pid, started in members if started >= lost.started]
