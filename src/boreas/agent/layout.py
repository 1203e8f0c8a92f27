"""Where the agent keeps what, below its data directory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from boreas.domain.ids import OrderId

_LONGEST_NAME = 200


def _as_name(text: str) -> str:
    """Any id as one harmless file name: no slash, no leading dot, not empty, not too long."""
    name = quote(text, safe="-_=+#@") or "%"
    name = "%2E" + name[1:] if name.startswith(".") else name
    if len(name) <= _LONGEST_NAME:
        return name
    return name[:_LONGEST_NAME] + "~" + hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of one agent. Everything here is for its user only (mode 0700)."""

    data_dir: Path

    @property
    def lock(self) -> Path:
        return self.data_dir / "agent.lock"

    @property
    def journal(self) -> Path:
        return self.data_dir / "journal"

    @property
    def identity(self) -> Path:
        return self.data_dir / "identity"

    @property
    def known_servers(self) -> Path:
        return self.data_dir / "servers.json"

    @property
    def path_memory(self) -> Path:
        return self.data_dir / "paths.json"

    @property
    def news_socket(self) -> Path:
        return self.data_dir / "news.sock"

    @property
    def orders(self) -> Path:
        return self.data_dir / "orders"

    def order_dir(self, order_id: OrderId) -> Path:
        """Spool, steps and command text of one order; removed once all of it is settled."""
        return self.orders / _as_name(order_id)

    def spool(self, order_id: OrderId) -> Path:
        return self.order_dir(order_id) / "spool"

    def secrets(self, order_id: OrderId) -> Path:
        """What only this order may know, while it is under way."""
        return self.order_dir(order_id) / "secrets"

    def private_dir(self, order_id: OrderId) -> Path:
        """Keys and password files for the order's own tools (mode 0700), while it is under way."""
        return self.order_dir(order_id) / "private"

    def output_dir(self, order_id: OrderId) -> Path:
        """What commands put here goes up to the server when the order has ended."""
        return self.order_dir(order_id) / "output"

    def outputs(self, order_id: OrderId) -> Path:
        """Where a command writes what later tasks may ask for."""
        return self.order_dir(order_id) / "outputs"

    def input_dir(self, order_id: OrderId) -> Path:
        """What was fetched from the server for the order's commands."""
        return self.order_dir(order_id) / "input"

    def steps(self, order_id: OrderId) -> Path:
        return self.order_dir(order_id) / "steps"

    def step_dir(self, order_id: OrderId, step: str) -> Path:
        return self.steps(order_id) / _as_name(step)

    def scope_dir(self, scope: str) -> Path:
        """What belongs to one application on one target, for as long as it is deployed here."""
        target, _, application = scope.partition("/")
        return self.data_dir / "scopes" / _as_name(target) / _as_name(application)

    def release_dir(self, scope: str, release_id: str) -> Path:
        return self.scope_dir(scope) / "releases" / _as_name(release_id)

    def prepare(self) -> None:
        """Make the directories."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.orders.mkdir(exist_ok=True, mode=0o700)
