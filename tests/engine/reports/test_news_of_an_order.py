"""Duplicates, out-of-order and late reports change nothing; true news changes one execution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boreas.domain.events import ExecutionReport
from boreas.engine.reports import apply_reports
from boreas.testing.builders import NOON, a_ground, a_step, a_strategy, an_application, live_with
from boreas.testing.rollout import Rollout


def a_rollout(*steps, hosts=2):
    web = an_application(hosts=hosts)
    ground = a_ground(web, live=live_with("v1", web))
    return Rollout(ground, strategy=a_strategy(*(steps or (a_step(1, back=True),))))


def news(kind="finished", order="d1.1#1", **more) -> ExecutionReport:
    return ExecutionReport(order_id=order, kind=kind, at=NOON, **more)


def after(rollout, *reports):
    return apply_reports(rollout.deployment, reports, NOON)


def test_started_makes_it_running():
    row = after(a_rollout(), news("started")).next.executions[0]

    assert (row.state, row.started_at) == ("running", NOON)


def test_a_verb_makes_it_running_and_is_shown():
    row = after(a_rollout(), news("verb", verb="activate")).next.executions[0]

    assert (row.state, row.verb) == ("running", "activate")


def test_the_check_begins_at_active_time():
    rollout = a_rollout()
    row = after(rollout, news("verb", verb="check")).next.executions[0]

    assert row.checking_since == 0.0


def test_after_the_check_nothing_is_checked_any_more():
    reports = (news("verb", verb="check"), news("verb", verb="retire"))

    assert after(a_rollout(), *reports).next.executions[0].checking_since is None


@pytest.mark.parametrize("late", ["stage", "activate", "check"])
def test_an_earlier_verb_that_comes_later_changes_nothing(late):
    rollout = a_rollout()
    rollout.report(rollout.in_flight()[0], "verb", verb="check")

    assert after(rollout, news("verb", verb=late)).next is rollout.deployment


def test_an_unknown_verb_only_says_that_it_runs():
    row = after(a_rollout(), news("verb", verb="dance")).next.executions[0]

    assert (row.state, row.verb) == ("running", None)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("success", "success"),
        ("failed", "failed"),
        ("lost", "lost"),
        ("refused", "failed"),
        ("cancelled", "failed"),
        ("gibberish", "failed"),
        (None, "failed"),
    ],
)
def test_every_outcome_is_one_final_state(outcome, state):
    row = after(a_rollout(), news(outcome=outcome)).next.executions[0]

    assert (row.state, row.completed_at) == (state, NOON)


def test_a_finish_without_a_start_counts():
    row = after(a_rollout(), news(outcome="success", exit_code=0)).next.executions[0]

    assert (row.state, row.exit_code, row.started_at) == ("success", 0, NOON)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"outcome": "failed", "reason": "boom"}, "boom"),
        ({"outcome": "failed", "exit_code": 3}, "exit code 3"),
        ({"outcome": "failed"}, "no reason given"),
        ({"outcome": "lost"}, "lost: the agent cannot know"),
        ({"outcome": "lost", "reason": "rebooted"}, "lost: rebooted"),
        ({"outcome": "refused", "reason": "lower fence"}, "refused by the agent: lower fence"),
        ({"outcome": "cancelled"}, "stopped on its node"),
    ],
)
def test_every_bad_end_has_a_reason(report, reason):
    assert after(a_rollout(), news(**report)).next.executions[0].reason == reason


def test_an_order_that_the_agent_does_not_hold_is_lost():
    decision = after(a_rollout(), news("unknown"))

    assert decision.next.executions[0].state == "lost"
    assert "does not hold this order" in decision.notices[0].text


def test_success_proves_what_is_live():
    (change,) = after(a_rollout(), news(outcome="success")).live

    assert (change.release_id, change.uncertain_release_id) == ("web@v2", None)


@pytest.mark.parametrize("outcome", ["failed", "lost", "cancelled"])
def test_a_bad_end_proves_nothing(outcome):
    assert after(a_rollout(), news(outcome=outcome)).live == ()


def test_a_refused_order_restores_what_was_known():
    (change,) = after(a_rollout(), news(outcome="refused")).live

    assert (change.release_id, change.uncertain_release_id) == ("web@v1", None)


def test_a_successful_way_back_restores_the_record():
    rollout = a_rollout()
    rollout.fail("n1")
    rollout.finish("n1")

    record = rollout.live["web", "t1"]
    assert (record.release_id, record.uncertain_release_id) == ("web@v1", None)


@pytest.mark.parametrize(
    "report",
    [
        news("started"),
        news("verb", verb="check"),
        news(outcome="success"),
        news("unknown"),
    ],
)
def test_repeated_or_late_news_of_a_finished_order_changes_nothing(report):
    rollout = a_rollout()
    rollout.finish("n1")

    decision = after(rollout, report)

    assert decision.next is rollout.deployment
    assert decision.live == ()
    assert decision.notices == ()


def test_contradicting_late_news_is_told_but_changes_nothing():
    rollout = a_rollout()
    rollout.finish("n1")

    decision = after(rollout, news(outcome="failed"))

    assert decision.next is rollout.deployment
    assert decision.notices[0].text == "late news changes nothing: failed after success"


@pytest.mark.parametrize("order", ["d1.99#1", "d1.1#2", "other.1#1", "", "#", "d1.1"])
def test_news_of_an_order_that_is_not_ours_is_told(order):
    rollout = a_rollout()

    decision = after(rollout, news(order=order, outcome="success"))

    assert decision.next is rollout.deployment
    assert decision.notices[0].code == "report_unknown"


def test_news_of_an_order_that_was_never_sent_is_told():
    rollout = a_rollout()

    decision = after(rollout, news(order="d1.2#1", outcome="success"))

    assert decision.next is rollout.deployment
    assert decision.notices[0].code == "report_early"


def test_news_of_an_unknown_kind_is_told():
    decision = after(a_rollout(), news("song"))

    assert decision.notices[0].code == "report_unknown"


def test_a_finished_deployment_takes_no_news():
    rollout = a_rollout(hosts=1)
    rollout.run()

    decision = apply_reports(rollout.deployment, [news(outcome="failed")], NOON)

    assert decision.next is rollout.deployment


def test_reports_send_nothing():
    decision = after(a_rollout(), news(outcome="failed"))

    assert decision.orders == ()
    assert decision.cancels == ()
    assert not decision.take_fence


def test_unchanged_rows_stay_the_same_objects():
    rollout = a_rollout()
    decision = after(rollout, news("started"))

    assert decision.next.executions[1] is rollout.deployment.executions[1]
    assert decision.next.tasks is rollout.deployment.tasks


anything = st.builds(
    news,
    st.sampled_from(["started", "verb", "finished", "unknown"]),
    outcome=st.sampled_from(["success", "failed", "cancelled", "lost", "refused"]),
    verb=st.sampled_from(["stage", "activate", "check", "retire"]),
)


@given(st.lists(anything, min_size=1, max_size=8))
def test_the_first_end_of_an_order_is_its_only_end(reports):
    deployment = a_rollout().deployment
    ends = []
    for report in reports:
        deployment = apply_reports(deployment, [report], NOON).next
        if deployment.executions[0].completed_at is not None:
            ends.append(deployment.executions[0])

    assert all(it is ends[0] for it in ends)


@given(st.lists(anything, min_size=1, max_size=8))
def test_the_same_news_again_is_no_news(reports):
    once = apply_reports(a_rollout().deployment, reports, NOON).next

    if once.executions[0].completed_at is not None:
        assert apply_reports(once, reports, NOON).next is once


@given(st.lists(anything, min_size=1, max_size=6))
def test_one_by_one_is_as_good_as_all_together(reports):
    start = a_rollout().deployment
    together = apply_reports(start, reports, NOON).next
    one_by_one = start
    for report in reports:
        one_by_one = apply_reports(one_by_one, [report], NOON).next

    assert one_by_one.executions == together.executions
