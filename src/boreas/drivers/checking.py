"""From a release's health check to a verb's outcome: choose the probe, watch, say the end."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from boreas.domain.errors import invalid
from boreas.domain.orders import HealthCheck, ProbeKind, VerbOutcome
from boreas.domain.placeholders import filled_safely
from boreas.domain.ports import Workbench
from boreas.drivers.files import write_script
from boreas.drivers.probes import Answer, Probe, http_probe, tcp_probe, watch_health
from boreas.drivers.verbs import DONE, config_variables, failed, last_words, place_words
from boreas.engine.health import Health
from boreas.kit.clock import Clock

CHECK_SCRIPT = "health-check"


async def check_health(
    bench: Workbench, check: HealthCheck | None, probe: Probe | None, clock: Clock
) -> VerbOutcome:
    """Healthy or not, in the words of the last probe; an application without a check says so."""
    if check is None or probe is None:
        await bench.say("This application has no health check, so it counts as healthy.")
        return DONE
    verdict = await watch_health(check, probe, clock, bench.say)
    if verdict.health is Health.HEALTHY:
        return DONE
    return failed(f"unhealthy: the {check.type} check {verdict.reason}")


def probe_for(
    bench: Workbench,
    check: HealthCheck,
    *,
    cwd: Path,
    address: tuple[str, int] | None = None,
    extra: Mapping[str, str] | None = None,
) -> Probe:
    """The question that a check asks. With `address`, that very copy is asked and not the live one.

    `ProbeKind.CONTAINER` is asked by the container driver alone.
    """
    match check.type:
        case ProbeKind.COMMAND:
            return command_probe(bench, check, cwd=cwd, extra=extra or {})
        case ProbeKind.HTTP:
            url = filled_safely(check.url or "", place_words(bench.order))
            return http_probe(check, url=at_address(url, address))
        case ProbeKind.TCP:
            host, port = address or (check.host or "127.0.0.1", check.port or 0)
            return tcp_probe(check, host=host, port=port)
        case ProbeKind.CONTAINER:
            raise invalid("health_check.type", "`container` works for container applications only")


def at_address(url: str, address: tuple[str, int] | None) -> str:
    """The same page, asked at another place."""
    if address is None:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{address[0]}:{address[1]}"))


def command_probe(
    bench: Workbench, check: HealthCheck, *, cwd: Path, extra: Mapping[str, str]
) -> Probe:
    """Passes when the bash of the check ends with 0; it sees the order's variables."""
    text = f"cd -- {shlex.quote(str(cwd))} || exit 1\n{check.command or ''}"
    script = write_script(bench.release_dir, CHECK_SCRIPT, text)

    async def ask() -> Answer:
        env = {**config_variables(bench.order), **extra}
        code, output = await bench.probe(
            ("bash", str(script)), at_most=check.timeout, env=env, tell_secrets=True
        )
        if code == 0:
            return Answer(passed=True)
        said = last_words(output)
        return Answer(passed=False, detail=f"exit code {code}" + (f", {said}" if said else ""))

    return ask
