"""Where a fault that nobody foresaw stops, so that one part cannot sink the others."""

from types import TracebackType
from typing import Protocol, Self


class Log(Protocol):
    """Where the fault is told with its traceback."""

    def exception(self, event: str, /, **fields: object) -> object: ...


class Bulkhead:
    """Everything inside may fail; what is outside goes on, and the log has the cause.

    `fault` is the error, once the block is left by one. Cancelling and the end of the process pass
    through. Only where a part of its own ends anyway: a deployment's decision, an agent's session,
    an order. Elsewhere an error is named, or it is nobody's business to catch it.
    """

    def __init__(self, log: Log, event: str, **fields: object) -> None:
        self._log = log
        self._event = event
        self._fields = fields
        self.fault: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.fault = error
        self._log.exception(self._event, exc_info=error, **self._fields)
        return True
