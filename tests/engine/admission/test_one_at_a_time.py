"""At most one active deployment per application and environment; others queue as created."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.deployments import Origin
from boreas.domain.projects import QueuePolicy
from boreas.engine import people_targets
from boreas.engine.admission import (
    Contender,
    contender_of,
    field_of,
    judge,
    overtaken_by,
    standing,
    superseder,
)
from boreas.engine.snapshot import Admission, Holder
from boreas.testing.builders import (
    a_deployment,
    a_ground,
    a_step,
    a_strategy,
    an_application,
    live_with,
)
from boreas.testing.rollout import Rollout


def one(number, *apps, active=False, automatic=False, ready=True, env="prod"):
    return Contender(
        deployment_id=f"d{number}",
        number=number,
        places=frozenset((env, app) for app in apps or ("web",)),
        automatic=automatic,
        active=active,
        ready=ready,
    )


def auto(number, *apps, **more):
    return one(number, *apps, automatic=True, **more)


# --- the queue ---------------------------------------------------------------------------------


def test_alone_it_is_admitted():
    assert judge(one(1), []).granted


def test_itself_is_no_rival():
    assert judge(one(1), [one(1, active=True)]).granted


def test_an_active_one_is_waited_for():
    admission = judge(one(2), [one(1, active=True)])

    assert not admission.granted
    assert admission.place == 1
    assert admission.holders == (
        Holder(deployment_id="d1", number=1, application_id="web", active=True),
    )


def test_even_an_active_one_that_was_created_later_is_waited_for():
    assert not judge(one(1), [one(2, active=True)]).granted


def test_the_order_is_the_order_of_creation():
    assert judge(one(1), [one(2), one(3)]).granted
    assert not judge(one(2), [one(1), one(3)]).granted


def test_the_place_counts_those_who_wait_before():
    admission = judge(one(4), [one(1, active=True), one(2), one(3), one(5)])

    assert admission.place == 3
    assert [it.number for it in admission.holders] == [1, 2, 3]


def test_one_that_waits_for_a_person_before_its_start_blocks_nobody():
    assert judge(one(2), [one(1, ready=False)]).granted


@pytest.mark.parametrize(
    ("mine", "theirs", "granted"),
    [
        (("web",), ("api",), True),
        (("web",), ("web",), False),
        (("web", "api"), ("api",), False),
        (("web",), ("web", "api"), False),
        (("web", "api"), ("jobs", "api"), False),
    ],
)
def test_only_a_shared_application_makes_them_wait(mine, theirs, granted):
    assert judge(one(2, *mine), [one(1, *theirs, active=True)]).granted is granted


def test_another_environment_is_another_lock():
    assert judge(one(2), [one(1, active=True, env="staging")]).granted


def test_a_waiting_one_with_several_applications_is_not_overtaken():
    waiting = one(2, "web", "api")
    others = [one(1, "web", active=True), waiting]

    assert not judge(one(3, "api"), others).granted


# --- coalesce ----------------------------------------------------------------------------------


def test_the_newest_waiting_automatic_one_supersedes_the_older():
    admission = judge(auto(2), [one(1, active=True), auto(3), auto(4)], policy=QueuePolicy.COALESCE)

    assert (admission.superseded_by, admission.superseded_by_number) == ("d4", 4)


def test_with_a_plain_queue_nothing_is_superseded():
    assert judge(auto(2), [auto(3)]).superseded_by is None


@pytest.mark.parametrize(
    ("me", "other"),
    [
        (one(2), auto(3)),
        (auto(2), one(3)),
        (auto(2, active=True), auto(3)),
        (auto(2), auto(3, active=True)),
        (auto(2), auto(3, ready=False)),
        (auto(2), auto(1)),
        (auto(2, "web", "api"), auto(3, "web")),
        (auto(2), auto(3, env="staging")),
    ],
)
def test_who_does_not_give_way(me, other):
    assert superseder(me, [other]) is None


def test_a_newer_one_that_covers_more_supersedes_too():
    assert superseder(auto(2, "web"), [auto(3, "web", "api")]) is not None


def test_one_that_gives_way_keeps_nobody_waiting():
    assert judge(auto(3), [auto(2)], policy=QueuePolicy.COALESCE).granted


def test_a_manual_one_is_never_dropped_and_still_stands_first():
    assert not judge(auto(3), [one(2)], policy=QueuePolicy.COALESCE).granted


def test_a_running_one_is_never_superseded():
    admission = judge(auto(3), [auto(2, active=True)], policy=QueuePolicy.COALESCE)

    assert not admission.granted
    assert admission.superseded_by is None


def test_those_who_give_way_are_told_when_it_begins_to_wait():
    others = [one(1, active=True), auto(2), one(3), auto(4, "api"), auto(6)]

    assert overtaken_by(auto(5), others, policy=QueuePolicy.COALESCE) == ("d2",)
    assert overtaken_by(auto(5), others, policy=QueuePolicy.QUEUE) == ()


# --- outdated ----------------------------------------------------------------------------------


def test_an_older_version_never_deploys_itself_after_a_newer_one():
    admission = judge(auto(2), [], newer_version="v9")

    assert admission.newer_version_deployed == "v9"
    assert not admission.granted


def test_a_person_may_deploy_an_older_version():
    assert judge(one(2), [], newer_version="v9").granted


# --- how it stands -----------------------------------------------------------------------------


def stands(me, others):
    return standing(me, others, policy=QueuePolicy.QUEUE, newer_version=None)


def test_nobody_is_before_it_and_yet_it_has_no_locks():
    admission = stands(one(1), [])

    assert not admission.granted
    assert admission.holders == ()


def test_it_is_granted_what_it_holds_whoever_waits():
    assert stands(one(2), [one(1), one(2, active=True)]).granted


def test_a_field_knows_who_is_near():
    field = field_of([one(1, active=True), one(2, "web", "api"), one(3, "api"), one(4, "jobs")])

    assert {it.number for it in field.around(one(5))} == {1, 2}


def test_a_field_follows_who_is_admitted_and_who_goes():
    field = field_of([one(1)]).with_contender(one(2)).with_contender(one(1, active=True))
    left = field.with_contender(one(2, ready=False))

    assert {(it.number, it.active) for it in field.around(one(3))} == {(1, True), (2, False)}
    assert {it.number for it in left.around(one(3))} == {1}


# --- what the deployment makes of it -----------------------------------------------------------


def queued(admission, **request):
    rollout = Rollout(granted=False, **request)
    rollout.admission = admission
    rollout.decide()
    return rollout


HELD = (Holder(deployment_id="d0", number=12, application_id="web", active=True),)


def test_a_queued_deployment_shows_its_place_and_the_holder():
    rollout = queued(Admission(granted=False, place=1, holders=HELD))

    assert rollout.state == "pending"
    assert rollout.waits() == ["queued: place 1, behind #12 (web, under way)"]
    assert rollout.last.wants_admission


def test_when_the_locks_are_its_own_it_begins():
    rollout = queued(Admission(granted=False, place=1, holders=HELD))
    rollout.wait(60)
    rollout.admission = Admission(granted=True)
    rollout.decide()

    assert rollout.state == "running"
    assert rollout.deployment.admitted_at == rollout.now
    assert rollout.fences == 1


def test_a_superseded_one_says_by_whom():
    admission = Admission(granted=False, superseded_by="d9", superseded_by_number=9)
    rollout = queued(admission, origin=Origin.AUTOMATIC)

    assert rollout.state == "cancelled"
    assert rollout.deployment.error_message == "superseded by #9"
    assert rollout.deployment.superseded_by == "d9"


def test_an_outdated_one_says_what_is_newer():
    admission = Admission(granted=False, newer_version_deployed="v9")
    rollout = queued(admission, origin=Origin.AUTOMATIC)

    assert rollout.state == "cancelled"
    assert "the newer version v9" in rollout.deployment.error_message


def test_with_the_policy_reject_it_gives_up_at_once():
    rollout = queued(Admission(granted=False, holders=HELD, policy=QueuePolicy.REJECT))

    assert rollout.state == "cancelled"
    assert "rejected: #12 is being deployed here" in rollout.deployment.error_message


def test_a_rejected_one_was_never_started_anywhere():
    rollout = queued(Admission(granted=False, holders=HELD, policy=QueuePolicy.REJECT))

    assert set(rollout.states()) == {"skipped"}
    assert rollout.sent == []


def test_the_locks_are_released_at_the_end():
    rollout = Rollout()
    rollout.run()

    assert rollout.state == "success"
    assert not rollout.last.wants_admission


def test_a_deployment_becomes_a_contender():
    deployment = a_deployment(origin=Origin.AUTOMATIC)

    contender = contender_of(deployment, active=False)

    assert (contender.number, contender.automatic, contender.ready) == (1, True, False)


def test_a_plan_that_is_no_longer_a_first_deployment_gets_its_canary_back():
    web = an_application(hosts=3)
    strategy = a_strategy(a_step(1, canary="0.1"), a_step(0))
    rollout = Rollout(a_ground(web), strategy=strategy, granted=False)
    assert rollout.task("web-deploy").first_deployment
    rollout.live = live_with("v1", web)
    rollout.admission = Admission(granted=True)
    rollout.decide()

    assert rollout.busy() == ["n1"]
    assert not rollout.task("web-deploy").first_deployment
    assert "replanned" in {it.code for it in rollout.notices}


def test_blue_green_stays_all_at_once_whatever_is_live_by_then():
    web = an_application(hosts=3, can_stage=False)
    strategy = a_strategy(a_step(1), kind="blue_green")
    rollout = Rollout(a_ground(web), strategy=strategy, granted=False)
    rollout.live = live_with("v1", web)
    rollout.admission = Admission(granted=True)
    rollout.decide()

    assert rollout.busy() == ["n1", "n2", "n3"]
    assert not rollout.task("web-deploy").first_deployment


def test_a_target_ignored_before_the_start_does_not_keep_the_canary_away():
    web = an_application(hosts=3)
    strategy = a_strategy(a_step(1, canary="0.1"), a_step(0))
    rollout = Rollout(a_ground(web), strategy=strategy, granted=False)
    rollout.wish(people_targets.ignore_target, "t3", "bo")
    rollout.live = live_with("v1", web)
    rollout.admission = Admission(granted=True)
    rollout.decide()

    assert rollout.busy() == ["n1"]


apps = st.sets(st.sampled_from(("web", "api", "jobs")), min_size=1)


@given(
    st.lists(st.tuples(apps, st.booleans()), min_size=1, max_size=8),
    st.sampled_from((QueuePolicy.QUEUE, QueuePolicy.COALESCE)),
)
def test_admitting_one_after_another_never_shares_an_application(wanted, policy):
    waiting = [one(n, *its, automatic=a) for n, (its, a) in enumerate(wanted, start=1)]
    active: list[Contender] = []
    for me in list(waiting):
        others = [*active, *(it for it in waiting if it not in active)]
        if judge(me, others, policy=policy).granted:
            active.append(replace(me, active=True))
            waiting.remove(me)

    held = [place for it in active for place in it.places]
    assert len(held) == len(set(held))


@given(st.lists(st.tuples(apps, st.booleans()), min_size=1, max_size=8))
def test_somebody_can_always_go_on(wanted):
    waiting = [one(n, *its, automatic=a) for n, (its, a) in enumerate(wanted, start=1)]

    for policy in (QueuePolicy.QUEUE, QueuePolicy.COALESCE):
        verdicts = [judge(me, waiting, policy=policy) for me in waiting]
        assert any(it.granted for it in verdicts)
