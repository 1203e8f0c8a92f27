"""Runs orders: those of one scope strictly one after another, different scopes side by side.

Takes up at start what the journal says is unfinished, in the order in which it was taken.
"""

from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from boreas.agent.journal import Ending, OrderState, Reported, last_word
from boreas.agent.order_run import OrderRun, Tools
from boreas.domain.ids import OrderId
from boreas.domain.orders import OrderBody, Outcome
from boreas.kit.tasks import TaskGroup

logger = structlog.get_logger(__name__)

decode_body = msgspec.msgpack.Decoder(OrderBody).decode


class Runner:
    """Owns every order that is under way. `serve` it in a task before anything is queued."""

    def __init__(self, tools: Tools, tasks: TaskGroup) -> None:
        self._tools = tools
        self._tasks = tasks
        self._queues: dict[str, deque[OrderId]] = {}
        self._running: dict[OrderId, OrderRun] = {}
        self.on_begin: Callable[[str], None] = lambda scope: None
        """Called with the scope before the first order of it begins."""
        self.on_end: Callable[[str], None] = lambda scope: None
        """Called with the scope when none of it is left."""

    def works_on(self, scope: str) -> bool:
        """An order of this scope is under way or waits."""
        return scope in self._queues

    @property
    def is_busy(self) -> bool:
        """Something is under way or waits."""
        return bool(self._queues)

    def resume(self) -> None:
        """Queue what was unfinished when the agent last ended."""
        for order in self._tools.journal.unfinished():
            self.enqueue(order)

    def enqueue(self, order: OrderState) -> None:
        """Run it when all earlier orders of its scope have ended."""
        queue = self._queues.get(order.scope)
        if queue is not None:
            queue.append(order.order_id)
            return
        self._queues[order.scope] = deque([order.order_id])
        self.on_begin(order.scope)
        self._tasks.start(lambda: self._work_off(order.scope), name=f"scope {order.scope}")

    async def cancel(self, order_id: OrderId) -> None:
        """The cancel is journalled; a waiting order ends at once, a running one is stopped."""
        run = self._running.get(order_id)
        if run is not None:
            run.cancel()
            return
        order = self._tools.journal.orders.get(order_id)
        if order is not None and order.finished is None and not order.reports:
            self._queues[order.scope].remove(order_id)
            await self._end_unstarted(order)

    async def _work_off(self, scope: str) -> None:
        queue = self._queues[scope]
        try:
            while queue:
                await self._run(queue.popleft())
        finally:
            del self._queues[scope]
            self.on_end(scope)

    async def _run(self, order_id: OrderId) -> None:
        order = self._tools.journal.orders[order_id]
        run = OrderRun(order, decode_body(order.body), self._tools)
        self._running[order_id] = run
        log = logger.bind(order=order_id, scope=order.scope)
        log.info("order begins", action="order_begins", again=bool(order.reports))
        try:
            await run.run()
        finally:
            del self._running[order_id]
        if order.finished is not None:
            self._tools.secrets.forget(order_id)
            log.info("order ended", action="order_ended", outcome=order.finished.outcome)

    async def _end_unstarted(self, order: OrderState) -> None:
        cancel = self._tools.journal.cancels[order.order_id]
        ending = Ending(Outcome.CANCELLED, cancel.reason or "cancelled before it began")
        report = last_word(order, ending, at=self._tools.clock.now().timestamp())
        await self._tools.journal.write(Reported(report=report))
        self._tools.secrets.forget(order.order_id)
        self._tools.tell(report)
