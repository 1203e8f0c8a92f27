"""How fast secrets are taken out of what a command prints."""

import random
import string
import time
from collections.abc import Iterator
from typing import Any

from bench.line import line
from boreas.logs.masking import Masker, forms_in

Line = dict[str, Any]
SECRETS = 100
BYTES = 64 * 1024 * 1024
READ = 256 * 1024
GOAL = 20.0


def masking() -> Iterator[Line]:
    """100 secrets in all their forms, read as a keeper reads; every hundredth line tells one."""
    dice = random.Random(7)
    secrets = ["".join(dice.choices(string.printable[:94], k=32)) for _ in range(SECRETS)]
    began = time.perf_counter()
    forms = forms_in(secrets)
    assert forms is not None
    made = time.perf_counter() - began
    read = _output(secrets)
    began = time.process_time()
    masker = Masker(forms)
    for _ in range(BYTES // len(read)):
        masker.feed(read)
    megabytes = BYTES / 1e6 / (time.process_time() - began)
    yield line(
        "masking",
        f">= {GOAL:g} MB/s per core with {SECRETS} secrets",
        reached=megabytes >= GOAL,
        megabytes_per_second=megabytes,
        making_ready_ms=made * 1000,
    )


def _output(secrets: list[str]) -> bytes:
    lines: list[str] = []
    size = 0
    while size < READ:
        number = len(lines)
        told = f" token={secrets[number // 100 % SECRETS]}" if number % 100 == 0 else ""
        lines.append(f"2026-01-01T00:00:00Z INFO copying /srv/shop/{number:08d} to its place{told}")
        size += len(lines[-1]) + 1
    return ("\n".join(lines) + "\n").encode()[:READ]
