"""A ward's file and what the tests of `prepare` do with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedproof.app.prepare import Drafted, Options, Prepared, prepare

HEADER = "patient_id,age,dose,city,smoker,diagnosis"


@dataclass
class Told:
    """Keeps what was told."""

    steps: list[str] = field(default_factory=list)
    doings: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def doing(self, text: str) -> None:
        self.doings.append(text)


def ward_rows(count: int = 200, seed: int = 1) -> list[str]:
    rng = np.random.default_rng(seed)
    ages, doses = rng.integers(20, 90, count), rng.normal(2, 0.5, count)
    smokers = np.where(rng.random(count) < 0.3, "true", "false")
    sick = np.where(rng.random(count) < 0.4, "yes", "no")
    return [f"P-{i:04d},{ages[i]},{doses[i]:.4f},Basel,{smokers[i]},{sick[i]}" for i in range(count)]


def ward(folder: Path, rows: list[str] | None = None, name: str = "ward.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *(ward_rows() if rows is None else rows)]) + "\n")
    return path


def draft(source: Path, **options: Any) -> Path:
    """Draft the schema beside the file; the test edits it."""
    drafted = prepare(Options(source, source.parent / "out", schema_only=True, **options), Told())
    assert isinstance(drafted, Drafted)
    return drafted.path


def edit(schema: Path, old: str, new: str) -> None:
    text = schema.read_text()
    assert text.count(old) == 1, text
    schema.write_text(text.replace(old, new))


def run(source: Path, told: Told | None = None, out: str = "out", **options: Any) -> Prepared:
    options = {"private_scale": True, "schema": source.parent / "out.schema.toml"} | options
    made = prepare(Options(source, source.parent / out, **options), told or Told())
    assert isinstance(made, Prepared)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
