"""Is what is live on an environment's targets what was deployed there? Pure.

Agents look (`Observation`), deployments prove (`LiveRecord`); here the two are compared. One place
is one application on one target. What a place is, is the first of these that holds:

* unknown: nothing can be said (the agent is away, the last look is too old or failed, a deployment
  is under way there);
* drifted: the last look saw something else than was deployed, or an unhealthy application;
* behind: all is as deployed, and a newer version is wanted here (`Newer`);
* in_sync.

An environment is what the worst of its places is: drifted, then unknown, behind, in sync.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from boreas.domain.fleet import Agent, LiveRecord
from boreas.domain.ids import ApplicationId, EnvironmentId, ReleaseId, TargetId
from boreas.domain.orders import ReleaseBody


class DriftState(StrEnum):
    """What a place or an environment is."""

    IN_SYNC = "in_sync"
    BEHIND = "behind"
    DRIFTED = "drifted"
    UNKNOWN = "unknown"


class Aspect(StrEnum):
    """In which way something is not as it was deployed."""

    VERSION = "version"
    COMMIT = "commit"
    FILES = "files"
    DIGEST = "digest"
    CONFIG = "config"
    RUNNING = "running"
    HEALTH = "health"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What an agent last saw live in one place.

    `result` is the driver's answer: `release_id`, `version`, `certain`, `healthy`, and what it can
    tell besides; `recorded` in it is what the same driver saw when the release became live.
    """

    application_id: ApplicationId
    target_id: TargetId
    environment_id: EnvironmentId
    at: datetime
    about: ReleaseId
    """The release that was live when the agent was told to look."""
    ok: bool
    reason: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    drifted_since: datetime | None = None
    """When the first of an unbroken row of looks saw a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One way in which a place is not as it was deployed."""

    aspect: Aspect
    wanted: str | None
    seen: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """A version that is wanted in a place, and why: for people."""

    version_id: str
    version: str
    text: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """All that is known of one application on one target."""

    live: LiveRecord | None
    release: ReleaseBody | None = None
    observation: Observation | None = None
    agent: Agent | None = None
    under_way: str | None = None
    """A deployment that is changing this application here, in words."""
    newer: Newer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a place is, since when and why."""

    state: DriftState
    reason: str
    since: datetime | None = None
    departures: tuple[Departure, ...] = ()


_OF_FILES_SHOWN: Final = 5
_WORST_FIRST: Final = (
    DriftState.DRIFTED,
    DriftState.UNKNOWN,
    DriftState.BEHIND,
    DriftState.IN_SYNC,
)


def judged(place: Place, *, now: datetime, fresh_for: timedelta) -> Verdict:
    """What the place is; a look older than `fresh_for` says nothing any more."""
    if place.live is None or place.live.release_id is None or place.release is None:
        return _nothing_live(place)
    if place.under_way is not None:
        return Verdict(state=DriftState.UNKNOWN, reason=f"{place.under_way} is under way here")
    if (doubt := _doubt(place, now, fresh_for)) is not None:
        return doubt
    assert place.observation is not None
    departures = departures_of(place.live, place.release, place.observation)
    if departures:
        reason = "; ".join(it.text for it in departures)
        since = place.observation.drifted_since or place.observation.at
        return Verdict(state=DriftState.DRIFTED, reason=reason, since=since, departures=departures)
    if place.newer is not None:
        return _behind(place.newer)
    reason = f"{place.release.version} runs as it was deployed"
    return Verdict(state=DriftState.IN_SYNC, reason=reason, since=place.live.since)


def worst(states: Iterable[DriftState]) -> DriftState:
    """What an environment with such places is; without any it is unknown."""
    found = Counter(states)
    return next((it for it in _WORST_FIRST if found[it]), DriftState.UNKNOWN)


def departures_of(
    live: LiveRecord, release: ReleaseBody, observation: Observation
) -> tuple[Departure, ...]:
    """Every difference between what was deployed and what was seen; none if nobody could look."""
    if not observation.ok:
        return ()
    seen = observation.result
    other = _other_version(live, release, seen)
    if other is not None:
        return (other, *_state_departures(seen))
    recorded = seen.get("recorded") or {}
    found = [*_content_departures(recorded, seen), *_state_departures(seen)]
    if not found and seen.get("certain") is False:
        text = "a change was begun here and its end is not known"
        found.append(_departure(Aspect.VERSION, release.version, None, text))
    return tuple(found)


def _nothing_live(place: Place) -> Verdict:
    if place.newer is not None:
        return _behind(place.newer)
    return Verdict(state=DriftState.UNKNOWN, reason="nothing has been deployed here")


def _behind(newer: Newer) -> Verdict:
    return Verdict(state=DriftState.BEHIND, reason=newer.text, since=newer.since)


def _doubt(place: Place, now: datetime, fresh_for: timedelta) -> Verdict | None:
    """Why nothing can be said."""
    agent, observation = place.agent, place.observation
    if agent is None or agent.revoked_at is not None:
        return _unknown("its agent was revoked", agent.revoked_at if agent else None)
    if not agent.online:
        return _unknown(f"the agent {agent.name} is offline", agent.last_seen_at)
    if observation is None:
        return _unknown(f"the agent {agent.name} has not looked yet")
    if now - observation.at > fresh_for:
        return _unknown("the last look is too old", observation.at)
    if not observation.ok:
        return _unknown(f"the agent cannot see it: {observation.reason}", observation.at)
    assert place.live is not None
    is_same = observation.result.get("release_id") == place.live.release_id
    if not is_same and observation.at < place.live.since:
        return _unknown("nobody has looked since it was deployed", place.live.since)
    return None


def _unknown(reason: str, since: datetime | None = None) -> Verdict:
    return Verdict(state=DriftState.UNKNOWN, reason=reason, since=since)


def _other_version(
    live: LiveRecord, release: ReleaseBody, seen: Mapping[str, Any]
) -> Departure | None:
    if seen.get("release_id") == live.release_id:
        return None
    version = seen.get("version")
    if seen.get("release_id") is None:
        what = seen.get("image") or seen.get("commit")
        text = f"something else runs here ({what})" if what else "nothing is live here"
    elif version == release.version:
        text = f"another deployment of {version} is live"
    else:
        text = f"{version} is live instead of {release.version}"
    return _departure(Aspect.VERSION, release.version, version, text)


def _content_departures(
    recorded: Mapping[str, Any], seen: Mapping[str, Any]
) -> Iterable[Departure]:
    wanted, commit = recorded.get("commit"), seen.get("commit")
    if wanted and wanted != commit:
        text = f"commit {_short(commit)} is checked out instead of {_short(wanted)}"
        yield _departure(Aspect.COMMIT, wanted, commit, text)
    else:
        yield from _file_departures(recorded, seen)
    for name in ("digest", "image_id"):
        wanted, now = recorded.get(name), seen.get(name)
        if wanted and now and wanted != now:
            text = f"the image is {seen.get('image') or _short(now)}, not the one deployed"
            yield _departure(Aspect.DIGEST, wanted, now, text)
            break
    yield from _config_departures(recorded.get("config") or {}, seen.get("config") or {})


def _file_departures(recorded: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterable[Departure]:
    excused = set(recorded.get("changed_files") or ())
    changed = [name for name in seen.get("changed_files") or () if name not in excused]
    if changed:
        shown = ", ".join(changed[:_OF_FILES_SHOWN])
        more = len(changed) - _OF_FILES_SHOWN
        told = f"{shown} and {more} more" if more > 0 else shown
        yield _departure(Aspect.FILES, None, told, f"changed by hand: {told}")


def _config_departures(recorded: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterable[Departure]:
    """Fingerprints only: that a part changed is known, not what it is."""
    changed = sorted(name for name in recorded.keys() & seen.keys() if recorded[name] != seen[name])
    if changed:
        told = ", ".join(changed)
        yield _departure(Aspect.CONFIG, None, told, f"the container's {told} changed")


def _state_departures(seen: Mapping[str, Any]) -> Sequence[Departure]:
    if seen.get("running") is False and seen.get("container"):
        return [_departure(Aspect.RUNNING, "running", "stopped", "the container does not run")]
    if seen.get("running") is False:
        return [_departure(Aspect.RUNNING, "running", "gone", "the container is gone")]
    if seen.get("healthy") is False:
        detail = seen.get("health_reason")
        text = f"it is unhealthy: {detail}" if detail else "it is unhealthy"
        return [_departure(Aspect.HEALTH, "healthy", "unhealthy", text)]
    return []


def _departure(aspect: Aspect, wanted: str | None, seen: str | None, text: str) -> Departure:
    return Departure(aspect=aspect, wanted=wanted, seen=seen, text=text)


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:12] if digest else "none"
