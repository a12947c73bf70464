"""Runs the migrations on the connection that `store.Store.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

from monitor import models

assert models  # imported so that the tables are known

# Batch mode rebuilds a table where SQLite cannot alter it.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
