"""Put an application on a target as a Docker container.

Without a fixed host port, or behind a proxy: start the new one beside the old, wait for its health,
move the requests, drain and stop the old one. With a fixed host port the old one stops first. The
old container is kept stopped, so that going back is a start and not a pull.
"""

from dataclasses import replace

from boreas.domain.orders import ProbeKind, VerbOutcome
from boreas.domain.ports import Workbench
from boreas.drivers.container_plan import SeenContainer, asks_the_container, live_one
from boreas.drivers.container_shift import ContainerShift
from boreas.drivers.docker_engine import (
    CONFLICT,
    NOT_FOUND,
    DockerEngine,
    EngineTrouble,
    ignoring,
    open_engine,
)
from boreas.drivers.fingerprints import fingerprints
from boreas.drivers.ledger import change_begins, change_is_done, read_ledger, releases_to_keep
from boreas.drivers.observing import may_run_commands, seen_health
from boreas.drivers.retiring import prune_release_dirs
from boreas.drivers.verbs import DONE, failed, releases_needed, worded
from boreas.kit.clock import Clock


class ContainerDriver:
    """One container per release; the live one has the application's plain name."""

    def __init__(
        self, clock: Clock, *, docker_url: str | None = None, settle_seconds: float = 1.0
    ) -> None:
        self._clock = clock
        self._docker_url = docker_url
        # A container that crashes at once is "running" for a moment: how long that must last
        # before requests are moved to it.
        self._settle_seconds = settle_seconds

    @worded
    async def stage(self, bench: Workbench) -> VerbOutcome:
        """The image is here and the container made; it runs already if it can stand beside."""
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            await shift.refuse_a_foreign_name()
            await _stop_leftovers(shift)
            if shift.spec.fixed_ports:
                container = await shift.ensure_created()
                await bench.say("Its host port is fixed, so it starts only when the old one stops.")
            else:
                container = await shift.ensure_running()
            return VerbOutcome(ok=True, result=await _facts(engine, container, bench))

    @worded
    async def check_staged(self, bench: Workbench) -> VerbOutcome:
        """The new container, asked at its own address, is healthy."""
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            if shift.spec.fixed_ports:
                await bench.say("Its host port is fixed: it cannot run, nor be asked, before.")
                return DONE
            container = await shift.ensure_running()
            return await shift.check(container, shift.release.health_check, itself=True)

    @worded
    async def activate(self, bench: Workbench) -> VerbOutcome:
        """The release's container has the requests, the name, and is the only one running."""
        return await self._make_live(bench)

    @worded
    async def revert(self, bench: Workbench) -> VerbOutcome:
        """The same with the previous version, whose container was kept."""
        return await self._make_live(bench)

    @worded
    async def check(self, bench: Workbench) -> VerbOutcome:
        """The live container is healthy."""
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            container = live_one(await shift.seen(), shift.spec.name)
            if container is None:
                return failed(f"no container called {shift.spec.name} is live here")
            itself = asks_the_container(shift.spec)
            return await shift.check(container, shift.release.health_check, itself=itself)

    @worded
    async def retire(self, bench: Workbench) -> VerbOutcome:
        """Remove containers, and images that can be had again, that nothing needs."""
        ledger = read_ledger(bench.scope_dir)
        if not ledger.readable:
            await bench.say("The record of what is live cannot be read: nothing is removed.")
            return DONE
        keep = releases_to_keep(ledger, needed=releases_needed(bench.order))
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            for one in await shift.seen():
                if one.release_id not in keep and one.name != shift.spec.name:
                    await _remove(shift, one)
        await prune_release_dirs(bench)
        return DONE

    @worded
    async def observe(self, bench: Workbench) -> VerbOutcome:
        """Which container is live, from which image, and what Docker says of it."""
        ledger = read_ledger(bench.scope_dir)
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            # By its name and not by our labels: somebody may have put another in its place.
            live = await engine.find(shift.spec.name)
            facts = await _facts(engine, live, bench) if live is not None else {}
            known = live is not None and live.release_id == ledger.release_id
            result = {
                "release_id": live.release_id or None if live else None,
                "version": live.version or None if live else None,
                "certain": ledger.certain and known,
                "running": live is not None and live.is_running,
                **facts,
                "recorded": {name: ledger.facts.get(name) for name in _COMPARED},
                **await _seen_health(shift, live),
            }
        return VerbOutcome(ok=True, result=result)

    async def _make_live(self, bench: Workbench) -> VerbOutcome:
        async with open_engine(self._docker_url) as engine:
            shift = ContainerShift(bench, engine, self._clock)
            await shift.refuse_a_foreign_name()
            if shift.spec.fixed_ports:
                container, outcome = await _replace_in_place(shift)
            else:
                container, outcome = await _start_beside(shift, self._settle_seconds)
            if container is None or not outcome.ok:
                return outcome
            facts = await _facts(engine, container, bench)
            change_is_done(bench.scope_dir, shift.release, **facts)
            return VerbOutcome(ok=True, result=facts)


_COMPARED = ("image", "image_id", "digest", "config")
Started = tuple[SeenContainer | None, VerbOutcome]


async def _start_beside(shift: ContainerShift, settle_seconds: float) -> Started:
    """New beside old, health, switch, drain, stop old: no request is lost on the way."""
    container = await shift.ensure_running()
    outcome = await _first_sign_of_health(shift, container, settle_seconds)
    if not outcome.ok:
        live = live_one(await shift.seen(), shift.spec.name)
        if live is None or live.id != container.id:
            # The old one was never touched and goes on; the new one is kept for a look at it.
            await shift.engine.stop(container.id)
        return None, outcome
    change_begins(shift.bench.scope_dir, shift.release)
    await shift.move_requests(container)
    await shift.take_over(container)
    await shift.stop_others(but=container.id)
    return container, DONE


async def _replace_in_place(shift: ContainerShift) -> Started:
    """Old stops, new starts: the host port can only be held by one of them."""
    container = await shift.ensure_created()
    change_begins(shift.bench.scope_dir, shift.release)
    await shift.stop_others(but=container.id)
    await shift.take_over(container)
    try:
        container = await shift.ensure_running()
    except EngineTrouble as error:
        return None, failed(error.message)
    return container, DONE


async def _first_sign_of_health(
    shift: ContainerShift, container: SeenContainer, settle_seconds: float
) -> VerbOutcome:
    """One pass is enough before the switch; the `check` verb asks for all the healthy seconds."""
    check = shift.release.health_check
    if check is None:
        return await shift.stays_up(container, settle_seconds)
    needed = settle_seconds if check.type is ProbeKind.CONTAINER else 0.0
    return await shift.check(container, replace(check, min_healthy_seconds=needed), itself=True)


async def _stop_leftovers(shift: ContainerShift) -> None:
    """A deployment that was cancelled before it switched may have left its container running."""
    for one in await shift.seen():
        is_wanted = one.name == shift.spec.name or one.release_id == shift.release.release_id
        if not is_wanted and one.is_running:
            await shift.engine.stop(one.id)
            await shift.bench.say(f"Stopped {one.name}, left over from an earlier deployment.")


async def _remove(shift: ContainerShift, container: SeenContainer) -> None:
    image = await shift.engine.image(container.image_id)
    with ignoring(NOT_FOUND):
        await shift.engine.stop(container.id)
        await shift.engine.remove(container.id)
    await shift.bench.say(f"Removed the container {container.name}, which nothing needs any more.")
    # Only what a registry can give again; an image built on the node may be the only copy.
    if image is not None and image.get("RepoDigests"):
        with ignoring(NOT_FOUND, CONFLICT):
            await shift.engine.remove_image(container.image_id)


async def _facts(
    engine: DockerEngine, container: SeenContainer, bench: Workbench
) -> dict[str, object]:
    image = await engine.image(container.image_id)
    digests = (image or {}).get("RepoDigests") or [""]
    return {
        "container": container.id,
        "image": container.image,
        "image_id": container.image_id,
        "digest": digests[0].partition("@")[2] or None,
        "health": container.health,
        "config": fingerprints(bench.scope_dir, container.config),
    }


async def _seen_health(shift: ContainerShift, live: SeenContainer | None) -> dict[str, object]:
    """The health check once; a container that is not there or stopped says enough by that."""
    check = shift.release.health_check
    if live is None or not live.is_running or check is None:
        return {"healthy": None, "health_reason": None}
    if check.type is ProbeKind.COMMAND and not may_run_commands(shift.order):
        return {"healthy": None, "health_reason": None}
    probe = shift.probe(live, check, itself=asks_the_container(shift.spec))
    return await seen_health(probe)
