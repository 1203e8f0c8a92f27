"""What a new password must be."""

from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

SHORTEST_PASSWORD: Final = 8
# Argon2 reads the whole text; a megabyte of password would be a cheap way to keep it busy.
LONGEST_PASSWORD: Final = 1000


def _a_new_password(secret: SecretStr) -> SecretStr:
    length = len(secret.get_secret_value())
    if length < SHORTEST_PASSWORD:
        raise ValueError(f"is too short; write at least {SHORTEST_PASSWORD} characters")
    if length > LONGEST_PASSWORD:
        raise ValueError(f"is too long; write at most {LONGEST_PASSWORD} characters")
    return secret


NewPassword = Annotated[SecretStr, AfterValidator(_a_new_password)]
"""A password that is being chosen; one that is only checked may be anything."""
