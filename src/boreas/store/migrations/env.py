"""Run by Alembic for `boreas.store.migrate`, inside the transaction that it opened."""

from alembic import context

from boreas.store import release_tables, tables
from boreas.store.migrate import VERSION_TABLE

assert release_tables, "importing it adds its tables to the metadata"
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
