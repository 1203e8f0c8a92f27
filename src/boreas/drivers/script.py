"""Put an application on a target with the user's own bash.

Each script runs as `bash <file>` in the release directory: plain bash, so a script that wants to
stop at the first mistake says `set -e` itself, and the exit code alone decides. It sees the order's
variables, the version's configuration, and BOREAS_*; the whole configuration is in `config.json`.
"""

import math
from typing import Any

from boreas.domain.orders import ReleaseBody, VerbOutcome
from boreas.domain.ports import Workbench
from boreas.domain.specs import ScriptSpec, parse_script
from boreas.drivers.checking import check_health, probe_for
from boreas.drivers.files import off_loop, write_json, write_script
from boreas.drivers.ledger import change_begins, change_is_done, read_ledger
from boreas.drivers.observing import looking_probe, may_run_commands, seen_health
from boreas.drivers.retiring import prune_release_dirs
from boreas.drivers.verbs import (
    DONE,
    config_variables,
    failed,
    last_words,
    release_of,
    worded,
)
from boreas.kit.clock import Clock

# What coreutils' `timeout` answers when it had to stop (124) or kill (137) a command.
_TIMED_OUT = (124, 137)
_KILL_AFTER_SECONDS = 10
_LOOK_SECONDS = 30.0


class ScriptDriver:
    """Named scripts per verb; only `deploy` is required."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @worded
    async def stage(self, bench: Workbench) -> VerbOutcome:
        """Run `stage`, if there is one."""
        if "stage" in _spec_of(bench).scripts:
            return await run_script(bench, "stage")
        await bench.say("There is no `stage` script: nothing to bring beside the live version.")
        return DONE

    @worded
    async def check_staged(self, bench: Workbench) -> VerbOutcome:
        """A staged script application has no address of its own; `stage` itself was the check."""
        await bench.say("A script application is not asked before it is live: `stage` succeeded.")
        return DONE

    @worded
    async def activate(self, bench: Workbench) -> VerbOutcome:
        """Run `deploy`."""
        return await self._make_live(bench, "deploy")

    @worded
    async def revert(self, bench: Workbench) -> VerbOutcome:
        """Run `revert`, or else `deploy` again with the previous version."""
        if "revert" in _spec_of(bench).scripts:
            return await self._make_live(bench, "revert")
        await bench.say("There is no `revert` script: running `deploy` with the previous version.")
        return await self._make_live(bench, "deploy")

    @worded
    async def check(self, bench: Workbench) -> VerbOutcome:
        """The health check first, then the `check` script once: it may need what is now up."""
        health = release_of(bench.order).health_check
        has_script = "check" in _spec_of(bench).scripts
        if health is not None or not has_script:
            probe = probe_for(bench, health, cwd=bench.release_dir) if health else None
            outcome = await check_health(bench, health, probe, self._clock)
            if not outcome.ok:
                return outcome
        return await run_script(bench, "check") if has_script else DONE

    @worded
    async def retire(self, bench: Workbench) -> VerbOutcome:
        """Run `retire`, if there is one, and remove release directories that nothing needs."""
        if "retire" in _spec_of(bench).scripts:
            outcome = await run_script(bench, "retire")
            if not outcome.ok:
                return outcome
        await prune_release_dirs(bench)
        return DONE

    @worded
    async def observe(self, bench: Workbench) -> VerbOutcome:
        """What the last script that ended well made live."""
        ledger = read_ledger(bench.scope_dir)
        result: dict[str, Any] = {
            "release_id": ledger.release_id,
            "version": ledger.version,
            "certain": ledger.certain,
        }
        if bench.order.release is not None:
            result |= await _seen_health(bench, bench.order.release)
        return VerbOutcome(ok=True, result=result)

    async def _make_live(self, bench: Workbench, name: str) -> VerbOutcome:
        release = release_of(bench.order)
        change_begins(bench.scope_dir, release)
        outcome = await run_script(bench, name)
        if outcome.ok:
            change_is_done(bench.scope_dir, release)
        return outcome


async def run_script(bench: Workbench, name: str) -> VerbOutcome:
    """Run one named script of the release to its end, or for `timeout_seconds`."""
    spec = _spec_of(bench)
    bench.release_dir.mkdir(parents=True, exist_ok=True)
    script = write_script(bench.release_dir, name, spec.scripts[name])
    config = dict(release_of(bench.order).config)
    await off_loop(write_json, bench.release_dir / "config.json", config)
    argv = bounded(("bash", str(script)), spec.timeout_seconds)
    env = config_variables(bench.order)
    code = await bench.run(
        f"script:{name}", argv, env=env, cwd=bench.release_dir, tell_secrets=True
    )
    return _outcome(name, code, spec.timeout_seconds)


async def _seen_health(bench: Workbench, release: ReleaseBody) -> dict[str, Any]:
    """The health check once; without one the `check` script, which must not change anything."""
    check = release.health_check
    has_script = "check" in _spec_of(bench).scripts
    if check is not None or not has_script or not may_run_commands(bench.order):
        probe = looking_probe(bench, check, cwd=bench.release_dir)
        return await seen_health(probe)
    script = write_script(bench.release_dir, "check", _spec_of(bench).scripts["check"])
    env = config_variables(bench.order)
    code, output = await bench.probe(("bash", str(script)), at_most=_LOOK_SECONDS, env=env)
    told = f"the `check` script ended with exit code {code}"
    said = last_words(output)
    reason = None if code == 0 else f"{told}, {said}" if said else told
    return {"healthy": code == 0, "health_reason": reason}


def bounded(argv: tuple[str, ...], seconds: float | None) -> tuple[str, ...]:
    """The command under coreutils' `timeout`: it holds even while no agent lives to count."""
    if seconds is None:
        return argv
    return ("timeout", f"--kill-after={_KILL_AFTER_SECONDS}", str(math.ceil(seconds)), *argv)


def _outcome(name: str, code: int, seconds: float | None) -> VerbOutcome:
    if code == 0:
        return VerbOutcome(ok=True, exit_code=0)
    if seconds is not None and code in _TIMED_OUT:
        told = f"the `{name}` script took longer than its {seconds:g} s and was stopped"
        return failed(told, exit_code=code)
    return failed(f"the `{name}` script ended with exit code {code}", exit_code=code)


def _spec_of(bench: Workbench) -> ScriptSpec:
    return parse_script(release_of(bench.order).spec)
