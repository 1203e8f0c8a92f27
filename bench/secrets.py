"""Secrets at rest: how long a new key takes, and whether a kill at any moment loses one."""

import random
import time
from collections.abc import Iterator
from typing import Any

from tests.support.sealing import filled, kill_points, killed_while_moving, moved, opened

from bench.line import line
from bench.world import directory
from boreas.testing.secrets import a_key, a_key_ring

Line = dict[str, Any]
CREDENTIALS = 10_000


def credentials_reencrypted() -> Iterator[Line]:
    """10,000 credentials moved to a new key, at best of three; then killed at 50 moments."""
    names = ["a", "b"]
    with directory() as path:
        filled(path, a_key_ring("a"), secrets=CREDENTIALS)
        seconds = []
        for _ in range(3):
            names.reverse()
            began = time.monotonic()
            assert moved(path, a_key_ring(*names)).rows == CREDENTIALS + 1
            seconds.append(time.monotonic() - began)
        yield line(
            "credentials_reencrypted",
            "<= 5 s",
            reached=sorted(seconds)[1] <= 5,
            seconds=sorted(seconds)[1],
            credentials=CREDENTIALS,
        )
        in_the_middle = killed = 0
        names.reverse()
        for moment in kill_points(random.Random(78), longest=min(seconds)):
            ring = a_key_ring(*names)
            killed += killed_while_moving(path, ring, after=moment)
            # Fails when one of them cannot be read, or is not what was put away.
            keys = opened(path, ring, secrets=CREDENTIALS)
            in_the_middle += len(keys) > 1
            if keys == {a_key(names[0]).id}:
                names.reverse()
    yield line(
        "credentials_after_50_kills",
        "every one readable",
        reached=True,
        kills=killed,
        found_half_way=in_the_middle,
        credentials=CREDENTIALS,
    )
