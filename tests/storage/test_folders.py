"""Files and folders that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fedproof.storage.folders import new_folder, write_file
from tests.support.durable import Syncs


def no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_is_durable_before_its_name_and_both_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = Syncs.watched(monkeypatch)
    for content in (b"first", b"second"):
        write_file(tmp_path / "name", content)
        assert (tmp_path / "name").read_bytes() == content
        assert syncs.early == syncs.lost(tmp_path) == []


def test_a_full_disk_leaves_the_file_before_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "name", b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path / "name", b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["name"]
    assert (tmp_path / "name").read_bytes() == b"before"


def test_what_lies_under_the_temporary_name_gives_a_file_neither_mode_nor_place(tmp_path: Path) -> None:
    part, victim = tmp_path / "name.tmp", tmp_path / "victim"
    victim.write_bytes(b"of somebody else")
    part.write_bytes(b"of a killed run")
    part.chmod(0o666)
    write_file(tmp_path / "name", b"content")
    part.symlink_to(victim)
    write_file(tmp_path / "name", b"content")
    assert victim.read_bytes() == b"of somebody else"
    assert stat.S_IMODE((tmp_path / "name").lstat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["name", "victim"]


def test_what_comes_under_the_temporary_name_at_the_last_moment_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "name.tmp"
    part.write_bytes(b"of somebody else")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # it is there again at once
        with pytest.raises(FileExistsError):
            write_file(tmp_path / "name", b"content")
    assert part.read_bytes() == b"of somebody else"
    assert not (tmp_path / "name").exists()


def test_all_of_a_new_folder_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = Syncs.watched(monkeypatch)
    with new_folder(tmp_path / "name") as folder:
        (folder / "keys").mkdir()
        (folder / "keys" / "one").write_bytes(b"key")
        (folder / "chain.json").write_bytes(b"{}")
    assert syncs.early == syncs.lost(tmp_path) == []
