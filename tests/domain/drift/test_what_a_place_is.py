"""One application on one target: in sync, behind, drifted or unknown, with the words for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from boreas.domain.behind import Ahead, Wanted, newer_for
from boreas.domain.drift import DriftState, Newer, Observation, Place, judged, worst
from boreas.domain.fleet import Agent, LiveRecord
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ReleaseId,
    TargetId,
    VersionId,
)
from boreas.domain.orders import DriverKind, ReleaseBody

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DEPLOYED = NOW - timedelta(hours=2)
LOOKED = NOW - timedelta(minutes=3)
FRESH = timedelta(minutes=15)

LIVE = LiveRecord(
    application_id=ApplicationId("app"),
    target_id=TargetId("tgt"),
    release_id=ReleaseId("rel"),
    deployment_id=DeploymentId("dep"),
    since=DEPLOYED,
)
RELEASE = ReleaseBody(
    release_id=ReleaseId("rel"),
    version_id=VersionId("ver"),
    version="1.3",
    application_id=ApplicationId("app"),
    application="api",
    driver=DriverKind.SCRIPT,
    spec={},
)
AGENT = Agent(id=AgentId("agt"), name="web1", enrolled_at=DEPLOYED, online=True)
AS_DEPLOYED = {"release_id": "rel", "version": "1.3", "certain": True}
NEWER = Newer(version_id="ver4", version="1.4", text="staging runs 1.4", since=LOOKED)


def looked(at: datetime = LOOKED, ok: bool = True, **seen: Any) -> Observation:
    return Observation(
        application_id=LIVE.application_id,
        target_id=LIVE.target_id,
        environment_id=EnvironmentId("env"),
        at=at,
        about=ReleaseId("rel"),
        ok=ok,
        reason=None if ok else "Docker does not answer",
        result={**AS_DEPLOYED, **seen},
    )


PLACE = Place(live=LIVE, release=RELEASE, observation=looked(), agent=AGENT)


def verdict(**changes: Any) -> tuple[str, str]:
    found = judged(replace(PLACE, **changes), now=NOW, fresh_for=FRESH)
    return found.state.value, found.reason


def test_what_runs_as_it_was_deployed_is_in_sync_since_then() -> None:
    assert verdict() == ("in_sync", "1.3 runs as it was deployed")
    assert judged(PLACE, now=NOW, fresh_for=FRESH).since == DEPLOYED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"agent": None}, "its agent was revoked"),
        ({"agent": replace(AGENT, revoked_at=LOOKED)}, "its agent was revoked"),
        ({"agent": replace(AGENT, online=False)}, "the agent web1 is offline"),
        ({"observation": None}, "the agent web1 has not looked yet"),
        ({"observation": looked(NOW - timedelta(minutes=16))}, "the last look is too old"),
        (
            {"observation": looked(ok=False)},
            "the agent cannot see it: Docker does not answer",
        ),
        ({"under_way": "deployment #7"}, "deployment #7 is under way here"),
        ({"live": None, "release": None}, "nothing has been deployed here"),
        (
            {
                "observation": looked(release_id="old", version="1.2"),
                "live": replace(LIVE, since=NOW),
            },
            "nobody has looked since it was deployed",
        ),
    ],
)
def test_what_nobody_can_say_is_unknown(changes: dict[str, Any], reason: str) -> None:
    assert verdict(**changes) == ("unknown", reason)


@pytest.mark.parametrize(
    ("seen", "aspects", "reason"),
    [
        (
            {"release_id": "x", "version": "1.2"},
            ["version"],
            "1.2 is live instead of 1.3",
        ),
        (
            {"release_id": "x", "version": "1.3"},
            ["version"],
            "another deployment of 1.3 is live",
        ),
        ({"release_id": None, "version": None}, ["version"], "nothing is live here"),
        ({"certain": False}, ["version"], "a change was begun here and its end is not known"),
        (
            {"commit": "b" * 40, "recorded": {"commit": "a" * 40}, "certain": False},
            ["commit"],
            f"commit {'b' * 12} is checked out instead of {'a' * 12}",
        ),
        (
            {"changed_files": ["a", "b"], "recorded": {"changed_files": ["b"]}},
            ["files"],
            "changed by hand: a",
        ),
        (
            {"changed_files": list("abcdefg")},
            ["files"],
            "changed by hand: a, b, c, d, e and 2 more",
        ),
        (
            {"digest": "sha256:2", "image": "web:2", "recorded": {"digest": "sha256:1"}},
            ["digest"],
            "the image is web:2, not the one deployed",
        ),
        (
            {"config": {"ports": "1", "command": "x"}, "recorded": {"config": {"ports": "2"}}},
            ["config"],
            "the container's ports changed",
        ),
        (
            {"running": False, "container": "c1", "healthy": None},
            ["running"],
            "the container does not run",
        ),
        (
            {"healthy": False, "health_reason": "HTTP 500"},
            ["health"],
            "it is unhealthy: HTTP 500",
        ),
    ],
)
def test_what_is_not_as_deployed_has_drifted(
    seen: dict[str, Any], aspects: list[str], reason: str
) -> None:
    found = judged(replace(PLACE, observation=looked(**seen)), now=NOW, fresh_for=FRESH)
    assert found.state is DriftState.DRIFTED
    assert [it.aspect.value for it in found.departures] == aspects
    assert found.reason == reason
    assert found.since == LOOKED


def test_drift_counts_from_the_first_look_that_saw_it() -> None:
    seen = replace(looked(healthy=False), drifted_since=DEPLOYED)
    assert judged(replace(PLACE, observation=seen), now=NOW, fresh_for=FRESH).since == DEPLOYED


def test_what_post_deploy_wrote_is_nobodys_mischief() -> None:
    seen = looked(changed_files=["stamp"], recorded={"changed_files": ["stamp"]})
    assert verdict(observation=seen)[0] == "in_sync"


def test_a_newer_version_makes_behind_only_what_is_as_deployed() -> None:
    assert verdict(newer=NEWER) == ("behind", "staging runs 1.4")
    assert verdict(newer=NEWER, observation=looked(healthy=False))[0] == "drifted"
    assert verdict(newer=NEWER, agent=replace(AGENT, online=False))[0] == "unknown"
    assert verdict(newer=NEWER, live=None, release=None)[0] == "behind"


def test_the_worst_place_names_the_environment() -> None:
    states = [DriftState.IN_SYNC, DriftState.BEHIND, DriftState.UNKNOWN, DriftState.DRIFTED]
    for count in range(1, 5):
        assert worst(states[:count]) is states[count - 1]
    assert worst([]) is DriftState.UNKNOWN


def test_the_last_deployment_of_the_environment_is_wanted_first() -> None:
    wanted = Wanted(number=12, version_id="v4", version="1.4")
    ahead = [Ahead(environment="staging", version_id="v5", version="1.5", sequence=5)]
    found = newer_for("v3", 3, wanted, ahead)
    assert found is not None
    assert found.text == "1.4 was last deployed to this environment (#12)"
    found = newer_for("v4", 4, wanted, ahead)
    assert found is not None
    assert found.text == "staging, which comes before, runs 1.5"
    assert newer_for("v5", 5, None, ahead) is None


def test_after_a_way_back_nothing_newer_is_wanted_here() -> None:
    back = Wanted(number=13, version_id=None, version="1.4")
    assert newer_for("v3", 3, back, []) is None


def test_a_target_without_any_release_is_behind_its_own_environment_alone() -> None:
    ahead = [Ahead(environment="staging", version_id="v5", version="1.5", sequence=5)]
    assert newer_for(None, 0, None, ahead) is None
    wanted = Wanted(number=12, version_id="v4", version="1.4")
    assert newer_for(None, 0, wanted, ahead) is not None
