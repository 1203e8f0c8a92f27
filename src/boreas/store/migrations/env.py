"""Run by Alembic for `boreas.store.migrate`, inside the transaction that it opened."""

from alembic import context

from boreas.store.migrate import VERSION_TABLE
from boreas.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
