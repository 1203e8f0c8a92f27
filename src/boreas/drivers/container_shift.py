"""One order's work on the containers of one application on one target.

`container.py` says which verb does what; here is how: make the image be there, the container be
there, make it live, stop the others. Everything is found again by labels, so an agent that was
killed anywhere in between just does it once more.
"""

from boreas.domain.delivery import REGISTRY
from boreas.domain.errors import invalid
from boreas.domain.images import image_of, names_a_registry
from boreas.domain.orders import HealthCheck, OrderBody, ProbeKind, ReleaseBody, VerbOutcome
from boreas.domain.ports import Workbench
from boreas.domain.specs import ContainerSpec, parse_container, placed_container
from boreas.drivers.checking import check_health, probe_for
from boreas.drivers.container_plan import (
    SeenContainer,
    address_of,
    container_config,
    live_one,
    name_beside,
    of_release,
    port_to_check,
    proxied_port,
    scope_labels,
)
from boreas.drivers.docker_engine import (
    CONFLICT,
    NOT_FOUND,
    DockerEngine,
    EngineTrouble,
    free_local_port,
    ignoring,
)
from boreas.drivers.probes import Answer, Probe
from boreas.drivers.proxy import Haproxy
from boreas.drivers.registry_logins import RegistryLogin, login_for
from boreas.drivers.verbs import place_words, release_of
from boreas.kit.clock import Clock

_LOG_LINES = 40
# Somebody else may take the free port between our looking and the container's start.
_PORT_TRIES = 3


class ContainerShift:
    """The containers of one scope, and the release that the order wants there."""

    def __init__(self, bench: Workbench, engine: DockerEngine, clock: Clock) -> None:
        self.bench = bench
        self.engine = engine
        self.clock = clock
        self.order: OrderBody = bench.order
        self.release: ReleaseBody = release_of(bench.order)
        self.spec: ContainerSpec = placed_container(
            parse_container(self.release.spec), place_words(bench.order)
        )

    async def seen(self) -> tuple[SeenContainer, ...]:
        """All containers of this scope now."""
        return await self.engine.containers(scope_labels(self.order))

    async def mine(self) -> SeenContainer | None:
        """The wanted release's container, if there is one."""
        return of_release(await self.seen(), self.release.release_id)

    # --- image -----------------------------------------------------------------------------------

    async def ensure_image(self) -> str:
        """The release's image is on the node; its name (by digest, when the version pins one)."""
        image = image_of(
            self.spec.image, version=self.release.version, artifact=self.release.artifact
        )
        is_here = await self.engine.image(image) is not None
        pinned = "@sha256:" in image
        if is_here and (pinned or not names_a_registry(image)):
            await self.bench.say(f"The image {image} is on the node already.")
            return image
        await self._pull(image, may_fail=is_here and not pinned)
        return image

    async def _pull(self, image: str, *, may_fail: bool) -> None:
        await self.bench.say(f"Pulling {image}.")
        try:
            await self.engine.pull(image, login=self._login(image))
        except EngineTrouble as error:
            if not may_fail:
                raise
            told = f"{error.message}. Using the image of that name that is on the node."
            await self.bench.say(told)

    def _login(self, image: str) -> RegistryLogin | None:
        credential = self.bench.secrets.credentials.get(REGISTRY)
        return login_for(image, credential, usual=self.spec.image) if credential else None

    # --- container -------------------------------------------------------------------------------

    async def ensure_created(self) -> SeenContainer:
        """The release has a container, in all its networks; it may or may not run."""
        found = await self.mine()
        if found is None:
            found = await self._create(await self.ensure_image())
        for network in self.spec.networks:
            if network not in found.networks:
                with ignoring(CONFLICT):
                    await self.engine.connect(found.id, network)
        return found

    async def ensure_running(self) -> SeenContainer:
        """The release has a container and it was started."""
        for tries_left in reversed(range(_PORT_TRIES)):
            container = await self.ensure_created()
            try:
                await self.engine.start(container.id)
                return await self._again(container)
            except EngineTrouble as error:
                if self.spec.proxy is None or not tries_left or "port" not in error.message:
                    raise
                await self.engine.remove(container.id)
        raise AssertionError("the last try returns or raises")

    async def _create(self, image: str) -> SeenContainer:
        name = name_beside(self.spec.name, self.release.release_id)
        port = free_local_port() if self.spec.proxy is not None else None
        config = container_config(
            self.order,
            self.release,
            self.spec,
            image=image,
            proxy_port=port,
            secrets=self.bench.secrets.variables,
        )
        with ignoring(CONFLICT):
            # A container of that name without our labels is told about when it is in the way.
            await self.engine.create(name, config)
            await self.bench.say(f"Created the container {name} from {image}.")
        found = await self.mine()
        if found is None:
            raise invalid("spec.name", f"another container is called {name}", "remove it")
        return found

    async def _again(self, container: SeenContainer) -> SeenContainer:
        found = await self.engine.find(container.id)
        if found is None:
            raise EngineTrouble(f"the container {container.name} is gone", status=NOT_FOUND)
        return found

    async def refuse_a_foreign_name(self) -> None:
        """Say at once, and not in mid-switch, that the name belongs to somebody else."""
        holder = await self.engine.find(self.spec.name)
        if holder is None or holder.id in {one.id for one in await self.seen()}:
            return
        raise invalid(
            "spec.name",
            f"another container is called {self.spec.name} and is not this application's",
            "remove it, or choose another name ({target} in it keeps targets of one node apart)",
        )

    # --- live ------------------------------------------------------------------------------------

    async def take_over(self, container: SeenContainer) -> None:
        """The container has the application's plain name; whoever had it gets another."""
        holder = live_one(await self.seen(), self.spec.name)
        if holder is not None and holder.id == container.id:
            return
        if holder is not None:
            await self.engine.rename(holder.id, name_beside(self.spec.name, holder.release_id))
        await self.engine.rename(container.id, self.spec.name)

    async def stop_others(self, *, but: str | None) -> None:
        """Stop every container of the scope except one; they are kept for going back."""
        for one in await self.seen():
            if one.id != but and one.state in ("running", "restarting", "paused"):
                await self.engine.stop(one.id)
                await self.bench.say(f"Stopped {one.name} ({one.version}); it is kept.")

    async def move_requests(self, container: SeenContainer) -> None:
        """Let the proxy, if there is one, send requests to this container."""
        if self.spec.proxy is None:
            return
        address = address_of(container, proxied_port(self.spec))
        if address is None:
            raise invalid("spec.proxy.port", "the container does not listen on it for the proxy")
        await Haproxy(self.spec.proxy, self.clock, self.bench.say).switch_to(address)

    # --- health ----------------------------------------------------------------------------------

    async def check(
        self, container: SeenContainer, check: HealthCheck | None, *, itself: bool
    ) -> VerbOutcome:
        """Watch the health check; `itself` asks this very container and not the live address."""
        probe = self.probe(container, check, itself=itself) if check is not None else None
        outcome = await check_health(self.bench, check, probe, self.clock)
        if not outcome.ok:
            await self.tell_log(container)
        return outcome

    async def stays_up(self, container: SeenContainer, seconds: float) -> VerbOutcome:
        """What is asked of an application without a health check: it does not crash at once."""
        steady = HealthCheck(
            type=ProbeKind.CONTAINER, retries=1, interval=0.2, min_healthy_seconds=seconds
        )
        probe = self._container_probe(container, whatever_docker_says=True)
        outcome = await check_health(self.bench, steady, probe, self.clock)
        if not outcome.ok:
            await self.tell_log(container)
        return outcome

    def probe(self, container: SeenContainer, check: HealthCheck, *, itself: bool) -> Probe:
        """The question of a health check about this container."""
        if check.type is ProbeKind.CONTAINER:
            return self._container_probe(container)
        inner = port_to_check(check, self.spec)
        address = address_of(container, inner) if inner is not None else None
        extra = {"BOREAS_CONTAINER": container.id}
        if address is not None:
            extra["BOREAS_ADDRESS"] = f"{address[0]}:{address[1]}"
        cwd = self.bench.release_dir
        chosen = address if itself else None
        return probe_for(self.bench, check, cwd=cwd, address=chosen, extra=extra)

    def _container_probe(
        self, container: SeenContainer, *, whatever_docker_says: bool = False
    ) -> Probe:
        restarts = container.restarts

        async def ask() -> Answer:
            nonlocal restarts
            try:
                now = await self._again(container)
            except EngineTrouble as error:
                return Answer(passed=False, detail=error.message)
            crashed, restarts = now.restarts > restarts, now.restarts
            if not now.is_running or crashed:
                told = f"the container is {now.state}, exit code {now.exit_code}"
                return Answer(passed=False, detail=told)
            if not whatever_docker_says and now.health not in (None, "none", "healthy"):
                return Answer(passed=False, detail=f"Docker says {now.health}")
            return Answer(passed=True)

        return ask

    async def tell_log(self, container: SeenContainer) -> None:
        """Put the container's last words into the order's log, where people look first."""
        with ignoring(NOT_FOUND):
            lines = await self.engine.log_tail(container.id, lines=_LOG_LINES)
            await self.bench.say(f"The last {len(lines)} lines of {container.name}:")
            for number, line in enumerate(lines, start=1):
                await self.bench.say(f"{number:>3} | {line[:2000]}")
