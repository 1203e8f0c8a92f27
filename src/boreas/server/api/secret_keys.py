"""Which keys secrets are kept with: for an admin who replaces one, and for `boreas doctor`."""

from fastapi import APIRouter

from boreas.credentials.vault import VaultState
from boreas.server.auth.callers import Admin
from boreas.server.bodies import View
from boreas.server.services import Services

router = APIRouter(prefix="/api/release/secret-keys", tags=["credentials"])


class SecretKeyView(View):
    """A key by its id, and how many stored values it sealed."""

    key_id: str
    given: bool
    """Was this server given it?"""
    current: bool
    secrets: int


class SecretKeysView(View):
    """`state` is `open`, `no_key` or `locked`; `problem` and `code` say what is wrong.

    A key that is not current and sealed nothing may be left out at the next start.
    """

    state: VaultState
    problem: str
    code: str
    keys: list[SecretKeyView]


@router.get("")
async def show_secret_keys(caller: Admin, services: Services) -> SecretKeysView:
    """The keys of this server and of what is stored, by their ids."""
    vault = services.vault
    async with services.store.reading() as tx:
        sealed = await tx.secrets.key_counts()
    trouble = vault.trouble
    return SecretKeysView(
        state=vault.state,
        problem="" if trouble is None else trouble.message,
        code="" if trouble is None else str(trouble.parameters["code"]),
        keys=[
            SecretKeyView(
                key_id=key_id,
                given=key_id in vault.key_ids,
                current=vault.key_ids[:1] == (key_id,),
                secrets=sealed.get(key_id, 0),
            )
            for key_id in dict.fromkeys([*vault.key_ids, *sorted(sealed)])
        ],
    )
