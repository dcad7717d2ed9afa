"""Setups by many from files to keys, and what is refused on the way (attack 8)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fedproof import _core
from fedproof.app import setups
from fedproof.app.audit import _audit
from fedproof.app.audit_base import Audit
from fedproof.app.founding import plan_of
from fedproof.app.home import Home
from fedproof.app.keyring import Keyring
from fedproof.app.setups import FirstFile, SecondFile, VerifiedSetup
from fedproof.app.telling import Silent
from fedproof.app.world import key_requests
from fedproof.errors import AuditError, InputError, KeyFileError
from fedproof.learning.plans import Plan
from fedproof.proving import ceremony
from fedproof.proving.keys import Keys, with_proving_key
from fedproof.storage import BlobStore
from tests.app.runs import FinishedRun

from .setups_support import BEACON, LATER, finished, requests, small

__all__ = ["small"]

PLAN = plan_of(32, 3, model="logistic", epochs=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FirstFile, SecondFile, Path]]:
    folder = tmp_path_factory.mktemp("setup") / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setups, "key_requests", requests)
        yield *finished(PLAN, folder), folder


def test_a_finished_setup_gives_keys_that_are_not_one_dealers(
    small: None, made: tuple[FirstFile, SecondFile, Path]
) -> None:
    found = VerifiedSetup.read(made[2], Silent())
    assert set(found.keys) == {"training", "aggregation"}
    assert not any(key.development for key in found.keys.values())
    assert found.keys["training"].alpha == found.keys["aggregation"].alpha
    first, second = (phase[-1].digest.hex() for phase in (found.first, found.second))
    assert found.check(found.keys) == (
        f'the keys are those of a setup whose first phase tells of "north", "south" (beacon {BEACON}, digest {first}), '
        f'and the second of "north", "east" (beacon {LATER}, digest {second})'
    )


def test_a_file_says_what_it_is(small: None, made: tuple[FirstFile, SecondFile, Path]) -> None:
    first, second, folder = made
    assert setups.read_first(folder / "first").phase.digest() == first.phase.digest()
    assert setups.read_second(folder / "second").contributions == second.contributions
    with pytest.raises(InputError, match="is of the second phase; name the file of the first"):
        setups.read_first(folder / "second")
    with pytest.raises(InputError, match="is of the first phase; name the file of the second"):
        setups.read_second(folder / "first")


@pytest.mark.parametrize("name", ["first", "second"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_one_line(
    small: None, made: tuple[FirstFile, SecondFile, Path], tmp_path: Path, name: str, damage: str
) -> None:
    data = (made[2] / name).read_bytes()
    broken = {"flip": data[:-70] + bytes([data[-70] ^ 1]) + data[-69:], "cut": data[:-1], "empty": b""}[damage]
    (tmp_path / name).write_bytes(broken)
    with pytest.raises(KeyFileError, match=f"{name}: ") as error:
        setups.read_setup(tmp_path / name).verify(Silent(), made[0])
    assert "\n" not in str(error.value)


def test_a_second_phase_with_a_part_of_another_contribution_is_refused(
    small: None, made: tuple[FirstFile, SecondFile, Path]
) -> None:
    first, second, _ = made
    parts = dict(second.phases.parts)  # and none for the other
    parts["training"] = setups.start_second(first, PLAN, Silent()).phases.parts["training"]
    mixed = SecondFile(PLAN, ceremony.SecondPhases(parts)).encode()
    with pytest.raises(KeyFileError, match="not every contribution is to all of its keys"):
        setups._decode_second(mixed)


def test_one_part_in_the_place_of_another_is_refused(
    small: None, made: tuple[FirstFile, SecondFile, Path], tmp_path: Path
) -> None:
    first, second, _ = made
    one, other = second.phases.parts.values()
    swapped = SecondFile(PLAN, ceremony.SecondPhases({"training": other, "aggregation": one}))
    with pytest.raises(KeyFileError, match="second phase of training: the key was made for another circuit"):
        swapped.verify(Silent(), first)
    with pytest.raises(KeyFileError, match="made for another circuit"):
        setups.finish(first, swapped, tmp_path / "out", Silent())
    assert not (tmp_path / "out").exists()


def test_factors_that_two_circuits_share_are_refused(
    small: None, made: tuple[FirstFile, SecondFile, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One delta for two circuits allows forgeries; here somebody makes it so, behind a transcript that holds."""
    first, second, _ = made
    keys = setups.made_keys(first, second, Silent())[1]
    shared = {"training": keys["training"], "aggregation": _with_delta(keys["aggregation"], keys["training"])}
    monkeypatch.setattr(ceremony.SecondPhases, "keys", lambda *_: shared)
    with pytest.raises(KeyFileError, match="delta of the aggregation key is delta of training up to sign"):
        setups.made_keys(first, second, Silent())


def _with_delta(key: Keys, of: Keys) -> Keys:
    return replace(key, verifying=replace(key.verifying, delta=of.verifying.delta))


def test_a_first_phase_that_does_not_hold_takes_no_contribution(
    small: None, made: tuple[FirstFile, SecondFile, Path]
) -> None:
    own = setups.start_first(PLAN).encode()
    for honest in (setups.start_first(PLAN).contribute("north", None, Silent()), made[0]):
        points = len(own) - 4
        forged = own[:points] + honest.encode()[points:]  # the powers of nobody under an honest transcript
        found = FirstFile(_core.PhaseOne.from_bytes(forged))
        for act in (
            lambda found: found.verify(Silent()),
            lambda found: (
                setups.start_second(found, PLAN, Silent())
                if found.contributions[-1].beacon
                else found.contribute("south", None, Silent())
            ),
        ):
            with pytest.raises(KeyFileError, match="not of the secrets that the contributions lead to"):
                act(found)


def test_an_unfinished_setup_makes_no_keys(
    small: None, made: tuple[FirstFile, SecondFile, Path], tmp_path: Path
) -> None:
    first = made[0]
    begun = setups.start_second(first, PLAN, Silent())
    with pytest.raises(
        KeyFileError, match="the second phase does not end with a beacon yet: end it with fedproof setup beacon"
    ):
        setups.finish(first, begun, tmp_path / "out", Silent())
    with pytest.raises(
        KeyFileError, match="the first phase does not end with a beacon yet: end it with fedproof setup beacon"
    ):
        setups.start_second(setups.start_first(PLAN), PLAN, Silent())


def test_a_file_is_never_written_over(small: None, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"x")
    with pytest.raises(InputError, match="exists already; name another file"):
        setups.write_setup(tmp_path / "taken", b"y")
    assert (tmp_path / "taken").read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_that_came_meanwhile_is_not_written_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setups, "check_new", lambda _: None)
    (tmp_path / "taken").write_bytes(b"x")
    with pytest.raises(InputError, match="exists already; name another file"):
        setups.write_setup(tmp_path / "taken", b"y")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("taken", b"x")]


def test_no_more_is_read_than_a_setup_has(
    made: tuple[FirstFile, SecondFile, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe cannot be read: Not a plain file"):
        setups.read_setup(tmp_path / "pipe")
    monkeypatch.setattr(setups, "MAX_KEY_FILE_BYTES", 100)
    with pytest.raises(KeyFileError, match="is too large for a setup"):
        setups.read_setup(made[2] / "first")


def test_a_plan_that_is_larger_than_the_first_phase_is_not_compiled(
    small: None, made: tuple[FirstFile, SecondFile, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = made
    large = replace(second, plan=plan_of(1024, 31, model="logistic", epochs=1))
    monkeypatch.setattr(setups, "circuits_of", None)
    for act in (
        lambda: large.verify(Silent(), first),
        lambda: setups.start_second(first, large.plan, Silent()),
        lambda: setups.made_keys(first, large, Silent()),
    ):
        with pytest.raises(KeyFileError, match="too small for datasets of this plan"):
            act()


def test_a_second_phase_that_lacks_a_statement_is_refused(
    small: None, made: tuple[FirstFile, SecondFile, Path]
) -> None:
    _, second, _ = made
    parts = ceremony.SecondPhases({"training": second.phases.parts["training"]})
    with pytest.raises(KeyFileError, match="it has the keys of 1 statements, and its plan has 2"):
        setups._decode_second(SecondFile(PLAN, parts).encode())


def test_the_folder_of_a_setup_is_for_all_to_read(made: tuple[FirstFile, SecondFile, Path]) -> None:
    modes = [path.stat().st_mode & 0o777 for path in (made[2], made[2] / "first", made[2] / "second")]
    assert modes == [0o755, 0o644, 0o644]


@pytest.mark.parametrize("value", ["", "0x12", "g" * 64, "ab" * 33, "\N{ARABIC-INDIC DIGIT ONE}" * 64])
def test_refuses_what_is_no_beacon(value: str) -> None:
    with pytest.raises(InputError, match="a beacon is 64 hexadecimal digits"):
        setups.beacon_of(value, 1)


def test_an_audit_with_the_setup_refuses_keys_of_a_dealer_who_says_many_made_them(
    small: None, made: tuple[FirstFile, SecondFile, Path], run: FinishedRun
) -> None:
    store, ours = BlobStore.open(str(run.folder / "public" / "blobs")), VerifiedSetup.read(made[2], Silent())
    with pytest.raises(AuditError, match="the eligibility key is not the one of this setup"):
        _audit(run.chain, run.manifest, store, Audit(Silent()), ours)


def test_an_audit_with_the_setup_of_its_keys_names_who_made_them(
    small: None, made: tuple[FirstFile, SecondFile, Path], run: FinishedRun
) -> None:
    """The run's own keys stand in for those of a setup of its circuits, which takes minutes."""
    seen: list[Mapping[str, object]] = []

    class Same(VerifiedSetup):
        def check(self, keys: Mapping[str, object]) -> str:  # type: ignore[override]
            seen.append(keys)
            return "the setup's"

    found = Audit(Silent())
    ours = VerifiedSetup.read(made[2], Silent())
    _audit(
        run.chain,
        run.manifest,
        BlobStore.open(str(run.folder / "public" / "blobs")),
        found,
        Same(ours.first, ours.second, ours.keys),
    )
    assert set(seen[0]) == {"eligibility", "spend", "listing", "training", "aggregation"}
    assert "the setup's" in found.checks
    assert not any("one dealer" in note for note in found.notes)
    with_them = VerifiedSetup(ours.first, ours.second, dict(seen[0]))  # type: ignore[arg-type]
    assert '"north", "south"' in with_them.check(dict(seen[0]))  # type: ignore[arg-type]


def test_a_marketplace_of_keys_by_many_takes_none_of_one_dealer(
    monkeypatch: pytest.MonkeyPatch, made: tuple[FirstFile, SecondFile, Path], tmp_path: Path
) -> None:
    """The keys are a dealer's that were marked, for those of a real setup take minutes."""
    ring = Keyring(tmp_path / "cache")
    monkeypatch.setattr(setups, "made_keys", lambda *_: _marked(ring, PLAN))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setups, "read_finished", lambda _: made[:2])
        Home.create(tmp_path / "home", Silent(), setup=made[2])
    with Home.open(tmp_path / "home", Silent()) as home:
        assert not home.note_keys()["spend"].verifying.development
        assert home.class_of(32, 3) == 1  # of the setup's own listing key
        with pytest.raises(InputError, match="keys by many, and its setup made none for 64 x 4"):
            home.class_of(64, 4)


def _marked(ring: Keyring, plan: Plan) -> tuple[_core.Srs, dict[str, Keys]]:
    srs = ring.srs(200, [DATASET_MASKS])
    made = {}
    for name, keys in ring.keys(key_requests(plan), srs).keys.items():
        data = keys.proving.to_bytes().replace(b"fedproof/key/v2", b"fedproof/key/v3", 1)
        made[name] = with_proving_key(
            keys.circuit, _core.ProvingKey.from_bytes(data), srs, key_requests(plan)[name].mask_position
        )
    return srs, made


DATASET_MASKS = next(r.mask_position for r in key_requests(PLAN).values() if r.mask_position is not None)
