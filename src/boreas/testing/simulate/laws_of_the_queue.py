"""Laws of waiting: who may be where, in which order, and that nobody waits for nothing."""

from collections.abc import Iterator
from dataclasses import replace

from boreas.domain.deployments import IN_FLIGHT, TERMINAL, Deployment, GateState
from boreas.engine.admission import (
    Place,
    contender_of,
    is_queued,
    judge,
    overtaken_by,
    places_of,
)
from boreas.testing.simulate.laws import Law
from boreas.testing.simulate.moment import Moment


def one_active_deployment_per_place(moment: Moment) -> Iterator[str]:
    """At most one deployment at a time holds an application in an environment, and only while it
    lives; whoever has orders under way holds its locks."""
    holders: dict[Place, Deployment] = {}
    for deployment in moment.ledger.open_deployments():
        if deployment.admitted_at is None:
            if any(it.state in IN_FLIGHT for it in deployment.executions):
                yield f"{deployment.id} has orders under way and was never admitted"
            continue
        for place in places_of(deployment):
            if place in holders:
                yield f"{deployment.id} and {holders[place].id} are both active for {place}"
            if moment.ledger.locks.get(place) != deployment.id:
                yield f"{deployment.id} is active and does not hold {place}"
            holders[place] = deployment
    for place, owner in moment.ledger.locks.items():
        if place not in holders:
            yield f"{place} is held by {owner}, which is {moment.ledger.deployments[owner].state}"


def the_queue_keeps_its_order(moment: Moment) -> Iterator[str]:
    """Nobody is admitted before an earlier one that waits for the same place and stays."""
    for change in moment.changes:
        after = change.after
        if change.before is None or change.before.admitted_at or after.admitted_at is None:
            continue
        if after.state in TERMINAL:
            continue
        mine = set(places_of(after))
        for other in moment.ledger.open_deployments():
            waits = is_queued(other) and other.queued_at != moment.now
            if not waits or other.number > after.number or _gives_way(moment, other, after):
                continue
            if mine & set(places_of(other)):
                yield f"{after.id} was admitted before {other.id}"


def _gives_way(moment: Moment, other: Deployment, admitted: Deployment) -> bool:
    """Whether it was about to be superseded, by the one that is admitted or by another."""
    policy = moment.ledger.policies[other.environment_id]
    it = contender_of(other, active=False)
    me = contender_of(replace(admitted, admitted_at=None), active=False)
    newer = (me, *moment.ledger.around(it))
    return any(overtaken_by(rival, [it], policy=policy) for rival in newer)


def nothing_waits_for_nothing(moment: Moment) -> Iterator[str]:
    """What has not ended has an order under way, a timer, a place in the queue or a person to
    wait for; an order under way always has a timer."""
    if not moment.after_round:
        return
    for it in moment.ledger.open_deployments():
        if moment.ledger.is_due(it.id, moment.now):
            continue
        flying = any(row.state in IN_FLIGHT for row in it.executions)
        timer = moment.ledger.due.get(it.id) is not None
        person = it.paused_at is not None or not it.started
        person = person or any(gate.state is GateState.OPEN for gate in it.gates)
        queued = is_queued(it) and _somebody_stands_before(moment, it)
        if flying and not timer:
            yield f"{it.id} has an order under way and no timer"
        if not (flying or timer or person or queued):
            yield f"{it.id} is {it.state} and waits for nothing"


def _somebody_stands_before(moment: Moment, deployment: Deployment) -> bool:
    me = contender_of(deployment, active=False)
    # By the plain rule: one that is superseded is in the way until it was told so.
    return not judge(me, moment.ledger.around(me)).granted


LAWS_OF_THE_QUEUE: tuple[Law, ...] = (
    one_active_deployment_per_place,
    the_queue_keeps_its_order,
    nothing_waits_for_nothing,
)
