"""What Alembic runs: the steps, on the connection and in the transaction of `open_database`."""

from alembic import context

# SQLite too can undo changes of its schema, where the transaction was begun by hand.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
