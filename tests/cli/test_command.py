"""The command: one line for each wrong input, numbered exit codes, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fedproof.cli import main as command
from fedproof.errors import AuditError
from tests.cli.conftest import Here


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    code = "from fedproof.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=cwd
    )


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("fedproof: ")
    assert done.stdout == ""
    return lines[0]


HEAVY = ("web3", "eth", "eth_account", "eth_tester", "sklearn", "pyarrow", "numpy", "fedproof._core", "fedproof.app")


def test_help_and_version() -> None:
    told = " ".join(run("--help").stdout.split())
    assert "10 audit failed, 70 internal error, 130 interrupted." in told
    assert "  " not in told
    assert run("demo", "-h").returncode == 0
    assert run("--version").stdout.startswith("fedproof, version")


def test_help_waits_for_no_library() -> None:
    """What takes a second to import is imported by the command that needs it, when it runs."""
    for arguments in (["--help"], ["task", "status", "--help"], ["net", "start", "--help"]):
        code = (
            "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
            "from fedproof.cli.main import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.startswith("Usage:")
        loaded = set(done.stderr.split())
        assert "fedproof.cli.main" in loaded
        assert not [name for name in HEAVY if name in loaded]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--threshold", "2"], "--workers 5"),
        (["demo", "--participants", "1"], "--participants"),
        (["demo", "--rounds", "0"], "--rounds"),
        (["demo", "--participants", "60"], "participants"),
        (["demo", "--data", "digits"], "positive"),
        (["demo", "--data", "no-such.csv"], "no-such.csv"),
        (["demo", "--data", "wine", "--positive", "class_9"], "class_9"),
        (["demo", "--no-such-option"], "--no-such-option"),
        (["verify"], "RUN_FOLDER"),
        (["verify", "nowhere"], "manifest.json is missing"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = here(*arguments, "--quiet" if arguments[-1] != "--no-such-option" else "--json")
    assert done.returncode == 2
    assert said in only_line(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,label\n" + "1,2,0\n3,nan,1\n" * 40, "column"),
        ("a,b,label\n" + "1,2,0\n3,x,1\n" * 40, "row"),
        ("a,b,label\n" + "1,2,0\n" * 80, "class"),
        ("a,b,label\n" + "1,2,0\n3,4,1\n" * 5, "32"),
        ("a,b,label\n" + "1,2,0\n3,4,1\n" * 30, "participants"),
        ("", "empty"),
    ],
)
def test_a_bad_csv_is_one_line_that_says_where(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "records.csv").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = here("demo", "--quiet", "--data", "records.csv")
    assert done.returncode == 2
    assert said in only_line(done)


def test_a_process_ends_as_the_entry_point_says(tmp_path: Path) -> None:
    done = run("demo", "--quiet", "--data", "no-such.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such.csv" in only_line(done)


def test_a_run_folder_that_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("x")
    done = run("demo", "--quiet", "--run", "mine", "--data", "wine", "--positive", "class_1", cwd=tmp_path)
    assert done.returncode == 2
    assert "exists already" in only_line(done)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kept"]


def test_an_unexpected_failure_is_one_line_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("secret value")

    monkeypatch.setattr(command.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == command.INTERNAL_ERROR
    said = capsys.readouterr().err
    assert "internal error (RuntimeError at test_command.py" in said
    assert "secret" not in said


def test_an_error_of_the_tree_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise AuditError("no")

    monkeypatch.setattr(command.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 10
