"""Put an application on a target as a checkout: `<path>/releases/<commit>`, `<path>/current`.

`stage` fetches into a bare mirror and checks the commit out beside the live one, `activate` moves
the link `current` in one step and runs `post_deploy` in it, `revert` moves it back.
"""

from pathlib import Path
from typing import Any

from boreas.domain.errors import invalid
from boreas.domain.git_names import commit_problem
from boreas.domain.orders import ReleaseBody, VerbOutcome
from boreas.domain.ports import Workbench
from boreas.domain.specs import GitPullSpec, parse_git_pull, placed_git_pull
from boreas.drivers.checking import check_health, probe_for
from boreas.drivers.files import off_loop, point_link, remove_tree, write_script
from boreas.drivers.git_changes import changed_files, restore_files
from boreas.drivers.git_mirror import Mirror, read_pin
from boreas.drivers.ledger import KEEP_LAST, change_begins, change_is_done, read_ledger
from boreas.drivers.observing import looking_probe, seen_health
from boreas.drivers.retiring import prune_release_dirs, unneeded
from boreas.drivers.verbs import (
    DONE,
    config_variables,
    failed,
    place_words,
    release_of,
    releases_needed,
    worded,
)
from boreas.kit.clock import Clock


class GitPullDriver:
    """A bare mirror, one checkout per commit, and a link."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @worded
    async def stage(self, bench: Workbench) -> VerbOutcome:
        """The commit is checked out beside the live one."""
        commit, _ = await _checked_out(bench, release_of(bench.order), steps="stage")
        return VerbOutcome(ok=True, result={"commit": commit})

    @worded
    async def check_staged(self, bench: Workbench) -> VerbOutcome:
        """The checkout is whole; it has no address of its own that a health check could ask."""
        commit, _ = await _checked_out(bench, release_of(bench.order), steps="check_staged")
        await bench.say(f"The checkout of {commit[:12]} is whole; health is asked once it is live.")
        return VerbOutcome(ok=True, result={"commit": commit})

    @worded
    async def activate(self, bench: Workbench) -> VerbOutcome:
        """`current` points at the commit, and `post_deploy` ended well."""
        return await _make_live(bench, steps="activate")

    @worded
    async def revert(self, bench: Workbench) -> VerbOutcome:
        """The same with the previous version, whose checkout is made again if it is gone."""
        return await _make_live(bench, steps="revert")

    @worded
    async def check(self, bench: Workbench) -> VerbOutcome:
        """The live version's health check, run in `current`."""
        release = release_of(bench.order)
        if release.health_check is None:
            return await check_health(bench, None, None, self._clock)
        current = Path(_spec_of(bench, release).path) / "current"
        probe = probe_for(bench, release.health_check, cwd=current, extra=_place_of(current))
        return await check_health(bench, release.health_check, probe, self._clock)

    @worded
    async def retire(self, bench: Workbench) -> VerbOutcome:
        """Remove checkouts that nothing needs."""
        release = release_of(bench.order)
        spec = _spec_of(bench, release)
        if not read_ledger(bench.scope_dir).readable:
            return await _keep_everything(bench)
        keep = _commits_to_keep(bench, spec)
        for directory in unneeded(Path(spec.path) / "releases", keep):
            if commit_problem(directory.name) is None:
                await off_loop(remove_tree, directory)
                (bench.scope_dir / "checkouts" / directory.name).unlink(missing_ok=True)
                await bench.say(f"Removed the checkout of {directory.name[:12]}.")
        await Mirror(bench, release, repository=spec.repository, steps="retire").forget_missing()
        await prune_release_dirs(bench, last=max(spec.keep, KEEP_LAST))
        return DONE

    @worded
    async def observe(self, bench: Workbench) -> VerbOutcome:
        """Where `current` points; not certain when somebody else moved it."""
        ledger = read_ledger(bench.scope_dir)
        release = bench.order.release
        path = ledger.facts.get("path")
        if release is not None:
            path = _spec_of(bench, release).path
        commit = _live_commit(Path(path)) if path else None
        result: dict[str, Any] = {
            "release_id": ledger.release_id,
            "version": ledger.version,
            "commit": commit,
            "certain": ledger.certain and commit == ledger.facts.get("commit"),
            "recorded": {name: ledger.facts.get(name) for name in ("commit", "changed_files")},
        }
        if path and commit:
            checkout = Path(path) / "releases" / commit
            result["changed_files"] = await changed_files(bench, checkout, commit)
        if release is not None and path:
            current = Path(path) / "current"
            extra = _place_of(current)
            probe = looking_probe(bench, release.health_check, cwd=current, extra=extra)
            result |= await seen_health(probe)
        return VerbOutcome(ok=True, result=result)


async def _checked_out(bench: Workbench, release: ReleaseBody, *, steps: str) -> tuple[str, Path]:
    spec = _spec_of(bench, release)
    mirror = Mirror(bench, release, repository=spec.repository, steps=steps)
    commit = await mirror.commit_in_mirror()
    return commit, await mirror.checkout(Path(spec.path) / "releases", commit)


async def _make_live(bench: Workbench, *, steps: str) -> VerbOutcome:
    release = release_of(bench.order)
    spec = _spec_of(bench, release)
    commit, checkout = await _checked_out(bench, release, steps=steps)
    if _was_live(bench, commit):
        await restore_files(bench, checkout, commit, step=f"{steps}:restore")
    change_begins(bench.scope_dir, release)
    current = _switch(Path(spec.path), commit)
    await bench.say(f"{current} points at {commit[:12]}.")
    outcome = await _post_deploy(bench, spec, current, commit)
    if outcome.ok:
        # What `post_deploy` itself writes into tracked files is wanted, and nobody's mischief.
        own = await changed_files(bench, current.resolve(), commit) if spec.post_deploy else ()
        facts = {"commit": commit, "path": spec.path, "changed_files": list(own or ())}
        change_is_done(bench.scope_dir, release, **facts)
    return outcome


def _was_live(bench: Workbench, commit: str) -> bool:
    """Somebody may have changed its files meanwhile; those of a new checkout are as they were."""
    history = read_ledger(bench.scope_dir).history
    return any(read_pin(bench.scope_dir, release_id) == commit for release_id in history)


def _switch(path: Path, commit: str) -> Path:
    current = path / "current"
    if current.exists() and not current.is_symlink():
        raise invalid("spec.path", f"{current} is not a link", "move it away, then deploy again")
    # Relative, so that the whole directory may be moved or mounted elsewhere.
    point_link(current, f"releases/{commit}")
    return current


async def _post_deploy(
    bench: Workbench, spec: GitPullSpec, current: Path, commit: str
) -> VerbOutcome:
    if spec.post_deploy is None:
        return VerbOutcome(ok=True, result={"commit": commit})
    script = write_script(bench.release_dir, "post_deploy", spec.post_deploy)
    env = {**config_variables(bench.order), **_place_of(current), "BOREAS_COMMIT": commit}
    argv = ("bash", str(script))
    code = await bench.run("post_deploy", argv, env=env, cwd=current, tell_secrets=True)
    if code != 0:
        return failed(f"`post_deploy` ended with exit code {code}", exit_code=code, commit=commit)
    return VerbOutcome(ok=True, exit_code=0, result={"commit": commit})


def _place_of(current: Path) -> dict[str, str]:
    """Where the live checkout lies; BOREAS_RELEASE_DIR stays Boreas' own directory of the release.

    The agent knows by BOREAS_RELEASE_DIR which processes of the node it deployed.
    """
    return {"BOREAS_CHECKOUT": str(current.resolve())}


def _commits_to_keep(bench: Workbench, spec: GitPullSpec) -> frozenset[str]:
    ledger = read_ledger(bench.scope_dir)
    live = (_live_commit(Path(spec.path)), ledger.facts.get("commit"))
    releases = (bench.order.release, bench.order.previous)
    named = tuple(one.git.commit for one in releases if one is not None and one.git is not None)
    needed = tuple(read_pin(bench.scope_dir, one) for one in releases_needed(bench.order))
    recent: list[str] = []
    for release_id in ledger.history:
        commit = read_pin(bench.scope_dir, release_id)
        if commit is not None and commit not in recent:
            recent.append(commit)
    known = (*live, *named, *needed, *recent[: spec.keep])
    return frozenset(one for one in known if one is not None)


async def _keep_everything(bench: Workbench) -> VerbOutcome:
    await bench.say("The record of what is live cannot be read: nothing is removed.")
    return DONE


def _live_commit(path: Path) -> str | None:
    try:
        name = (path / "current").readlink().name
    except OSError:
        return None
    return name if commit_problem(name) is None else None


def _spec_of(bench: Workbench, release: ReleaseBody) -> GitPullSpec:
    return placed_git_pull(parse_git_pull(release.spec), place_words(bench.order))
