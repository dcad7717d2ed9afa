"""The artifacts that the package ships are what the sources give, and the compiler's driver refuses what it should."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "python" / "fedproof" / "ledger" / "artifacts"
FOR_TESTS = ROOT / "tests" / "contracts" / "artifacts"
ARTIFACTS = sorted([*SHIPPED.glob("*.json"), *FOR_TESTS.glob("*.json")])

pytestmark = pytest.mark.node


def compile_contracts(*words: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    command = [node, str(root / "contracts" / "compile.mjs"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def copy_of_sources(tmp_path: Path) -> Path:
    """The contracts and their artifacts, free to be damaged."""
    for folder in ("contracts", "python/fedproof/ledger/artifacts", "tests/contracts/artifacts"):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def test_artifacts_match_the_sources() -> None:
    result = compile_contracts("--check")
    assert result.returncode == 0, result.stderr


def test_check_notices_an_artifact_of_other_sources(copy_of_sources: Path) -> None:
    path = copy_of_sources / "python/fedproof/ledger/artifacts/PoseidonT3.json"
    artifact = json.loads(path.read_text())
    artifact["bytecode"] = artifact["bytecode"][:-1] + ("0" if artifact["bytecode"][-1] != "0" else "1")
    path.write_text(json.dumps(artifact, indent=1) + "\n")
    result = compile_contracts("--check", "PoseidonT3", root=copy_of_sources)
    assert result.returncode == 1
    assert "PoseidonT3.json is not what the sources give" in result.stderr


def test_check_notices_an_artifact_without_a_contract(copy_of_sources: Path) -> None:
    (copy_of_sources / "python/fedproof/ledger/artifacts/Stray.json").write_text("{}")
    result = compile_contracts("--check", root=copy_of_sources)
    assert result.returncode == 1
    assert "Stray.json belongs to no contract" in result.stderr


def test_refuses_an_unknown_contract() -> None:
    result = compile_contracts("NoSuchContract")
    assert result.returncode == 1
    assert "no such contract: NoSuchContract" in result.stderr


HEAD = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("contract Extra { function f() external { uint256 unused; } }", "Unused local variable"),
        ('contract Extra { bytes public constant BIG = hex"' + "ab" * 24_577 + '"; }', "24576 bytes"),
        ("interface Extra { function f() external; }", "has no code to deploy"),
    ],
    ids=["a warning", "too much code", "an interface"],
)
def test_refuses_a_contract_with(copy_of_sources: Path, body: str, complaint: str) -> None:
    (copy_of_sources / "contracts" / "Extra.sol").write_text(HEAD + body)
    driver = copy_of_sources / "contracts" / "compile.mjs"
    row = '{ source: "contracts/Extra.sol" },'
    driver.write_text(driver.read_text().replace("const CONTRACTS = [", f"const CONTRACTS = [{row}"))
    result = compile_contracts("Extra", root=copy_of_sources)
    assert result.returncode == 1
    assert complaint in result.stderr
    assert not (copy_of_sources / "python/fedproof/ledger/artifacts/Extra.json").exists()


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_code_fits_the_limit_of_every_chain(path: Path) -> None:
    artifact = json.loads(path.read_text())
    code = bytes.fromhex(artifact["deployedBytecode"].removeprefix("0x").replace("_", "0").replace("$", "0"))
    assert 0 < len(code) == artifact["deployedSize"] <= 24_576


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_recorded_hashes_are_of_our_sources(path: Path) -> None:
    artifact = json.loads(path.read_text())
    for unit, recorded in artifact["sources"].items():
        location = ROOT / unit if unit.startswith("contracts/") else ROOT / "node_modules" / unit
        assert hashlib.sha256(location.read_bytes()).hexdigest() == recorded, unit
