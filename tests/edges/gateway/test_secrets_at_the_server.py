"""Hazards 49, 50, 52, 53: what goes out with an order, and what an agent cannot make us keep."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.edges.gateway.conftest import House
from tests.edges.gateway.test_agents_at_the_server import agent_with_an_order, finished, next_of

from boreas.domain.delivery import OpenedSecrets
from boreas.domain.errors import Unavailable
from boreas.domain.ids import AgentId, ExecutionId
from boreas.domain.outbox import OutboxRow, Place
from boreas.domain.secrets import SecretRef, SecretsUnavailable
from boreas.logs.chunks import CONTINUES, STDOUT, Chunk, encode, spoken
from boreas.logs.pages import Window
from boreas.logs.reading import Query
from boreas.server.gateway import secrecy
from boreas.server.gateway.places import Places
from boreas.transport.frames import LogStored, Order, ReportTaken

REF = SecretRef(owner_id="var_1", revision=1)
OLD, NEW = "hunter2-the-old-one", "correct-horse-new"


class PlacesWithSecrets(Places):
    """Every order needs one secret variable, also of places that were asked for anew."""

    def learn(self, order: OutboxRow) -> Place:
        return self._known[super().learn(order).execution_id]

    def _remember(self, places: Mapping[ExecutionId, Place]) -> None:
        secret = {"TOKEN": REF}
        super()._remember(
            {id_: replace(place, secret_variables=secret) for id_, place in places.items()}
        )


class VaultInMemory:
    """Fits `Secrets`; `trouble` is raised once for each entry."""

    def __init__(self) -> None:
        self.kept = {REF: OLD}
        self.trouble: list[Exception] = []
        self.opened = 0

    async def opened_for(self, place: Place) -> OpenedSecrets:
        if self.trouble:
            raise self.trouble.pop(0)
        self.opened += 1
        return OpenedSecrets(variables={name: OLD for name in place.secret_variables})

    async def revisions(self, place: Place) -> Sequence[SecretRef]:
        return tuple(self.kept)

    async def values(self, place: Place, revisions: Sequence[SecretRef]) -> Sequence[str]:
        return [self.kept[ref] for ref in revisions]

    def replace(self) -> None:
        self.kept[SecretRef(owner_id="var_1", revision=2)] = NEW


@pytest.fixture
def vault() -> VaultInMemory:
    return VaultInMemory()


@pytest.fixture
async def house(
    tmp_path: Path, vault: VaultInMemory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    monkeypatch.setattr(secrecy, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(secrecy, "_OUTAGE_REST_SECONDS", 0.01)
    async with AsyncExitStack() as stack:
        made = House(tmp_path, make_places=PlacesWithSecrets, secrets=vault)
        await made.open(stack)
        await made.add_token()
        yield made
        await made.logs.aclose()


async def lines_of(house: House) -> list[str]:
    page = await house.logs.page("dep0", "task0", Window.asked(tail=100), Query())
    return [line.message for line in page.lines]


def said(text: bytes, *, goes_on: bool = False) -> bytes:
    flags = CONTINUES if goes_on else 0
    return encode(Chunk(micros=1, stream=STDOUT, flags=flags, payload=text))


async def test_an_order_carries_its_secrets_beside_its_body_and_again_on_the_next_link(
    house: House, vault: VaultInMemory
) -> None:
    agent = house.agent()
    first = await agent.dial()
    await house.deploy_to(AgentId(first.welcomed.welcome.agent_id))
    order = await next_of(first, Order)
    first.session.close()

    second = await agent.dial()
    again = await next_of(second, Order)

    assert isinstance(order, Order)
    assert again == order
    assert msgspec.msgpack.decode(order.secrets, type=OpenedSecrets).variables == {"TOKEN": OLD}
    assert OLD.encode() not in order.body
    assert OLD not in repr(order)
    assert vault.opened == 2


async def test_secrets_that_cannot_be_opened_are_told_in_words(
    house: House, vault: VaultInMemory
) -> None:
    vault.trouble = [SecretsUnavailable("the key 12ab was not given")]

    _, order = await agent_with_an_order(house)

    assert order.secrets == b""
    assert "the key 12ab was not given" in order.trouble


async def test_a_database_that_is_away_delays_the_order_and_does_not_fail_it(
    house: House, vault: VaultInMemory
) -> None:
    vault.trouble = [Unavailable("away"), Unavailable("away")]

    _, order = await agent_with_an_order(house)

    assert order.trouble == ""
    assert order.secrets != b""


async def test_an_agent_that_does_not_mask_cannot_put_a_secret_into_a_log(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    log = dialled.session.open_log(order.order_id, start_offset=0)
    parts = [said(f"is {OLD[:7]}".encode(), goes_on=True), said(f"{OLD[7:]}!\n".encode())]
    whole = said(f"again {OLD} in whole\n".encode())

    await log.send(parts[0])
    await log.send(parts[1] + whole, last=True)
    stored = None
    size = sum(map(len, (*parts, whole)))
    while stored != size:
        frame = await next_of(dialled, LogStored)
        assert isinstance(frame, LogStored)
        stored = frame.offset

    stars = "*" * len(OLD)
    assert await lines_of(house) == [f"is {stars}!", f"again {stars} in whole"]


async def test_what_replaced_a_secret_is_masked_while_the_old_one_is(
    house: House, vault: VaultInMemory
) -> None:
    dialled, order = await agent_with_an_order(house)
    log = dialled.session.open_log(order.order_id, start_offset=0)
    await log.send(spoken(f"{OLD} {NEW}", 1))
    await next_of(dialled, LogStored)

    vault.replace()
    await log.send(spoken(f"{OLD} {NEW}", 2), last=True)
    await next_of(dialled, LogStored)

    first, second = await lines_of(house)
    assert first == f"{'*' * len(OLD)} {NEW}"
    assert second == f"{'*' * len(OLD)} {'*' * len(NEW)}"


async def test_reasons_and_results_are_masked_before_they_are_saved(house: House) -> None:
    dialled, order = await agent_with_an_order(house)
    report = msgspec.structs.replace(
        finished(order.order_id),
        outcome="failed",
        reason=f"cannot log in with {OLD}",
        result={"url": f"https://x:{OLD}@host"},
    )

    dialled.session.control.send(report)
    await next_of(dialled, ReportTaken)

    async with house.store.reading() as tx:
        deployment = await tx.deployments.get("dep0")
    assert OLD not in repr(deployment)
    assert "cannot log in with ***" in repr(deployment)


async def test_masking_goes_on_where_a_server_without_memory_of_the_order_begins(
    tmp_path: Path, house: House, vault: VaultInMemory
) -> None:
    dialled, order = await agent_with_an_order(house)
    places = house.places
    places._known.clear()
    log = dialled.session.open_log(order.order_id, start_offset=0)

    await log.send(spoken(f"token {OLD}", 1), last=True)
    await next_of(dialled, LogStored)

    assert await lines_of(house) == [f"token {'*' * len(OLD)}"]
