"""A finished run for the tests of audit and report."""

from __future__ import annotations

import pytest

from tests.app.runs import FinishedRun, make_run
from tests.app.tampering import tamper  # noqa: F401


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The run that all tests share; nobody changes it."""
    return make_run(tmp_path_factory)
