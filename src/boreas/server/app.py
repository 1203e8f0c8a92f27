"""The web application: guards outside, routers inside, one way to say what went wrong.

`create_app` is called by `server.wiring` and by tests. A route that does not say who may call it
(`auth.callers`) makes the creation fail, so that none can be forgotten.
"""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware

import boreas
from boreas.domain.permissions import Permission
from boreas.server import errors, guards, live, static
from boreas.server.api import ROUTERS
from boreas.server.auth.callers import PERMISSIONS_ATTRIBUTE, WHO_ATTRIBUTE, Who
from boreas.server.services import ServiceBundle

DESCRIPTION = (
    "Deployments under `/api/v1` in camelCase, everything else under `/api/release` in "
    "snake_case. Sign in (`POST /api/release/login`) or send `Authorization: Bearer <token>`. "
    "Every failure is a problem document (RFC 9457) with a stable `code`."
)


def create_app(services: ServiceBundle) -> FastAPI:
    """The whole web application over these services."""
    app = FastAPI(
        title="Boreas",
        version=boreas.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": errors.Problem, "description": "What went wrong."}},
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(guards.RequestIds, ids=services.ids),
            Middleware(guards.ForwardedHeaders, trusted=services.settings.trusted_proxies),
            Middleware(guards.SecurityHeaders),
            Middleware(errors.LastResort),
            Middleware(guards.PlainPaths),
            Middleware(guards.JsonBodies),
        ],
    )
    app.state.services = services
    for router in (*ROUTERS, live.router, static.router):
        app.include_router(router)
    errors.install(app)
    require_callers(app)
    return app


def declared_callers(app: FastAPI) -> Iterator[tuple[str, str, frozenset[Who]]]:
    """Method, path and declared callers of every route; an empty set where nothing is declared."""
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        found = set(_gates(dependant)) if isinstance(dependant, Dependant) else set()
        itself = getattr(context.endpoint, WHO_ATTRIBUTE, None)
        found |= set() if itself is None else {itself}
        for method in sorted(getattr(context, "methods", None) or {"WEBSOCKET"}):
            yield method, str(context.path), frozenset(found)


def _gates(dependant: Dependant) -> Iterator[Who]:
    for each in dependant.dependencies:
        who = getattr(each.call, WHO_ATTRIBUTE, None)
        if who is not None:
            yield who
        yield from _gates(each)


def declared_permissions(app: FastAPI) -> Iterator[tuple[str, str, frozenset[Permission]]]:
    """Method, path and permissions of every route for members of a project."""
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        found = set(_asked(dependant)) if isinstance(dependant, Dependant) else set()
        found |= getattr(context.endpoint, PERMISSIONS_ATTRIBUTE, frozenset())
        for method in sorted(getattr(context, "methods", None) or {"WEBSOCKET"}):
            if found:
                yield method, str(context.path), frozenset(found)


def _asked(dependant: Dependant) -> Iterator[Permission]:
    for each in dependant.dependencies:
        yield from getattr(each.call, PERMISSIONS_ATTRIBUTE, ())
        yield from _asked(each)


def require_callers(app: FastAPI) -> None:
    """Every route must say who may call it."""
    for method, path, who in declared_callers(app):
        if not who:
            raise RuntimeError(f"{method} {path} does not declare its caller")
