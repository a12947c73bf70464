"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import on_postgres, postgres_port, postgres_url

__all__ = ["on_postgres", "postgres_port", "postgres_url"]  # every test may use these too

# How long a case takes is no matter of tests: on a busy machine any may take long.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captured input that lies beside the project, where it exists; it is not ours to ship."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the captured real input (../shared/data) is not beside this checkout")
    return folder
