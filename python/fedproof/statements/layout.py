"""Where each value of a dataset and of an update sits in its committed vector (protocol, section 5).

A vector v is committed as `Com(v) = sum_j v_j [tau^j]_1`, so a layout is a map to powers of tau. Layouts depend on the
capacity class alone, never on the private number of rows.
"""

from dataclasses import dataclass

# One coefficient hides the commitment and one more each evaluation that it reveals (protocol, section 2).
DATASET_BLINDING = 2  # Com(X) is opened once, by the listing proof
UPDATE_BLINDING = 3  # C_U is opened by the training proof and, inside the sum, by the aggregation proof


@dataclass(frozen=True)
class DatasetLayout:
    """A dataset of `rows x columns` (the last column is the mask), its labels, blinding and a task's masks."""

    rows: int
    columns: int

    @property
    def labels(self) -> int:
        """Position of the first label."""
        return self.rows * self.columns

    @property
    def blinding(self) -> int:
        """Position of the first blinding coefficient."""
        return self.rows * (self.columns + 1)

    @property
    def masks(self) -> int:
        """d: position of the first mask; `[tau^d]_2` proves that an enrolment changes nothing below it."""
        return self.blinding + DATASET_BLINDING

    def size(self, mask_count: int = 0) -> int:
        """Length of the vector with so many masks."""
        return self.masks + mask_count


@dataclass(frozen=True)
class WeightLayout:
    """Weights of logistic regression: weight j at position j, the bias last; in updates the blinding follows."""

    columns: int

    @property
    def blinding(self) -> int:
        """Position of the first blinding coefficient of an update."""
        return self.columns

    @property
    def update_size(self) -> int:
        """Length of an update with its blinding."""
        return self.columns + UPDATE_BLINDING


def srs_size(rows: int, columns: int, mask_count: int) -> int:
    """Powers of tau that a task of this capacity class needs."""
    return DatasetLayout(rows, columns).size(mask_count)
