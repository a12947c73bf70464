"""Alembic migrations, shipped in the package and run by `monitor migrate` and `monitor run`."""
