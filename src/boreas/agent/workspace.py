"""The workbench of one order: what its driver may use on this node (boreas.domain.ports.Workbench).

Named steps are memoised by their directories, so a verb can be entered again after the agent was
killed: what has ended keeps its exit code, what runs is adopted, what never began is begun.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from boreas.agent import steps
from boreas.agent.keepers import Keepers
from boreas.agent.layout import Layout
from boreas.agent.questions import asked, clean_environment
from boreas.agent.spoolfile import SpoolFile
from boreas.domain.delivery import NO_SECRETS, OpenedSecrets
from boreas.domain.orders import OrderBody, order_variables
from boreas.kit.stamp import now_us
from boreas.logs.chunks import spoken

# Whoever may set a variable could otherwise lead a tool that holds a credential to another place:
# by a proxy, another program of the same name, or certificates that are not looked at.
_STEERS_TOOLS = re.compile(
    r"(?:GIT_|SSH_|LD_|DOCKER_|BUILDX?_|BUILDKIT_|CURL_|SSL_|XDG_)"
    r"|(?:PATH|HOME|IFS|ENV|BASH_ENV|(?:ALL|HTTPS?|NO)_PROXY)\Z",
    re.IGNORECASE,
)


class Workspace:
    """One order's workbench. Made anew after a restart; it finds everything again by name."""

    def __init__(
        self,
        *,
        order: OrderBody,
        scope: str,
        layout: Layout,
        keepers: Keepers,
        secrets: OpenedSecrets = NO_SECRETS,
    ) -> None:
        self.order = order
        self.secrets = secrets
        self.masked = text_mask(secrets.values())
        self.scope_dir = layout.scope_dir(scope)
        self.release_dir = (
            layout.release_dir(scope, order.release.release_id)
            if order.release
            else self.scope_dir / "work"
        )
        self._layout = layout
        self._keepers = keepers
        layout.steps(order.order_id).mkdir(parents=True, exist_ok=True, mode=0o700)
        layout.output_dir(order.order_id).mkdir(exist_ok=True, mode=0o700)
        self.scope_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.spool = SpoolFile(str(layout.spool(order.order_id)))
        self._said = _SaidLines(layout.order_dir(order.order_id) / "said", self.spool)

    def close(self) -> None:
        """Let go of the files."""
        self.spool.close()

    async def run(
        self,
        step: str,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        tell_secrets: bool = False,
    ) -> int:
        """See `Workbench.run`."""
        step_dir = self._layout.step_dir(self.order.order_id, step)
        step_dir.mkdir(exist_ok=True, mode=0o700)
        match steps.fate(str(step_dir)):
            case steps.Exited(code):
                return code
            case steps.NeverStarted():
                steps.forget_claim(str(step_dir))
                own = self._environment(env or {}, tell_secrets=tell_secrets)
                await self._start(step_dir, argv, env=own, cwd=cwd)
        return (await self._keepers.ended(step_dir)).code

    async def probe(
        self,
        argv: tuple[str, ...],
        *,
        at_most: float,
        env: Mapping[str, str] | None = None,
        tell_secrets: bool = False,
    ) -> tuple[int, str]:
        """See `Workbench.probe`; 124 when the time was up, as coreutils' `timeout` says it."""
        self.release_dir.mkdir(parents=True, exist_ok=True)
        own = self._environment(env or {}, tell_secrets=tell_secrets)
        code, output = await asked(argv, at_most=at_most, env=own, cwd=self.release_dir)
        return code, self.masked(output)

    async def say(self, line: str) -> None:
        """See `Workbench.say`."""
        self._said.say_once(self.masked(line))

    @property
    def private_dir(self) -> Path:
        """See `Workbench.private_dir`."""
        directory = self._layout.private_dir(self.order.order_id)
        directory.mkdir(exist_ok=True, mode=0o700)
        return directory

    async def stop_all(self, *, grace: float) -> None:
        """End every command of this order; returns when nothing of them is left."""
        names = sorted(self._layout.steps(self.order.order_id).iterdir())
        await asyncio.gather(*(self._keepers.stop(step_dir, grace=grace) for step_dir in names))

    async def _start(
        self, step_dir: Path, argv: tuple[str, ...], *, env: dict[str, str], cwd: Path | None
    ) -> None:
        if cwd is None:
            self.release_dir.mkdir(parents=True, exist_ok=True)
        spec = self._keepers.spec(
            step_dir,
            argv=argv,
            env=env,
            cwd=cwd or self.release_dir,
            secrets=self.secrets.values(),
        )
        await self._keepers.start(spec)

    def _environment(self, added: Mapping[str, str], *, tell_secrets: bool) -> dict[str, str]:
        """Nothing of the agent's own environment: its token must not reach a command."""
        secrets = self.secrets.variables if tell_secrets else {}
        own = order_variables(self.order, release_dir=str(self.release_dir))
        if self.secrets.credentials and not tell_secrets:
            own = {name: value for name, value in own.items() if not _STEERS_TOOLS.match(name)}
        files = {
            "BOREAS_INPUT_DIR": str(self._layout.input_dir(self.order.order_id)),
            "BOREAS_OUTPUT_DIR": str(self._layout.output_dir(self.order.order_id)),
            "BOREAS_OUTPUTS": str(self._layout.outputs(self.order.order_id)),
        }
        return {**clean_environment(), **secrets, **own, **files, **added}


def text_mask(secrets: Sequence[str]) -> Callable[[str], str]:
    """Takes these secrets out of a text; costs nothing when there are none."""
    if not secrets:
        return str
    from boreas.logs.masking import TextMasker, forms_in

    forms = forms_in(secrets)
    return TextMasker(forms) if forms is not None else str


class _SaidLines:
    """Which of Boreas' own lines stand in the log already, so that a verb may say them again.

    Each is noted with the offset at which it is about to be written; a note counts only if the log
    has grown past that offset, so a death between note and line loses nothing.
    """

    def __init__(self, notes: Path, spool: SpoolFile) -> None:
        self._notes = notes
        self._spool = spool
        self._known = self._read()

    def say_once(self, line: str) -> None:
        digest = hashlib.sha256(line.encode(errors="backslashreplace")).hexdigest()[:32]
        if digest in self._known:
            return
        # On a full disk the line may be said twice after a restart; that is the lesser evil.
        with contextlib.suppress(OSError), self._notes.open("a") as notes:
            notes.write(f"{digest} {self._spool.size()}\n")
        self._known.add(digest)
        self._spool.append(spoken(line, now_us()))

    def _read(self) -> set[str]:
        try:
            lines = self._notes.read_text().splitlines()
        except FileNotFoundError:
            return set()
        size = self._spool.size()
        noted = (line.split() for line in lines if line.count(" ") == 1)
        return {digest for digest, offset in noted if offset.isdigit() and int(offset) < size}
