"""How errors are said over HTTP: one problem document (RFC 9457) for every failure.

The layers below raise meaning (`domain.errors`); only this file knows status codes. The body has
`type, title, status, detail, code, params, errors, request_id`; `code` and `params` are stable, so
that a client can say it in its own language.
"""

import difflib
import errno
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boreas.domain.errors import BoreasError, ErrorCode, FieldError

log = structlog.get_logger(__name__)

HTTP_STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.INVALID: 422,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.TOO_MANY: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.NO_SPACE: 507,
}

CODE_OF_STATUS: Final[Mapping[int, str]] = {
    **{status: code.value for code, status in HTTP_STATUS.items()},
    400: "bad_request",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    500: "internal",
}
"""For what the framework itself refuses."""


CATCHES_ALL: Final = "boreas_catches_all"
"""Marks the endpoint that answers every GET that no other route answers."""


class ProblemField(BaseModel):
    """Which part of the input is wrong, why, and what would be right."""

    field: str
    problem: str
    mend: str


class Problem(BaseModel):
    """A problem document (RFC 9457); `code` and `params` are stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    params: dict[str, Any]
    errors: list[ProblemField]
    request_id: str


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = "application/problem+json"


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    request_id: str = "",
    fields: Sequence[FieldError] = (),
    params: Mapping[str, Any] | None = None,
) -> ProblemResponse:
    """The answer for one failure."""
    named = code or CODE_OF_STATUS.get(status, "bad_request")
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="boreas"'
    if params and "retry_after" in params:
        headers["Retry-After"] = str(int(float(params["retry_after"])) + 1)
    return ProblemResponse(
        {
            "type": f"urn:boreas:problem:{named}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": printable(detail),
            "code": named,
            "params": dict(params or {}),
            "errors": [_field_entry(wrong) for wrong in fields],
            "request_id": request_id,
        },
        status_code=status,
        headers=headers,
    )


def _field_entry(wrong: FieldError) -> dict[str, str]:
    return {
        "field": printable(wrong.field),
        "problem": printable(wrong.problem),
        "mend": printable(wrong.mend),
    }


def printable(text: str) -> str:
    """The text without what UTF-8 cannot carry (unpaired surrogates a caller may have sent)."""
    return text.encode("utf-8", "backslashreplace").decode()


def problem_of(error: BoreasError, request_id: str) -> ProblemResponse:
    """A domain error in HTTP's words."""
    return problem(
        HTTP_STATUS[error.code],
        error.message,
        code=str(error.parameters.get("code", error.code.value)),
        request_id=request_id,
        fields=error.fields,
        params={key: value for key, value in error.parameters.items() if key != "code"},
    )


def install(app: FastAPI) -> None:
    """Make every failure of this app a problem document."""
    app.add_exception_handler(BoreasError, _domain_error)
    app.add_exception_handler(RequestValidationError, _wrong_input)
    app.add_exception_handler(HTTPException, _framework_error)


def request_id_of(request: Request) -> str:
    """The id that `guards.RequestIds` gave this request."""
    return str(request.scope.get("boreas.request_id", ""))


async def _domain_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, BoreasError)
    return problem_of(error, request_id_of(request))


async def _framework_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and hasattr(request.scope.get("endpoint"), CATCHES_ALL):
        # Only the route of the web pages knows this path, so there is nothing to be called.
        return problem(404, "there is nothing here", request_id=request_id_of(request))
    answer = problem(error.status_code, str(error.detail), request_id=request_id_of(request))
    answer.headers.update(error.headers or {})
    return answer


class LastResort:
    """Turns an error that nobody foresaw into a 500 that tells nothing but the request's id.

    The one place where such an error is logged, and one of the few that may catch everything: the
    framework's own would log it a second time and drop our headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - see the class
            answer = _unforeseen(scope, error)
            if scope["type"] == "http" and not begun:
                await answer(scope, receive, send)


def _unforeseen(scope: Scope, error: Exception) -> ProblemResponse:
    request_id = str(scope.get("boreas.request_id", ""))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("disk full", action="disk_full", request_id=request_id)
        return problem(507, "the server's disk is full", request_id=request_id)
    log.error(
        "request failed",
        action="request_failed",
        request_id=request_id,
        method=scope.get("method", scope["type"]),
        path=scope["path"],
        exc_info=error,
    )
    detail = f"something went wrong inside the server; its log has it under {request_id}"
    return problem(500, detail, request_id=request_id)


# --- what pydantic found wrong -----------------------------------------------------------------


async def _wrong_input(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        detail = f"the body is not JSON: {found[0].get('ctx', {}).get('error', '')}"
        return problem(400, detail, code="bad_json", request_id=request_id_of(request))
    fields = fields_of(found)
    told = "; ".join(f"{wrong.field}: {wrong.problem}" for wrong in fields)
    return problem(422, told, code="invalid", request_id=request_id_of(request), fields=fields)


def fields_of(found: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Each complaint once, by the field's own spelling in the JSON."""
    by_field: dict[str, FieldError] = {}
    for entry in found:
        wrong = _field_error(entry)
        by_field.setdefault(wrong.field, wrong)
    return tuple(by_field.values())


_PLACES: Final = ("body", "query", "path", "header", "cookie")


def field_path(location: Sequence[str | int]) -> str:
    """`("body", "tasks", 0, "appId")` -> `tasks[0].appId`; names of union arms are left out."""
    parts = list(location)
    if parts and parts[0] in _PLACES:
        parts = parts[1:]
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _UNION_ARM.fullmatch(part):
            path += f".{part}" if path else part
    return path or "body"


# pydantic puts the arm of a union it tried into the location: `str`, `list[...]`, `StrategyBody`.
_UNION_ARM: Final = re.compile(r"(?:str|int|float|bool|constrained-\w+|[\w-]+\[.*\]|[A-Z]\w+Body)")

_PROBLEMS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_type": "is not a text",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_type": "is not a number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "list_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "string_unicode": "is not valid Unicode",
}


def _field_error(entry: Mapping[str, Any]) -> FieldError:
    kind = str(entry["type"])
    location = entry["loc"]
    said = _PROBLEMS.get(kind) or str(entry["msg"]).removeprefix("Value error, ")
    said, _, mend = said.partition("; ")
    known = (entry.get("ctx") or {}).get("known", ())
    if kind == "extra_forbidden":
        mend = unknown_key_mend(str(location[-1]), known)
    return FieldError(field=field_path(location), problem=said, mend=mend)


def unknown_key_mend(key: str, known: Sequence[str]) -> str:
    """What the caller may have meant."""
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return "known here: " + ", ".join(f"`{name}`" for name in known) if known else "leave it out"
