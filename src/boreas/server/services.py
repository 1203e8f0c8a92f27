"""What the routes work with: one frozen bundle, made by `server.wiring` and held by the app.

Routes ask for it with `services: Services` (a dependency); nothing here is global.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection

from boreas.credentials.vault import Vault
from boreas.domain.delivery import OpenedCredential
from boreas.domain.ids import AgentId
from boreas.domain.orders import GitRef
from boreas.kit.clock import Clock, SystemClock
from boreas.kit.ids import IdSource
from boreas.logs.store import LogStore
from boreas.server.auth.guessing import Guesses
from boreas.server.auth.hashing import PasswordHasher
from boreas.server.auth.setup_token import SetupToken
from boreas.server.commit_log import CommitReader, NoCommits
from boreas.server.settings import Settings
from boreas.store import SqlStore


class Wakes(Protocol):
    """What the routes tell the rest of the server after a commit. Hints only."""

    def due(self) -> None:
        """Some deployment is due now."""
        ...

    def revoked(self, agent_id: AgentId) -> None:
        """The agent may not stay connected."""
        ...


class GitRefs(Protocol):
    """Finds the commit behind a branch or a tag."""

    async def resolve(self, git: GitRef, credential: OpenedCredential | None = None) -> GitRef:
        """With a full commit; `InvalidInput` names `git.ref` or `git.repository` and the mend."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBundle:
    """Everything a route may use.

    `mint_enrol_token` makes the text an agent is started with from a new secret. `loop_alive` says
    whether the runtime's loop went round lately. `has_all_logs_of` says whether every byte that
    agents announced for these orders is stored, `misses_logs_of` whether some are known to be on
    their way. `patience_seconds`: how long the answer to a wish may wait for the loop to act on it.
    """

    settings: Settings
    store: SqlStore
    logs: LogStore
    wakes: Wakes
    git: GitRefs
    commits: CommitReader = field(default_factory=NoCommits)
    clock: Clock
    ids: IdSource
    mint_enrol_token: Callable[[str], str]
    setup_token: SetupToken
    loop_alive: Callable[[], bool] = lambda: True
    has_all_logs_of: Callable[[Collection[str]], bool] = lambda _: False
    misses_logs_of: Callable[[Collection[str]], bool] = lambda _: False
    patience_seconds: float = 0.5
    vault: Vault = field(default_factory=lambda: Vault(None, SystemClock()))
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    guesses: Guesses = field(default_factory=Guesses)


def services_of(connection: HTTPConnection) -> ServiceBundle:
    """The bundle of the app that serves this request."""
    bundle: ServiceBundle = connection.app.state.services
    return bundle


async def _services(connection: HTTPConnection) -> ServiceBundle:
    """Asynchronous, or every request would pay for a change of thread and back."""
    return services_of(connection)


Services = Annotated[ServiceBundle, Depends(_services)]
