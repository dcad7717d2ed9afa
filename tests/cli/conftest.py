"""The command in this process, and a finished run for the tests of it."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from fedproof.cli import main as command_line
from tests.app.runs import FinishedRun, make_run

Here = Callable[..., CompletedProcess[str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command's entry point in this process: starting one takes longer than most of what it does."""

    def call(*arguments: str) -> CompletedProcess[str]:
        monkeypatch.setattr("sys.argv", ["fedproof", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return CompletedProcess(arguments, code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The run that all tests share; nobody changes it."""
    return make_run(tmp_path_factory)
