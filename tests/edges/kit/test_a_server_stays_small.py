"""What a server process does without, because it is memory and time for nothing."""

import subprocess
import sys

IMPORTS = """
import sys
import boreas.__main__
boreas.__main__._server()
import boreas.server.wiring
print(*sorted(sys.modules))
"""


def test_it_loads_neither_an_orm_nor_another_pydantic_nor_colours() -> None:
    said = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    loaded = set(said.split())

    assert "sqlalchemy.ext.asyncio.engine" in loaded
    for name in ("sqlalchemy.orm", "pydantic.v1.main", "pygments", "rich", "alembic", "aiohttp"):
        assert name not in loaded, name


def test_whoever_asks_for_the_rest_of_the_extension_gets_it() -> None:
    asks = "import boreas.store; from sqlalchemy.ext.asyncio import AsyncSession, AsyncEngine"

    subprocess.run([sys.executable, "-c", asks], check=True, timeout=60)
