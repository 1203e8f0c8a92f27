"""A script application that leaves a file per target, so that a test sees what is live where."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Live:
    """The directory in which `deploy` leaves `<application>.<target>` holding the version."""

    directory: Path

    @property
    def mine(self) -> str:
        return f'"{self.directory}/$BOREAS_APPLICATION.$BOREAS_TARGET"'

    def deploy(self, *, first: str = ":") -> str:
        """A deploy script: runs `first`, then makes this version the live one."""
        return (
            f'set -e\n{first}\nprintf %s "$BOREAS_VERSION" > {self.mine}\n'
            'echo "$BOREAS_APPLICATION $BOREAS_VERSION is live on $BOREAS_TARGET"\n'
        )

    def check(self, *, sick: str) -> str:
        """A health command that is unhappy with one version."""
        return f'test "$(cat {self.mine})" != {sick}'

    def versions(self, application: str) -> dict[str, str]:
        """What is live: version by target."""
        found = sorted(self.directory.glob(f"{application}.*"))
        return {path.name.partition(".")[2]: path.read_text() for path in found}

    def everywhere(self, application: str) -> set[str]:
        return set(self.versions(application).values())
