"""What the command line remembers between calls: the server's address and one token per server.

Kept in `config.toml` (mode 0600) in the user's configuration directory; written by `boreas login`.
The environment is read by Typer (`envvar=`); here only the variables that project files name.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import typer

from boreas.cli.failures import usage

DEFAULT_SERVER: Final = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The contents of the configuration file."""

    server: str = DEFAULT_SERVER
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def with_token(self, server: str, token: str) -> Self:
        """Signed in at `server`, which becomes the one that is meant when none is named."""
        return replace(self, server=server, tokens={**self.tokens, server: token})

    def without_token(self, server: str) -> Self:
        """Signed out at `server`."""
        kept = {known: token for known, token in self.tokens.items() if known != server}
        return replace(self, tokens=kept)


def variable(name: str) -> str | None:
    """A variable of the environment that a project file names as the source of a secret."""
    return os.environ.get(name)


def config_path() -> Path:
    """Where the file lies: `~/.config/boreas/config.toml`, or below XDG_CONFIG_HOME."""
    return Path(typer.get_app_dir("boreas")) / "config.toml"


def remembered(path: Path | None = None) -> Remembered:
    """Read the file; defaults when there is none."""
    path = path or config_path()
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return Remembered()
    except (OSError, ValueError) as error:
        mend = "mend it or delete it, then: boreas login"
        raise usage(f"{path} cannot be read: {error}", mend=mend) from error
    return Remembered(
        server=str(document.get("server", DEFAULT_SERVER)),
        tokens={str(name): str(token) for name, token in document.get("tokens", {}).items()},
    )


def remember(state: Remembered, path: Path | None = None) -> Path:
    """Write the file whole, readable by its owner only from the first byte on."""
    path = path or config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_toml(state))
    draft.replace(path)
    return path


def _toml(state: Remembered) -> str:
    # A JSON string is a valid TOML basic string; the two tables need nothing more.
    lines = [f"server = {json.dumps(state.server)}", "", "[tokens]"]
    lines += [f"{json.dumps(name)} = {json.dumps(token)}" for name, token in state.tokens.items()]
    return "\n".join(lines) + "\n"
