"""What a command could not do: the sentence, the mend, the exit code."""

from collections.abc import Mapping
from typing import Any, Final

from boreas.cli.exits import ExitCode
from boreas.domain.errors import FieldError

EXIT_OF_STATUS: Final[Mapping[int, ExitCode]] = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_SIGNED_IN,
    403: ExitCode.NOT_SIGNED_IN,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    422: ExitCode.USAGE,
    429: ExitCode.UNREACHABLE,
    502: ExitCode.UNREACHABLE,
    503: ExitCode.UNREACHABLE,
    504: ExitCode.UNREACHABLE,
}
SIGN_IN: Final = "sign in with: boreas login"


class Failure(Exception):
    """The command ends here, with this sentence and this exit code."""

    def __init__(
        self,
        message: str,
        *,
        exit_code: ExitCode = ExitCode.FAILED,
        mend: str = "",
        code: str = "",
        fields: tuple[FieldError, ...] = (),
    ) -> None:
        self.message = message
        self.exit_code = exit_code
        self.mend = mend
        self.code = code or exit_code.name.lower()
        self.fields = fields
        super().__init__(message)

    def document(self) -> dict[str, Any]:
        """The failure as `-o json` prints it."""
        fields = [
            {"field": each.field, "problem": each.problem, "mend": each.mend}
            for each in self.fields
        ]
        error = {"code": self.code, "message": self.message, "mend": self.mend, "fields": fields}
        return {"error": error, "exitCode": int(self.exit_code)}


class Unreachable(Failure):
    """No answer, or one that says "not now"."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message, exit_code=ExitCode.UNREACHABLE, mend=mend)


def usage(message: str, *, mend: str = "") -> Failure:
    """What was typed cannot be used."""
    return Failure(message, exit_code=ExitCode.USAGE, mend=mend)


def not_found(message: str, *, mend: str = "") -> Failure:
    """Nothing has this name or id."""
    return Failure(message, exit_code=ExitCode.NOT_FOUND, mend=mend)


def failure_from_problem(status: int, body: object) -> Failure:
    """Say a server's problem document (RFC 9457) in a terminal's words."""
    problem = body if isinstance(body, Mapping) else {}
    message = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    return Failure(
        message,
        exit_code=EXIT_OF_STATUS.get(status, ExitCode.FAILED),
        mend=SIGN_IN if status == 401 else "",
        code=str(problem.get("code") or ""),
        fields=tuple(_fields(problem)),
    )


def failure_in(group: BaseExceptionGroup[BaseException]) -> Failure | None:
    """The failure that brought a group of tasks down, if one did."""
    for each in group.exceptions:
        if isinstance(each, Failure):
            return each
        if isinstance(each, BaseExceptionGroup) and (inner := failure_in(each)) is not None:
            return inner
    return None


def _fields(problem: Mapping[str, Any]) -> list[FieldError]:
    named = problem.get("errors") or problem.get("fields") or ()
    return [
        FieldError(
            field=str(each.get("field", "")),
            problem=str(each.get("problem") or each.get("message") or ""),
            mend=str(each.get("mend") or ""),
        )
        for each in named
        if isinstance(each, Mapping)
    ]
