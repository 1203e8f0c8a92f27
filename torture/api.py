"""The HTTP interface as a patient client has it: outages are waited out, never counted as answers.

Cheaper than a new client per call: the machine's few cores belong to what is being tortured.
"""

import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx

PATIENCE_SECONDS = 90.0


class OutOfPatience(AssertionError):
    """The server did not come back in time."""


class Api:
    """Calls any of these servers with one token; for one thread."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self.urls = list(urls)
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=20, verify=False
        )
        self.outages: dict[int, int] = {}
        """How often an answer was not final, by status (0: no answer at all)."""

    def once(
        self, method: str, path: str, body: Any = None, *, url: str | None = None, key: str = ""
    ) -> httpx.Response:
        """One try, at the first server unless another is named."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._client.request(
            method, (url or self.urls[0]) + path, json=body, headers=headers
        )

    def get(self, path: str) -> Any:
        """The answer of whichever server gives one."""
        return self._patiently("GET", path, None).json()

    def create(self, path: str, body: Any) -> Any:
        """POST with an idempotency key: asking again makes nothing twice."""
        return self._patiently("POST", path, body, key=secrets.token_hex(16)).json()

    def _patiently(self, method: str, path: str, body: Any, *, key: str = "") -> httpx.Response:
        end = time.monotonic() + PATIENCE_SECONDS
        turn = 0
        while time.monotonic() < end:
            answer = self._try(method, path, body, key=key, url=self.urls[turn % len(self.urls)])
            if answer is not None:
                return answer
            turn += 1
            time.sleep(0.1)
        raise OutOfPatience(f"{method} {path}: no answer within {PATIENCE_SECONDS:.0f} s")

    def _try(
        self, method: str, path: str, body: Any, *, key: str, url: str
    ) -> httpx.Response | None:
        try:
            answer = self.once(method, path, body, url=url, key=key)
        except httpx.TransportError:
            self._count(0)
            return None
        if answer.status_code in (503, 507):
            self._count(answer.status_code)
            if answer.headers.get("content-type") != "application/problem+json":
                raise AssertionError(f"{path}: {answer.status_code} without a problem document")
            return None
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def _count(self, status: int) -> None:
        self.outages[status] = self.outages.get(status, 0) + 1


class EachThread:
    """An `Api` of its own for every thread."""

    def __init__(self, urls: Sequence[str], token: str) -> None:
        self._wanted = urls, token
        self._local = threading.local()

    @property
    def api(self) -> Api:
        """This thread's."""
        if not hasattr(self._local, "api"):
            self._local.api = Api(*self._wanted)
        api: Api = self._local.api
        return api
