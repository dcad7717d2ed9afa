"""A small federation whose nodes can be stopped at any moment and started again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.app.keyring import Keyring
from fedproof.app.telling import Silent
from fedproof.app.world import World, build, create_folder
from fedproof.data import Parts, Schema, capacity_rows, load, split
from fedproof.learning.fixed import TrainingSpec
from tests.e2e.conftest import Arena, arena, key_cache  # noqa: F401


@pytest.fixture(scope="session")
def hospital(key_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Parts, Schema]]:  # noqa: F811
    """A deployment without any listing, for providers and holders."""
    parts = split(load("wine", positive="class_1"), 3, 1)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    folder = tmp_path_factory.mktemp("hospital") / "run"
    create_folder(folder)
    world = build(folder, TrainingSpec(rows, schema.columns, mask_count=8), Keyring(key_cache), None, Silent())
    yield world, parts, schema
    world.close()
