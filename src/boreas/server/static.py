"""What anybody may read: health, the API's description, and the web pages once they are built.

`/healthz` touches nothing, so that it answers at once even while logins flood in; `/readyz` asks
the database and the runtime's loop.
"""

import asyncio
import gzip
import mimetypes
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import HTMLResponse, Response

import boreas
from boreas.domain.errors import BoreasError, NotFound
from boreas.server.auth.callers import Public
from boreas.server.bodies import View
from boreas.server.errors import CATCHES_ALL
from boreas.server.services import Services

log = structlog.get_logger(__name__)
router = APIRouter(tags=["server"], dependencies=[Public])

WEB_DIR: Final = Path(boreas.__file__).parent / "web"
READY_SECONDS: Final = 3.0


class HealthView(View):
    """The process answers."""

    status: str
    version: str


class ReadyView(View):
    """Whether the server can do its work, and which part cannot."""

    status: str
    database: bool
    loop: bool


@router.get("/healthz")
async def health() -> HealthView:
    """The process is alive."""
    return HealthView(status="ok", version=boreas.__version__)


@router.get("/readyz", response_model=ReadyView)
async def readiness(services: Services) -> Response:
    """200 when the database answers and the loop goes round; else 503 saying which does not."""
    database = await _database_answers(services)
    loop = services.loop_alive()
    ready = database and loop
    shown = ReadyView(status="ready" if ready else "not ready", database=database, loop=loop)
    return JSONResponse(shown.model_dump(), status_code=200 if ready else 503)


async def _database_answers(services: Services) -> bool:
    try:
        async with asyncio.timeout(READY_SECONDS), services.store.reading() as tx:
            await tx.users.count()
    except (TimeoutError, BoreasError) as error:
        log.warning("database does not answer", action="not_ready", error=type(error).__name__)
        return False
    return True


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The API's description; web clients generate their types from it."""
    return JSONResponse(request.app.openapi())


# --- web pages -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of the web UI, read once."""

    body: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


@cache
def assets(directory: Path) -> dict[str, Asset]:
    """Every file below the directory by its URL path; empty when the UI was not built."""
    if not (directory / "index.html").is_file():
        return {}
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): _asset(path) for path in files}


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    small = gzip.compress(body, mtime=0) if kind.startswith(_PACKABLE) else None
    return Asset(
        body=body, gzipped=small, media_type=kind, etag=f'"{sha256(body).hexdigest()[:32]}"'
    )


_PACKABLE: Final = ("text/", "application/javascript", "application/json", "image/svg")

NO_PAGES: Final = (
    "<!doctype html><meta charset=utf-8><title>Boreas</title><h1>Boreas</h1>"
    "<p>This server has no web pages built in. Its API is described in "
    "<a href=/openapi.json>/openapi.json</a>.</p>"
)


@router.get("/{path:path}", include_in_schema=False)
async def web_page(path: str, request: Request) -> Response:
    """A file of the web UI; any other path outside the API is a page of it."""
    if path.startswith(("api/", "assets/")) or path == "api":
        found = assets(WEB_DIR).get(path) if path.startswith("assets/") else None
        if found is None:
            raise NotFound(f"there is nothing at /{path}")
        return _sent(found, request, forever=True)
    files = assets(WEB_DIR)
    if not files:
        if path:
            raise NotFound(f"there is nothing at /{path}")
        return HTMLResponse(NO_PAGES)
    return _sent(files.get(path) or files["index.html"], request, forever=False)


setattr(web_page, CATCHES_ALL, True)


def _sent(asset: Asset, request: Request, *, forever: bool) -> Response:
    headers: dict[str, Any] = {
        "ETag": asset.etag,
        # Names under assets/ carry a hash of their content; everything else may change.
        "Cache-Control": "public, max-age=31536000, immutable" if forever else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    if asset.gzipped and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
