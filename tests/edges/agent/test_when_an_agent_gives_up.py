"""After which refusals an agent ends, and after which it dials on."""

import pytest

from boreas.agent.giving_up import FINAL_REFUSALS, MISFIT_SECONDS, GivingUp
from boreas.transport.refusals import Refusal, RefusalCode, ServerNotTrusted

NOT_US = Refusal(RefusalCode.PROTOCOL_VERSION, "another version")


@pytest.mark.parametrize("code", sorted(FINAL_REFUSALS))
@pytest.mark.parametrize("is_newcomer", [True, False])
def test_what_no_waiting_mends_ends_it(code: RefusalCode, is_newcomer: bool) -> None:
    assert GivingUp().is_due(Refusal(code, "no"), is_newcomer=is_newcomer, now=0)


@pytest.mark.parametrize("code", [RefusalCode.NAME_TAKEN, RefusalCode.PROTOCOL_VERSION])
def test_a_newcomer_ends_where_its_person_must_choose_again(code: RefusalCode) -> None:
    assert GivingUp().is_due(Refusal(code, "no"), is_newcomer=True, now=0)


@pytest.mark.parametrize(
    "code", [RefusalCode.BUSY, RefusalCode.TOO_SLOW, RefusalCode.ALREADY_CONNECTED]
)
def test_what_waiting_mends_is_waited_for(code: RefusalCode) -> None:
    assert not GivingUp().is_due(Refusal(code, "no"), is_newcomer=True, now=0)


def test_a_member_of_the_fleet_outlives_an_upgrade_of_the_server_that_is_taken_back() -> None:
    giving_up = GivingUp()

    for now in range(0, int(MISFIT_SECONDS), 30):
        assert not giving_up.is_due(NOT_US, is_newcomer=False, now=now)
    giving_up.welcomed()

    assert not giving_up.is_due(NOT_US, is_newcomer=False, now=MISFIT_SECONDS + 1)


def test_a_member_of_the_fleet_ends_when_no_server_speaks_its_version_any_more() -> None:
    giving_up = GivingUp()
    assert not giving_up.is_due(NOT_US, is_newcomer=False, now=0)

    assert giving_up.is_due(NOT_US, is_newcomer=False, now=MISFIT_SECONDS)


def test_only_a_newcomer_ends_at_a_server_that_is_not_the_one_it_was_sent_to() -> None:
    wrong = ServerNotTrusted("another server")

    assert GivingUp().is_due(wrong, is_newcomer=True, now=0)
    assert not GivingUp().is_due(wrong, is_newcomer=False, now=0)
