"""The secrets of orders on this node: a file for one execution, gone when that has ended.

A file and not only memory, so that an agent that was killed can go on with what it took: its
commands live on, and their secrets must be masked in what the next agent process says of them.
"""

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from boreas.agent.layout import Layout
from boreas.domain.delivery import NO_SECRETS, OpenedSecrets
from boreas.domain.ids import OrderId

_decode = msgspec.msgpack.Decoder(OpenedSecrets).decode


class SecretFiles:
    """One 0600 file per order, in the order's own directory (0700)."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def keep(self, order_id: OrderId, secrets: bytes) -> None:
        """Durable before it returns; before the order itself is journalled. Raises `OSError`."""
        path = self._layout.secrets(order_id)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        temporary = path.with_suffix(".new")
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb") as writer:
                writer.write(secrets)
                writer.flush()
                os.fsync(file)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def read(self, order_id: OrderId) -> OpenedSecrets:
        """What the order was given; nothing, if it has no file. Raises `OSError`."""
        try:
            return _decode(self._layout.secrets(order_id).read_bytes())
        except FileNotFoundError:
            return NO_SECRETS
        except (msgspec.DecodeError, ValueError):
            # Not as the cause: its words might tell what stands there.
            raise OSError("the file with the order's secrets is damaged") from None

    def forget(self, order_id: OrderId) -> None:
        """Nothing of them is left on this node."""
        directory = self._layout.order_dir(order_id)
        _remove_all(directory)

    def sweep(self, unfinished: Collection[OrderId]) -> None:
        """At start: forget those of every order that is not under way, whoever left them."""
        wanted = {self._layout.order_dir(order_id).name for order_id in unfinished}
        for directory in self._layout.orders.iterdir():
            if directory.name not in wanted:
                _remove_all(directory)


def _remove_all(directory: Path) -> None:
    for name in ("secrets", "secrets.new"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (directory / name).unlink()
    private = directory / "private"
    if private.is_dir():
        shutil.rmtree(private, ignore_errors=True)
