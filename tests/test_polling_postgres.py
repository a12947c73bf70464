"""The manners of polling once more, on PostgreSQL: all tests of that module, with their fixtures."""

from __future__ import annotations

import pytest

from tests.test_polling import *  # noqa: F403 - what is asked for is all of them

pytestmark = pytest.mark.usefixtures("on_postgres")
