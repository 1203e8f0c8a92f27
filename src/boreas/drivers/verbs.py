"""What all drivers' verbs share: how they end, and what they may ask of their order."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, ParamSpec

from boreas.domain.errors import BoreasError, CommandLost, invalid
from boreas.domain.orders import OrderBody, ReleaseBody, VerbOutcome
from boreas.domain.placeholders import PLACE_WORDS
from boreas.domain.reading import plain_text

P = ParamSpec("P")
VerbMethod = Callable[P, Coroutine[Any, Any, VerbOutcome]]

DONE: Final = VerbOutcome(ok=True)


def failed(reason: str, *, exit_code: int | None = None, **result: Any) -> VerbOutcome:
    """A verb that did not do what it should, and why."""
    return VerbOutcome(ok=False, reason=reason, exit_code=exit_code, result=result)


def worded(verb: VerbMethod[P]) -> VerbMethod[P]:
    """Let a verb raise: what Boreas or the machine has to say becomes the outcome's reason.

    `CommandLost` goes through: what cannot be known is for the agent to report as lost.
    """

    @functools.wraps(verb)
    async def with_words(*given: P.args, **named: P.kwargs) -> VerbOutcome:
        try:
            return await verb(*given, **named)
        except CommandLost:
            raise
        except BoreasError as error:
            return failed(error.message)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            return failed(f"the node says: {error.strerror or error}{where}")

    return with_words


def release_of(order: OrderBody) -> ReleaseBody:
    """The release that shall be live after the order."""
    if order.release is None:
        raise invalid("release", "the order names no release")
    return order.release


def releases_needed(order: OrderBody) -> tuple[str, ...]:
    """Releases that must outlive this order whatever the history says."""
    named = (one.release_id for one in (order.release, order.previous) if one is not None)
    return (*order.keep_releases, *named)


def place_words(order: OrderBody) -> dict[str, str]:
    """What `{target}` and its like stand for in this order."""
    application = order.release.application if order.release else ""
    names = (order.project, application, order.environment, order.target, order.agent)
    return dict(zip(PLACE_WORDS, names, strict=True))


def config_variables(order: OrderBody) -> dict[str, str]:
    """The version's plain configuration values as variables.

    Nested ones are left out (they are in the release's `config.json`); the order's own variables
    and Boreas' names are nearer to the target and win.
    """
    config: Mapping[str, Any] = order.release.config if order.release else {}
    found = {}
    for name, value in config.items():
        text = plain_text(value)
        is_name = isinstance(name, str) and name.isidentifier() and name.isascii()
        taken = name in order.variables or name in order.secret_variables
        if text is None or not is_name or name.startswith("BOREAS_") or taken:
            continue
        if "\0" not in text:
            found[name] = text
    return found


def last_words(text: str, *, at_most: int = 300) -> str:
    """The last line that says something, short enough for a reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-at_most:] if lines else ""
