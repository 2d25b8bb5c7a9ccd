"""Alembic environment: runs on the connection that `ledger.migrate` hands over."""

from alembic import context

from harchos_infra.runs.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
