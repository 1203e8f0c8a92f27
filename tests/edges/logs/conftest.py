"""A store in a directory of its own, and short ways to fill and read it."""

import pytest

from boreas.kit.clock import VirtualClock
from boreas.logs.chunks import STDOUT, Chunk, OutputSplitter, encode
from boreas.logs.lines import micros_of
from boreas.logs.pages import Window
from boreas.logs.reading import EVERYTHING
from boreas.logs.store import LogSource, LogStore


class Bench:
    """Drives a store; `reopen` is what a restart of the server does."""

    def __init__(self, directory):
        self.directory = directory
        self.clock = VirtualClock()
        self.start = micros_of(self.clock.now()) - 3_600_000_000
        self.store = LogStore(directory, self.clock)
        self.sent = {}

    def reopen(self):
        self.store = LogStore(self.directory, self.clock)
        return self.store

    def source(self, order="d1.1#1", task="t1", target="web-1", deployment="d1"):
        execution = order.partition("#")[0]
        return LogSource(
            deployment=deployment, task=task, execution_id=execution, target=target, order_id=order
        )

    def chunk(self, payload, *, at=0, stream=STDOUT, flags=0):
        micros = self.start + at
        return encode(Chunk(micros=micros, stream=stream, flags=flags, payload=payload))

    def split(self, raw, *, at=0):
        splitter = OutputSplitter(STDOUT)
        return splitter.feed(raw, self.start + at) + splitter.end(self.start + at)

    def append(self, encoded, **source):
        """The next bytes of an order."""
        key = self.source(**source)
        stored = self.store.append(key, self.sent.get(key, 0), encoded)
        self.sent[key] = stored
        return stored

    def write(self, *lines, at=0, **source):
        return self.append(self.chunk("".join(f"{x}\n" for x in lines).encode(), at=at), **source)

    async def page(self, query=EVERYTHING, *, task="t1", deployment="d1", **asked):
        return await self.store.page(deployment, task, Window.asked(**asked), query)

    async def messages(self, query=EVERYTHING, **asked):
        page = await self.page(query, **({"tail": 10_000} | asked))
        return [line.message for line in page.lines]

    def log_file(self, suffix=".log"):
        (path,) = self.directory.glob(f"d1/t1{suffix}")
        return path


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def new_bench(tmp_path_factory, monkeypatch):
    """For property tests: an empty one for every example, with segments so small that few lines
    already cross their borders."""
    monkeypatch.setattr("boreas.logs.state._SEGMENT_BYTES", 150)
    monkeypatch.setattr("boreas.logs.state._SEGMENT_RECORDS", 3)
    monkeypatch.setattr("boreas.logs.joining._BODY_SIZE", 64)
    return lambda: Bench(tmp_path_factory.mktemp("logs"))
