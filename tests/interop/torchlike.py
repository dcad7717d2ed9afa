"""Objects that look like PyTorch's modules, as far as `from_layers` looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


class Tensor:
    """A tensor that gives its values only once it has left its graph and its device."""

    def __init__(self, values: np.ndarray, ready: int = 0) -> None:
        self._values, self._ready = values, ready

    def detach(self) -> Tensor:
        return Tensor(self._values, self._ready + 1)

    def cpu(self) -> Tensor:
        return Tensor(self._values, self._ready + 1)

    def numpy(self) -> np.ndarray:
        if self._ready != 2:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._values


class Linear:
    def __init__(self, in_features: int, out_features: int, bias: bool = True, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Tensor(rng.normal(0, 0.5, (out_features, in_features)).astype(np.float32))
        self.bias = Tensor(rng.normal(0, 0.5, out_features).astype(np.float32)) if bias else None


class ReLU:
    pass


class Sigmoid:
    pass


class Softmax:
    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim


class Dropout:
    p = 0.5


class BatchNorm1d:
    pass


class Conv2d:
    pass


class Sequential:
    def __init__(self, *modules: Any) -> None:
        self.modules = modules

    def __iter__(self) -> Iterator[Any]:
        return iter(self.modules)
