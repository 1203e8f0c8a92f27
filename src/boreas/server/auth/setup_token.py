"""The one-time token that lets the first admin in: printed at first start, kept in a file.

`server.main` calls `offer` at start while there are no users; `POST /api/release/setup` spends it.
"""

import hmac
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from boreas.domain.errors import Conflict
from boreas.kit.ids import new_secret


class SetupToken:
    """A file of mode 0600; no file, no set-up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def offer(self, *, users_exist: bool) -> str | None:
        """The token to print, made if there is none yet; None (and no file) once users exist."""
        if users_exist:
            self.burn()
            return None
        if token := self._read():
            return token
        token = new_secret(24)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        return token

    def matches(self, given: str) -> bool:
        """Is this the token? Never, when there is no file."""
        token = self._read()
        return bool(token) and hmac.compare_digest(token.encode(), given.strip().encode())

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Only one caller gets in, and the token is gone; an error inside gives it back."""
        aside = self.path.with_suffix(".spent")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            raise Conflict("the setup token was used already") from None
        with ExitStack() as on_error:
            on_error.callback(aside.rename, self.path)
            yield
            on_error.pop_all()
        aside.unlink()

    def burn(self) -> None:
        """The token is spent."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> str:
        try:
            return self.path.read_text().strip()
        except FileNotFoundError:
            return ""
