"""The keeper of one command: starts it, writes down what it says, and how it ends.

Forked by `launcher.py` in a session of its own; it outlives the agent, which finds out from the
files of `steps.py`. The command is a child that waits for a word before it begins, so that its pid
stands on the disk before it acts. The keeper is the reaper of all that descends from the command:
nothing gets away from a stop.

It keeps one command at a time. When nothing at all is left of that, it offers itself to the agent
for the next (`_offered`): a keeper that is there already costs a third of one that must be forked.

SIGTERM: pass TERM on to all descendants. SIGUSR1: KILL them all, until none is left.

Never returns: every path ends in `os._exit`. No asyncio here; a keeper should cost next to nothing.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from boreas.agent import steps
from boreas.agent.kin import descendants, signal_all
from boreas.agent.spoolfile import SpoolFile
from boreas.agent.tap import PARTIAL_LINE_SECONDS, Brake, Drain, Tap
from boreas.agent.veil import Veil, veil_for
from boreas.kit.stamp import monotonic, now_us, pause
from boreas.logs.chunks import STDERR, STDOUT, spoken

_EXIT_ROOM = 512
# A line is on its way at once; a flood is told of this often.
_OUTPUT_NEWS_SECONDS = 0.02
# Nobody collects garbage here, so that forks stay cheap: a keeper is not kept for ever.
_MOST_COMMANDS = 200
_IDLE_SECONDS = 600
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


OUTPUT = "+"
"""Begins a datagram that tells of output only."""

FREE = "free"
"""A keeper's word when it could take another command; the socket to ask it comes with it."""

LENGTH = struct.Struct(">I")
"""Stands before every spec: `u32 length | JSON`."""


class Spec(NamedTuple):
    """All that a keeper needs; travels as JSON over the launcher's socket."""

    request: int
    step_dir: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    spool: str
    spool_limit: int
    news: str
    """Where to tell the agent that there is something to look at: a directory and a socket name."""
    secrets: Sequence[str] = ()
    """What must never stand in the spool."""
    packages: str = ""
    """Where the search for them is installed."""


class Pipes(NamedTuple):
    """The keeper's ends."""

    out: int
    err: int
    go: int
    exec_error: int


def keep(spec: Spec | None, answers: socket.socket) -> NoReturn:
    """Run the command to its end, and those that the agent then gives to this keeper.

    A spare has no command yet.

    Tells on `answers` whether each step could be claimed.
    """
    status = 1
    try:
        _become_keeper()
        _keep_each(spec, answers)
        status = 0
    finally:
        if error := sys.exception():
            sys.excepthook(type(error), error, error.__traceback__)
        os._exit(status)


def _keep_each(first: Spec | None, answers: socket.socket) -> None:
    spec, requests = first, None if first else _offered(answers, 0, None)
    for _ in range(_MOST_COMMANDS):
        if spec is None:
            spec = _next_spec(requests) if requests else None
        claim = _claim(spec, answers) if spec else None
        if spec is None or claim is None or not _Keeper(spec, claim).run(answers):
            return
        requests = _offered(answers, spec.request, requests)
        spec = None  # What a command got is not kept here until the next one comes.


def _offered(
    answers: socket.socket, request: int, requests: socket.socket | None
) -> socket.socket | None:
    """Say that this request is over and the next may come; the first time, also by which way."""
    words = f"{request} {FREE}".encode()
    with contextlib.suppress(OSError):
        if requests is not None:
            answers.send(words)
            return requests
        requests, agents_end = socket.socketpair()
        with agents_end:
            socket.send_fds(answers, [words], [agents_end.fileno()])
        return requests
    return None  # There is no agent any more to whom it could be of use.


def _next_spec(requests: socket.socket) -> Spec | None:
    requests.settimeout(_IDLE_SECONDS)
    with contextlib.suppress(OSError):
        text = received_text(requests)
        requests.settimeout(None)
        return None if text is None else Spec(**json.loads(text))
    return None


def received_text(requests: socket.socket) -> bytes | None:
    """The next spec; None when the agent has closed its end."""
    header = _received(requests, LENGTH.size)
    return None if header is None else _received(requests, LENGTH.unpack(header)[0])


def _received(requests: socket.socket, length: int) -> bytes | None:
    parts = []
    while length:
        part = requests.recv(min(length, 1024 * 1024))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _become_keeper() -> None:
    os.setsid()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.chdir("/")


def _claim(spec: Spec, answers: socket.socket) -> int | None:
    try:
        claim = _link_claim(spec.step_dir)
    except FileExistsError:
        _answer(answers, spec.request, "taken")
        return None
    except OSError as error:
        _answer(answers, spec.request, f"failed: {error.strerror or error}")
        return None
    return claim


def _link_claim(step_dir: str) -> int:
    """Make `claim` appear locked and with its first line in it, or fail if there is one."""
    mine = os.path.join(step_dir, f"claim.{os.getpid()}")
    claim = os.open(mine, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX)
        _write_line(
            claim,
            keeper=os.getpid(),
            keeper_started=steps.start_time(os.getpid()),
            boot_id=steps.boot_id(),
        )
        os.link(mine, os.path.join(step_dir, steps.CLAIM))
    finally:
        os.unlink(mine)
    return claim


def _write_line(file: int, **fields: Any) -> None:
    line = json.dumps(fields).encode() + b"\n"
    if os.write(file, line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _answer(answers: socket.socket, request: int, words: str) -> None:
    with contextlib.suppress(OSError):
        answers.send(f"{request} {words}".encode())


class _Keeper:
    """The life of one claimed command."""

    def __init__(self, spec: Spec, claim: int) -> None:
        self._spec = spec
        self._claim = claim
        self._status: int | None = None
        self._is_stopping = False
        self._news = _News(spec)
        self._veil: Veil | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self, answers: socket.socket) -> bool:
        """Claimed: start, keep, record. True when nothing is left of it, not even a secret."""
        try:
            self._veil = veil_for(self._spec.secrets, self._spec.packages)
            self._spool = SpoolFile(self._spec.spool, limit=self._spec.spool_limit)
            self._reserve_exit_room()
            self._listen_to_signals()
            self._child, pipes = self._fork_waiting_child()
            self._write_down_child()
        except OSError as error:
            steps.forget_claim(self._spec.step_dir)
            _answer(answers, self._spec.request, f"failed: {error.strerror or error}")
            return False
        os.write(pipes.go, b"!")
        os.close(pipes.go)
        _answer(answers, self._spec.request, "started")
        self._note_exec_error(pipes.exec_error)
        self._news.look()
        left_open = self._follow(pipes)
        self._spool.note_drops()
        self._record_exit()
        self._news.look()
        if left_open:
            _swallow(left_open)
        if left_open or self._spec.secrets or not _is_childless():
            return False
        self._let_go(pipes)
        return True

    def _let_go(self, pipes: Pipes) -> None:
        """From here on signals mean nothing: those that still come were for this command."""
        signal.set_wakeup_fd(-1)
        for fd in (self._wake_read, self._wake_write, pipes.out, pipes.err):
            os.close(fd)
        os.close(self._exit)
        os.close(self._claim)
        self._spool.close()
        self._news.close()

    # --- start ---

    def _reserve_exit_room(self) -> None:
        self._exit = os.open(
            os.path.join(self._spec.step_dir, "exit.new"),
            os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
        )
        os.posix_fallocate(self._exit, 0, _EXIT_ROOM)

    def _listen_to_signals(self) -> None:
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for heard in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(heard, _only_wake)

    def _fork_waiting_child(self) -> tuple[int, Pipes]:
        out_read, out_write = _pipe()
        err_read, err_write = _pipe()
        go_read, go_write = _pipe()
        error_read, error_write = _pipe()
        child = os.fork()
        if child == 0:
            os.close(go_write)
            _become_command(self._spec, out_write, err_write, go_read, error_write)
        for fd in (out_write, err_write, go_read, error_write):
            os.close(fd)
        return child, Pipes(out_read, err_read, go_write, error_read)

    def _write_down_child(self) -> None:
        _write_line(self._claim, pid=self._child, started=steps.start_time(self._child))
        os.fsync(self._claim)
        steps.sync_dir(self._spec.step_dir)

    def _note_exec_error(self, exec_error: int) -> None:
        words = _read_all(exec_error)
        os.close(exec_error)
        if words:
            said = self._veil.lifted_from(words) if self._veil else words
            self._spool.append(spoken(said.decode(errors="replace"), now_us()))

    # --- keep ---

    def _follow(self, pipes: Pipes) -> list[int]:
        """Write down what the command says until it has ended; the pipes that others keep open."""
        taps = {
            pipes.out: Tap(pipes.out, STDOUT, self._spool, self._veil),
            pipes.err: Tap(pipes.err, STDERR, self._spool, self._veil),
        }
        poll = select.poll()
        for fd in (*taps, self._wake_read):
            os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        open_pipes = set(taps)
        drain, brake = Drain(), Brake(self._spool)
        while not self._is_over(open_pipes, drain):
            if brake.holds():
                drain.hold()
                self._wait_for_room()
                continue
            for fd, _ in poll.poll(self._poll_milliseconds(taps)):
                if fd == self._wake_read:
                    self._obey_signals()
                elif taps[fd].pump():
                    drain.touch()
                    self._news.output()
                else:
                    poll.unregister(fd)
                    open_pipes.discard(fd)
            for tap in taps.values():
                tap.flush_idle()
        for tap in taps.values():
            tap.end()
        return sorted(open_pipes)

    def _wait_for_room(self) -> None:
        signals = select.poll()
        signals.register(self._wake_read, select.POLLIN)
        if signals.poll(20):
            self._obey_signals()

    def _is_over(self, open_pipes: set[int], drain: Drain) -> bool:
        self._reap()
        if self._status is None:
            return False
        if self._is_stopping:
            drain.begin()
            is_quiet = not open_pipes or drain.is_done()
            return is_quiet and not any(descendants())
        drain.begin()
        return not open_pipes or drain.is_done()

    def _poll_milliseconds(self, taps: dict[int, Tap]) -> int:
        if self._status is not None:
            return 20
        if any(tap.holds_back for tap in taps.values()):
            return int(PARTIAL_LINE_SECONDS * 1000 / 2)
        # A lost SIGCHLD must not hang an order; this is only a net below the signal.
        return 5000

    def _obey_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._wake_read, 64):
                if number in (signal.SIGTERM, signal.SIGUSR1):
                    self._is_stopping = True
                    wanted = signal.SIGTERM if number == signal.SIGTERM else signal.SIGKILL
                    signal_all(wanted)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self._status = status

    # --- end ---

    def _record_exit(self) -> None:
        assert self._status is not None
        code, reason = _in_words(self._status)
        record = json.dumps({"code": code, "reason": reason, "at": now_us()}).encode()
        os.pwrite(self._exit, record.ljust(_EXIT_ROOM), 0)
        while not self._publish_exit():
            pause(1.0)

    def _publish_exit(self) -> bool:
        try:
            os.fsync(self._exit)
            target = os.path.join(self._spec.step_dir, steps.EXIT)
            # Without a sync of the name: a power cut may turn this end into `lost`, never into
            # another end, and each command is some milliseconds quicker.
            os.rename(os.path.join(self._spec.step_dir, "exit.new"), target)
        except FileNotFoundError:
            return True  # The whole order was removed; nobody wants to know any more.
        except OSError:
            return False
        return True


class _News:
    """Datagrams to the agent. Best effort: it also looks by itself now and then."""

    def __init__(self, spec: Spec) -> None:
        directory, _, self._name = spec.news.rpartition("/")
        self._step_dir = spec.step_dir
        self._told = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        # A path through /proc, because the address of a socket has at most 108 bytes.
        self._directory = os.open(directory, os.O_PATH | os.O_CLOEXEC)

    def close(self) -> None:
        self._socket.close()
        os.close(self._directory)

    def look(self) -> None:
        """The command has begun or ended."""
        self._send(self._step_dir)

    def output(self) -> None:
        """It printed something."""
        now = monotonic()
        if now - self._told >= _OUTPUT_NEWS_SECONDS:
            self._told = now
            self._send(OUTPUT + self._step_dir)

    def _send(self, words: str) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(words.encode(), f"/proc/self/fd/{self._directory}/{self._name}")


def _only_wake(number: int, frame: object) -> None:
    """The wake-up pipe says it all."""


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC)


def _become_command(spec: Spec, out: int, err: int, go: int, error: int) -> NoReturn:
    try:
        _wear_clean_clothes(out, err)
        if os.read(go, 1) != b"!":
            os._exit(127)  # The keeper died before it let us go.
        os.chdir(spec.cwd)
        os.execvpe(spec.argv[0], spec.argv, spec.env)
    except OSError as problem:
        what = spec.cwd if problem.filename == spec.cwd else spec.argv[0]
        os.write(error, f"boreas: cannot start {what}: {problem.strerror}".encode()[:400])
        os._exit(126 if problem.errno == errno.EACCES else 127)
    finally:
        os._exit(127)


def _wear_clean_clothes(out: int, err: int) -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 4096):
        parts.append(part)
    return b"".join(parts)


def _is_childless() -> bool:
    """Nothing descends from this keeper any more: orphans would have fallen to it."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def _in_words(status: int) -> tuple[int, str]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return 128 + number, f"ended by signal {signal.Signals(number).name}"
    code = os.WEXITSTATUS(status)
    return code, f"exit code {code}"


def _swallow(pipes: list[int]) -> None:
    """A daemon still writes to these: give it a reader for ever, or SIGPIPE would end it."""
    for fd in pipes:
        if os.fork() == 0:
            nothing = os.open("/dev/null", os.O_WRONLY)
            os.set_blocking(fd, True)
            os.dup2(fd, 0)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            os.closerange(3, 256)
            os.execvpe("cat", ["cat"], {"PATH": "/usr/bin:/bin"})
