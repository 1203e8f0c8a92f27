"""Which execution an order belongs to, remembered: asked for at every report and log stream."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

import msgspec

from boreas.domain.delivery import CredentialUse
from boreas.domain.ids import AgentId, ExecutionId, TaskId
from boreas.domain.outbox import OutboxRow, Place
from boreas.domain.secrets import SecretRef
from boreas.server.gateway.ports import Registry

_REMEMBERED = 20_000


class _Named(msgspec.Struct):
    """What an order's body says of its place."""

    execution_id: ExecutionId
    task_id: TaskId
    target: str
    secret_variables: dict[str, SecretRef] = {}
    credentials: dict[str, CredentialUse] = {}


class Places:
    """A bounded memory in front of the registry; places never change."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: OrderedDict[ExecutionId, Place] = OrderedDict()

    def learn(self, order: OutboxRow) -> Place:
        """An order that goes out: its reports and its log come soon, and need not ask for it."""
        named = msgspec.msgpack.decode(order.body, type=_Named)
        place = Place(
            execution_id=named.execution_id,
            deployment_id=order.deployment_id,
            task_id=named.task_id,
            target=named.target,
            agent_id=order.agent_id,
            secret_variables=named.secret_variables,
            credentials=named.credentials,
        )
        self._remember({named.execution_id: place})
        return place

    async def of_orders(self, order_ids: Collection[str], agent_id: AgentId) -> Mapping[str, Place]:
        """The places of those orders that are this agent's; all others are left out."""
        executions = {order: execution_of(order) for order in order_ids}
        missing = {e for e in executions.values() if e not in self._known}
        if missing:
            self._remember(await self._registry.places(missing))
        found = {order: self._known.get(execution) for order, execution in executions.items()}
        return {o: place for o, place in found.items() if place and place.agent_id == agent_id}

    def _remember(self, places: Mapping[ExecutionId, Place]) -> None:
        self._known.update(places)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def execution_of(order_id: str) -> ExecutionId:
    """Order ids are `<execution>#<attempt>`."""
    return ExecutionId(order_id.rsplit("#", 1)[0])
