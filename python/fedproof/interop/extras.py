"""Packages that only some users have: imported when they are needed, with a line that says how to get them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fedproof.errors import InputError


def need(module: str) -> Any:
    """A module of the extra `onnx`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"the package {module} is not installed: pip install 'fedproof[onnx]'") from None
