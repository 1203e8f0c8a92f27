"""Making something by POST: 201 with the object, `Idempotency-Key` in the same transaction.

A client that did not hear the answer sends the request again with the same key and gets the first
answer; the same key with another body is refused. Used by every router that creates.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from boreas.credentials.vault import VaultState
from boreas.domain.errors import Conflict
from boreas.server.auth.callers import KnownCaller
from boreas.server.services import ServiceBundle, Services
from boreas.store import SqlTransaction as Transaction
from boreas.store.idempotency import StoredAnswer

V = TypeVar("V", bound=BaseModel)
KEY_HEADER: Final = "Idempotency-Key"
KEPT_FOR: Final = timedelta(days=7)
"""How long a repeat of a request is recognised; nobody tries the same for longer."""


class Creation:
    """One creating request. `make` runs inside the transaction and answers the object's view."""

    def __init__(
        self, *, services: ServiceBundle, caller: str, key: str | None, fingerprint: str
    ) -> None:
        self._services = services
        self._caller = caller
        self._key = key
        self._fingerprint = fingerprint

    async def run(
        self, make: Callable[[Transaction], Awaitable[V]], *, secret: str | None = None
    ) -> Response:
        """201 with what `make` answers, or the stored answer of the first time.

        `secret` names a field that is shown once: it is not stored, so a repeat is told `Conflict`.
        """
        async with self._services.store.transaction() as tx:
            if (stored := await self._stored(tx)) is not None:
                return stored
            view = await make(tx)
            if self._key is not None:
                await self._keep(tx, view, secret)
        return _created(view.model_dump_json(by_alias=True).encode())

    async def _stored(self, tx: Transaction) -> Response | None:
        if self._key is None:
            return None
        found = await tx.idempotency.recall(self._caller, self._key, self._fingerprint)
        if found is None:
            return None
        if not found.body:
            raise Conflict("this was made before, and its secret is shown only once")
        answer = _created(found.body)
        answer.headers["Idempotency-Replayed"] = "true"
        return answer

    async def _keep(self, tx: Transaction, view: BaseModel, secret: str | None) -> None:
        assert self._key is not None
        body = b"" if secret else view.model_dump_json(by_alias=True).encode()
        answer = StoredAnswer(status=201, body=body)
        now = self._services.clock.now()
        await tx.idempotency.remove_older(now - KEPT_FOR)
        await tx.idempotency.keep(self._caller, self._key, self._fingerprint, answer, now)


def _created(body: bytes) -> Response:
    return Response(body, status_code=201, media_type="application/json")


async def _creation(
    request: Request,
    caller: KnownCaller,
    services: Services,
    key: Annotated[str | None, Header(alias=KEY_HEADER, max_length=200)] = None,
) -> Creation:
    asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return Creation(
        services=services,
        caller=caller.user.id,
        key=key or None,
        fingerprint=_fingerprint(services, asked),
    )


def _fingerprint(services: ServiceBundle, asked: bytes) -> str:
    """What is kept of the request. Bodies hold secrets: where there is a key, nobody who reads
    the database can find them by trying."""
    plain = sha256(asked)
    if services.vault.state is VaultState.OPEN:
        return services.vault.fingerprint(plain.digest())
    return plain.hexdigest()


Creating = Annotated[Creation, Depends(_creation)]
