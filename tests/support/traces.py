"""Looks for secrets where none may be: in files, in the arguments of every process."""

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote


def forms(secret: str) -> tuple[bytes, ...]:
    """The ones that leave a trace in files; the masker's own list is not asked on purpose."""
    raw = secret.encode()
    shifts = (base64.b64encode(b"x" * shift + raw)[4:-4] for shift in (0, 1, 2))
    written = (secret, quote(secret, safe=""), raw.hex(), raw.hex().upper())
    return (*(form.encode() for form in written), *shifts)


def in_files(secrets: Iterable[str], *directories: Path) -> set[str]:
    """The names of files that tell one of the secrets."""
    wanted = [form for secret in secrets for form in forms(secret)]
    found = set()
    for directory in directories:
        for path in directory.rglob("*"):
            try:
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except OSError:
                continue  # gone between two looks
            if any(form in content for form in wanted):
                found.add(path.name)
    return found


def in_arguments(secrets: Iterable[str]) -> list[bytes]:
    """The command lines on this machine that tell one of the secrets."""
    wanted = [form for secret in secrets for form in forms(secret)]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if any(form in words for form in wanted):
            found.append(words)
    return found
