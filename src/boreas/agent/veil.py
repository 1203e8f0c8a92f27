"""What a command's keeper must not write down: imported by every keeper, loaded by few.

A keeper runs in a bare Python without installed packages (`launcher.py`); only one whose command
got secrets looks into them for the search.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boreas.logs.masking import Masker, SecretForms


class Veil:
    """The secrets of one command, ready to be looked for in each of its streams."""

    def __init__(self, forms: "SecretForms") -> None:
        self._forms = forms

    def masker(self) -> "Masker":
        """For one stream."""
        from boreas.logs.masking import Masker

        return Masker(self._forms)

    def lifted_from(self, words: bytes) -> bytes:
        """These words without secrets."""
        masker = self.masker()
        return masker.feed(words) + masker.end()


def veil_for(secrets: Sequence[str], packages: str) -> Veil | None:
    """None if there is nothing to hide. Raises `OSError`: nothing may run that cannot be masked."""
    if not secrets:
        return None
    if packages and packages not in sys.path:
        sys.path.append(packages)
    try:
        from boreas.logs.masking import forms_in

        forms = forms_in(secrets)
    except ImportError as error:
        raise OSError(f"secrets cannot be masked on this node: {error}") from error
    return Veil(forms) if forms is not None else None
