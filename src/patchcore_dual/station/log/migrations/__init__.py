"""How the schema of the log came about, step by step; run by Alembic through `open_database`.

A new step is a file in `versions/` that changes an older database into what `tables.py` says.
"""
