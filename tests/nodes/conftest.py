"""A small federation whose nodes can be stopped at any moment and started again."""

from __future__ import annotations

import pytest

from fedproof.app.world import World
from fedproof.data import Parts, Schema
from tests.e2e.conftest import Arena, arena, key_cache  # noqa: F401


@pytest.fixture
def hospital(arena: Arena) -> tuple[World, Parts, Schema]:  # noqa: F811
    """A marketplace and records, for providers and holders of a test's own."""
    return arena.world, arena.parts, arena.schema
