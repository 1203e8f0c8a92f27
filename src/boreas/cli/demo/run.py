"""Play the demo: bring the world up, tell the story, end everything."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from boreas.cli.client import Client
from boreas.cli.demo import fleet, telling
from boreas.cli.demo.image import bring_image, clear_up
from boreas.cli.demo.processes import Processes
from boreas.cli.demo.proof import what_runs
from boreas.cli.demo.sources import make_repository
from boreas.cli.demo.story import CHAPTERS, Chapter, Ending, begin, see
from boreas.cli.demo.world import AGENTS, World, new_world
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure, usage
from boreas.cli.output import Output
from boreas.cli.watching.viewers import viewer_for
from boreas.kit.clock import SystemClock
from boreas.kit.ids import new_secret

LIVE_AT_THE_END = "v2"


async def play(out: Output, *, directory: Path | None, once: bool) -> None:
    """The whole demo. Raises `typer.Exit` unless every deployment ended as it should."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stopping_me())
    with place(directory) as where:
        world = new_world(where, owner=os.getpid())
        processes = Processes(world)
        try:
            await _play_in(world, processes, out, once=once)
        finally:
            processes.stop()
            await _clear_docker(world, out)


def _stopping_me() -> Callable[[], bool]:
    """SIGTERM ends the demo as Ctrl-C does: with everything it started."""
    task = asyncio.current_task()
    return task.cancel if task is not None else lambda: False


@contextmanager
def place(directory: Path | None) -> Iterator[Path]:
    """A directory of the user's choice, which is kept, or one of our own, which goes."""
    if directory is not None:
        directory = directory.absolute()
        if directory.exists() and any(directory.iterdir()):
            raise usage(f"{directory} is not empty", mend="name a new directory")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield directory
        return
    made = Path(tempfile.mkdtemp(prefix="boreas-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def _play_in(world: World, processes: Processes, out: Output, *, once: bool) -> None:
    clock, password = SystemClock(), new_secret(12)
    out.say(f"A server on SQLite and {AGENTS} agents start in {world.directory}")
    fleet.start_server(world, processes)
    make_repository(world)
    image, sentence = await bring_image(world)
    out.say(sentence)
    token = await fleet.sign_in(world, processes, clock, password=password)
    async with Client(world.url, token) as client:
        await fleet.start_agents(world, processes, client)
        await fleet.wait_for_agents(client, processes, clock, out.say)
        await fleet.make_project(world, client, image=image)
        teller = _Teller(world, client, out, processes, with_cache=image is not None, once=once)
        endings = [await teller.tell(chapter) for chapter in CHAPTERS]
        await _conclude(world, endings, out, password=password, once=once)
        if not once:
            out.say("\nAll of this stays up until you press Ctrl-C.")
            await asyncio.Event().wait()


class _Teller:
    """Plays one chapter after the other before the same eyes."""

    def __init__(
        self,
        world: World,
        client: Client,
        out: Output,
        processes: Processes,
        *,
        with_cache: bool,
        once: bool,
    ) -> None:
        self._world, self._client, self._out = world, client, out
        self._processes = processes
        self._with_cache, self._once = with_cache, once

    async def tell(self, chapter: Chapter) -> Ending:
        """Play it to its end."""
        self._out.say(f"\n{chapter.version}: {chapter.told}")
        deployment_id = await begin(self._client, chapter, with_cache=self._with_cache)
        if chapter.approval and not self._once:
            self._out.say("It will wait for you. In another terminal:")
            confirm = f"{telling.command()} confirm {deployment_id}"
            self._out.say(f"    . {self._world.env_file} && {confirm}\n")
        with viewer_for(self._out) as viewer:
            found = await see(
                self._client,
                deployment_id,
                viewer,
                confirm=self._once,
                still_up=self._processes.check,
            )
        return Ending(chapter=chapter, found=found)


async def _conclude(
    world: World, endings: list[Ending], out: Output, *, password: str, once: bool
) -> None:
    answers = await what_runs(world)
    back = all(answer.startswith(f"{LIVE_AT_THE_END}:") for answer in answers.values())
    table = telling.rows(endings)
    lines = ["", *telling.row_lines(table), ""]
    lines += [f"  http://{host}:{world.web_port}/  {said}" for host, said in answers.items()]
    if not once:
        lines += ["", *telling.where_to_look(world, password)]
    good = back and all(ending.as_it_should for ending in endings)
    out.result({"ok": good, "deployments": table, "answers": answers}, "\n".join(lines))
    if not good:
        out.say("Not everything ended as it should.")
        if once:
            raise typer.Exit(ExitCode.FAILED)


async def _clear_docker(world: World, out: Output) -> None:
    try:
        await clear_up(world)
    except OSError as error:
        out.failure(Failure(f"Docker was not cleared up: {error}"))
