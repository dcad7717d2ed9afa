"""Label kinds: what the labels of a listed dataset are, a part of the listing circuit and so of its id and key.

    binary       class 0 or 1
    classes K    class 0, 1, ..., K - 1, for 3 <= K <= 1024
    target       signed fixed point like a feature: 12 bits, 8 of them fraction bits, in [-2048, 2048)

Under every kind the label of a padding row is zero. Two classes are `binary`, so that one set of labels has one kind.
A capacity class on chain names a verifying key, the key names the circuit, and the circuit fixes the kind: who lists a
dataset in a class has proven labels of the class's kind. Logistic loss and squared error rely on it: their circuits do
not look at labels again, and an update keeps its bound for labels of their kind alone (docs/training.md, section 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.architecture import CROSS_ENTROPY, MAX_WIDTH, SQUARED
from fedproof.learning.arrays import Architecture, OtherModel
from fedproof.learning.fixed import FEATURE_LIMIT, Int

_BINARY, _CLASSES, _TARGET = "binary", "classes", "target"


@final
@dataclass(frozen=True)
class LabelKind:
    """What labels are. Use `BINARY`, `TARGET`, `LabelKind.of_classes(K)` or `LabelKind.of(model)`.

    Args:
        name: binary, classes or target.
        classes: K, the number of classes; 2 for binary, 0 for a target.

    Raises:
        InputError: another name, or a number of classes that does not fit it.
    """

    name: str
    classes: int

    def __post_init__(self) -> None:
        counts = {_BINARY: range(2, 3), _TARGET: range(1), _CLASSES: range(3, MAX_WIDTH + 1)}
        if self.classes not in counts.get(self.name, ()):
            raise InputError(
                f"labels: no kind {self.name!r} of {self.classes} classes; there are binary, 3 to {MAX_WIDTH} classes, "
                "and target"
            )

    @classmethod
    def of_classes(cls, count: int) -> Self:
        """Classes 0 to count - 1; two classes are binary.

        Raises:
            InputError: fewer than two classes, or too many.
        """
        return cls(_BINARY if count == 2 else _CLASSES, count)

    @classmethod
    def of(cls, model: Architecture) -> Self:
        """The kind that training a model needs: the loss decides; a model outside the family says it itself.

        Raises:
            InputError: it says what is no kind.
        """
        if isinstance(model, OtherModel):
            return cls.parse(model.labels)
        if model.loss == SQUARED:
            return cls(_TARGET, 0)
        return cls.of_classes(model.outputs if model.loss == CROSS_ENTROPY else 2)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The kind that `str` gives this text.

        Raises:
            InputError: no kind has this text.
        """
        name, _, count = text.partition(" ")
        number = int(count) if count.isascii() and count.isdecimal() and len(count) < 6 else -1
        kind = cls(name, {_BINARY: 2, _TARGET: 0}.get(name, number))
        if str(kind) != text:
            raise InputError(f"labels: no kind {text[:40]!r}; write binary, target, or classes and their number")
        return kind

    def __str__(self) -> str:
        """`binary`, `classes 10` or `target`."""
        return f"{self.name} {self.classes}" if self.name == _CLASSES else self.name

    @property
    def statement(self) -> str:
        """Name of the listing statement; for binary labels that of the first version, which knew no others."""
        return "listing" if self.name == _BINARY else f"listing/{self}"

    @property
    def bounds(self) -> tuple[int, int]:
        """Labels are at least the first and below the second."""
        return (-FEATURE_LIMIT, FEATURE_LIMIT) if self.name == _TARGET else (0, self.classes)

    @property
    def rows(self) -> int:
        """Rows of a table of labels: a target shares the features', and two classes need none."""
        return self.classes if self.name == _CLASSES else 0

    def check(self, labels: Int, mask: Int) -> None:
        """Refuse labels that no listing of this kind can prove.

        Args:
            labels, mask: shape `(rows,)`.

        Raises:
            InputError: a label out of range, or one other than zero in a padding row.
        """
        low, high = self.bounds
        wrong = np.flatnonzero(np.where(mask != 0, (labels < low) | (labels >= high), labels != 0))
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"row {row}: label {int(labels[row])} is none of kind {self}, {low} to {high - 1} for a real row and 0 "
                "for padding"
            )


BINARY = LabelKind(_BINARY, 2)
TARGET = LabelKind(_TARGET, 0)
