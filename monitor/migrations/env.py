"""Runs the migrations on the connection that `store.Store.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

from monitor import models

assert models  # imported so that the tables are known

# Batch mode rebuilds a table where SQLite cannot alter it. All in one transaction, which Alembic must be told that
# SQLite can: nobody sees a database that is half up to date, and a kill leaves none.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
