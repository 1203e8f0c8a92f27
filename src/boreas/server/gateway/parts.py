"""What every agent's session shares."""

from dataclasses import dataclass, field

from boreas.kit.clock import Clock, SystemClock
from boreas.logs.store import LogStore
from boreas.runtime.news import NewsDesk
from boreas.server.gateway.files import OrderFiles
from boreas.server.gateway.places import Places
from boreas.server.gateway.ports import Registry
from boreas.server.gateway.secrecy import NoVault, Secrecy
from boreas.server.gateway.watches import NotObserving, Observing
from boreas.server.log_keeper import LogKeeper
from boreas.transport.authority import CertificateAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """The server's parts that sessions speak with."""

    news: NewsDesk
    registry: Registry
    places: Places
    logs: LogStore
    log_keeper: LogKeeper
    files: OrderFiles
    authority: CertificateAuthority
    clock: Clock
    observing: Observing = field(default_factory=NotObserving)
    secrecy: Secrecy = field(default_factory=lambda: Secrecy(NoVault(), SystemClock()))
