"""What tests of the database begin with."""

from __future__ import annotations

import pytest
from rows import Place, make_place
from sqlalchemy.ext.asyncio import AsyncEngine


@pytest.fixture
async def place(db: AsyncEngine) -> Place:
    """A tenant with a project."""
    return await make_place(db)
