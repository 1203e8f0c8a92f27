"""What a reader needs of a log file, whether it is still written or closed and compressed."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from boreas.logs.state import OrderLog, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class LogView:
    """A picture of a log at one moment. Leave its `with` block to give the file back."""

    segments: Sequence[Segment]
    count: int
    """How many of the segments belong to this picture; the sequence may grow meanwhile."""
    last_seq: int
    orders: Mapping[int, OrderLog]
    read: Callable[[int], bytes]
    """The records of a segment."""
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def segment_with(self, seq: int) -> int:
        """Which segment holds the line with this number, or would hold it next."""
        found = bisect_right(
            self.segments, seq, hi=self.count, key=lambda segment: segment.first_seq
        )
        return max(0, found - 1)
