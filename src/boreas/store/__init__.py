"""The database: frozen values in, frozen values out; rows stop at this door.

`SqlStore` (session.py) opens transactions; each noun has its own file. SQLite and PostgreSQL share
one code path, and what differs between them is in dialects.py alone.
"""

from boreas.store import without_orm
from boreas.store.session import SqlStore, SqlTransaction

__all__ = ["SqlStore", "SqlTransaction", "without_orm"]
