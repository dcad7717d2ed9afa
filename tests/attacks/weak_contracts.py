"""The contracts with a switch: each check below is in place unless the switch names it.

The sources are copied, each of these checks asks the switch first, and the copy is compiled once for a run of the
tests. The switch is the balance of one address: it needs no storage, no argument and no second compilation.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from eth.vm.forks.shanghai import computation as shanghai
from eth.vm.forks.spurious_dragon import computation as spurious_dragon

from fedproof.ledger import Artifact, Chain
from fedproof.ledger.embedded import evm
from tests.attacks.weakened import Check

ROOT = Path(__file__).parents[2]
SWITCH = "0x00000000000000000000000000000000a77Ac4Ed"
NAMES = ("Federation", "RoundJudge", "RoundParts", "DatasetRegistry", "NoteVault", "ProofHarness")
HEAD = "pragma solidity ^0.8.28;\n"
LIBRARY = f"""// SPDX-License-Identifier: Apache-2.0
{HEAD}
library Weak {{
    function off(uint256 check) internal view returns (bool) {{
        return address(uint160({int(SWITCH, 16):#x})).balance == check;
    }}
}}
"""

# check, file, text of the source, text of the weakened one; `OFF` stands for "the switch names this check"
PATCHES: tuple[tuple[Check, str, str, str], ...] = (
    (
        Check.EVERY_ACCEPTED_UPDATE,
        "Federation.sol",
        "if (given != accepted) revert WrongSet(accepted, given);\n        if (given < Heads.OTHERS",
        "if (given != accepted && !OFF) revert WrongSet(accepted, given);\n        if (given < Heads.OTHERS",
    ),
    (
        Check.EACH_UPDATE_ONCE,
        "federation/Task.sol",
        "if (index >= Heads.MAX_PARTICIPANTS || given >> index != 0) revert",
        "if (index >= Heads.MAX_PARTICIPANTS || (given >> index != 0 && !OFF)) revert",
    ),
    (
        Check.OPENED_SEATS,
        "federation/Task.sol",
        "if (t.seats[update.participant] != seat) revert",
        "if (t.seats[update.participant] != seat && !OFF) revert",
    ),
    (
        Check.ONE_UPDATE_EACH,
        "federation/Task.sol",
        "if (head.pending() & bit == 0) revert IFederation.NothingDue(index);",
        "if (head.pending() & bit == 0 && !OFF) revert IFederation.NothingDue(index);",
    ),
    (Check.MASKING, "Federation.sol", "if (!RoundJudge.isMasking(", "if (!OFF && !RoundJudge.isMasking("),
    (
        Check.LINK_OF_AGGREGATE,
        "federation/RoundEquation.sol",
        "batch.u = _coefficient(seed, 0);\n        (batch.sigma",
        "batch.u = OFF ? 0 : _coefficient(seed, 0);\n        (batch.sigma",
    ),
    (
        Check.SENDER_OF_AGGREGATE,
        "federation/RoundTranscript.sol",
        "bytes32 aggregationTag = Transcript.AGGREGATION;",
        "bytes32 aggregationTag = Transcript.AGGREGATION;\n        address sender = OFF ? address(0) : msg.sender;",
    ),
    (
        Check.SENDER_OF_AGGREGATE,
        "federation/RoundTranscript.sol",
        "mstore(add(image, 0xc0), caller())",
        "mstore(add(image, 0xc0), sender)",
    ),
    (Check.ROUND_OF_UPDATE, "federation/RoundTranscript.sol", "image[5] = round;", "image[5] = OFF ? 0 : round;"),
    (Check.TASK_OF_UPDATE, "federation/RoundTranscript.sol", "image[4] = task;", "image[4] = OFF ? 0 : task;"),
    (
        Check.CONTRACT_OF_UPDATE,
        "federation/RoundTranscript.sol",
        "image[3] = uint256(uint160(federation));",
        "image[3] = OFF ? 0 : uint256(uint160(federation));",
    ),
    (
        Check.PARTICIPANT_OF_UPDATE,
        "federation/RoundTranscript.sol",
        ") internal pure returns (uint256 sigma, uint256 lambda) {\n        bytes32 sigmaTag = Transcript.SIGMA;\n"
        "        bytes32 lambdaTag = Transcript.LAMBDA;\n        uint256 order = BN254.R;\n"
        '        assembly ("memory-safe") {\n            calldatacopy(add(image, 0xc0), add(update, 0x20), 0x20)',
        ") internal view returns (uint256 sigma, uint256 lambda) {\n        bytes32 sigmaTag = Transcript.SIGMA;\n"
        "        bytes32 lambdaTag = Transcript.LAMBDA;\n        uint256 order = BN254.R;\n"
        '        uint256 named = OFF ? 0 : 0x20;\n        assembly ("memory-safe") {\n'
        "            calldatacopy(add(image, 0xc0), add(update, 0x20), named)",
    ),
    (
        Check.CONTROL_PAIRING,
        "proof/BN254.sol",
        "        _requireGas(budget);\n        (bool answered, bool holds) = _pairing(input, budget);\n"
        "        if (answered) return holds ? Answer.Holds : Answer.DoesNotHold;\n",
        "        if (!OFF) _requireGas(budget);\n        (bool answered, bool holds) = _pairing(input, budget);\n"
        "        if (answered) return holds ? Answer.Holds : Answer.DoesNotHold;\n"
        "        if (OFF) return Answer.MalformedPoint;\n",
    ),
    (
        Check.FAILED_PRECOMPILE,
        "proof/BN254.sol",
        "if (!answered) revert PrecompileFailed(8);",
        "if (!answered && !OFF) revert PrecompileFailed(8);",
    ),
    (
        Check.ABSENT_PRECOMPILE,
        "proof/BN254.sol",
        "function selfTest() internal view {\n",
        "function selfTest() internal view {\n        if (OFF) return;\n",
    ),
    (  # what a common exported verifier does: the answer is written over the input, and success is all that is asked
        Check.ABSENT_PRECOMPILE,
        "proof/BN254.sol",
        "private view returns (bool answered, bool holds) {\n",
        "private view returns (bool answered, bool holds) {\n        if (OFF) {\n"
        '            assembly ("memory-safe") {\n                let size := mul(mload(input), 0x20)\n'
        "                let place := add(input, 0x20)\n"
        "                answered := staticcall(budget, 8, place, size, place, 0x20)\n"
        "                holds := and(answered, mload(place))\n            }\n            return (answered, holds);\n"
        "        }\n",
    ),
    (
        Check.CANONICAL_SCALARS,
        "proof/Groth16Verifier.sol",
        "            BN254.requireScalar(x[j]);\n",
        "            if (!OFF) BN254.requireScalar(x[j]);\n",
    ),
    (
        Check.MINTER_OF_LISTING,
        "DatasetRegistry.sol",
        "                msg.sender,\n                key[VerifyingKeys.CIRCUIT_ID],",
        "                OFF ? address(0) : msg.sender,\n                key[VerifyingKeys.CIRCUIT_ID],",
    ),
    (
        Check.NULLIFIER_ONCE,
        "DatasetRegistry.sol",
        "if (isSpent[nullifier]) revert",
        "if (isSpent[nullifier] && !OFF) revert",
    ),
    (
        Check.GRANTEE_OF_SIGNAL,
        "DatasetRegistry.sol",
        "bytes32 hpkeKey) private pure returns (uint256) {\n        return Transcript.toScalar("
        "keccak256(abi.encode(Transcript.SIGNAL, tier, duration, grantee, hpkeKey)));",
        "bytes32 hpkeKey) private view returns (uint256) {\n        if (OFF) grantee = address(0);\n"
        "        return Transcript.toScalar("
        "keccak256(abi.encode(Transcript.SIGNAL, tier, duration, grantee, hpkeKey)));",
    ),
    (
        Check.KNOWN_ROOT,
        "DatasetRegistry.sol",
        "if (!vault.isKnownRoot(inputs[0])) revert",
        "if (!vault.isKnownRoot(inputs[0]) && !OFF) revert",
    ),
    (
        Check.NOTE_ONCE,
        "NoteVault.sol",
        "if (isSpent[nullifiers[k]]) revert",
        "if (isSpent[nullifiers[k]] && !OFF) revert",
    ),
    (
        Check.RECIPIENT_OF_SPEND,
        "NoteVault.sol",
        "address(this), recipient, memoHash)",
        "address(this), OFF ? address(0) : recipient, memoHash)",
    ),
    (Check.CHAIN, "federation/RoundTranscript.sol", "image[2] = block.chainid;", "image[2] = OFF ? 0 : block.chainid;"),
    (  # one more variable would be one too many here
        Check.CHAIN,
        "federation/RoundTranscript.sol",
        "mstore(add(image, 0x40), chainid())",
        f"mstore(add(image, 0x40), mul(chainid(), iszero(eq(balance({int(SWITCH, 16):#x}), {int(Check.CHAIN)}))))",
    ),
    (
        Check.CHAIN,
        "DatasetRegistry.sol",
        "                Transcript.VERSION,\n                block.chainid,",
        "                Transcript.VERSION,\n                OFF ? 0 : block.chainid,",
    ),
    (
        Check.CHAIN,
        "DatasetRegistry.sol",
        "abi.encode(Transcript.SCOPE, block.chainid, address(this)",
        "abi.encode(Transcript.SCOPE, OFF ? 0 : block.chainid, address(this)",
    ),
    (
        Check.CHAIN,
        "NoteVault.sol",
        "abi.encode(Transcript.SPEND, block.chainid,",
        "abi.encode(Transcript.SPEND, OFF ? 0 : block.chainid,",
    ),
)


def weaken(contracts: Path) -> None:
    """Put the switch into a copy of the sources."""
    (contracts / "Weak.sol").write_text(LIBRARY)
    for check, name, old, new in PATCHES:
        path = contracts / name
        text = path.read_text()
        if text.count(old) != 1:
            raise AssertionError(f"{name} does not have the check {check.name} once, as it is written here:\n{old}")
        path.write_text(text.replace(old, new.replace("OFF", f"Weak.off({int(check)})")))
    for name in {name for _, name, _, _ in PATCHES}:
        path = contracts / name
        up = "../" * name.count("/") or "./"
        path.write_text(path.read_text().replace(HEAD, f'{HEAD}\nimport {{Weak}} from "{up}Weak.sol";', 1))


def quick(driver: Path) -> None:
    """Let a copy of the compiler's driver work fast and make code that is larger than a chain would take."""
    text = driver.read_text()
    steps = 'viaIR && { details: { yul: true, yulDetails: { optimizerSteps: "u" } } }'
    for old, new in (
        ("optimizer: { enabled: true, runs },", f"optimizer: {{ enabled: true, runs: 1, ...({steps}) }},"),
        ("settings = ({ runs = DEFAULT_RUNS, viaIR = false })", "settings = ({ viaIR = false })"),
        ('"contracts/Federation.sol", viaIR: true,', '"contracts/Federation.sol",'),
        ('"contracts/Committee.sol", viaIR: true,', '"contracts/Committee.sol",'),
        ("MAX_DEPLOYED_BYTES = 24_576", "MAX_DEPLOYED_BYTES = 49_152"),
        ("errorCode !== TRANSIENT_STORAGE", '![TRANSIENT_STORAGE, "5574", "3860"].includes(errorCode)'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    driver.write_text(text)


def compile_weakened(folder: Path) -> dict[str, Artifact]:
    """The artifacts of the weakened contracts, compiled in a folder."""
    return compile_changed(folder, weaken, NAMES)


def compile_changed(folder: Path, change: Callable[[Path], None], names: Sequence[str]) -> dict[str, Artifact]:
    """Artifacts of contracts whose sources `change` has changed in a copy, compiled in a folder."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    shutil.copytree(ROOT / "contracts", folder / "contracts")
    (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
    out = {}
    for name in names:
        place = "tests/contracts/artifacts" if name == "ProofHarness" else "python/fedproof/ledger/artifacts"
        out[name] = folder / place / f"{name}.json"
        out[name].parent.mkdir(parents=True, exist_ok=True)
    change(folder / "contracts")
    quick(folder / "contracts" / "compile.mjs")
    command = [node, str(folder / "contracts" / "compile.mjs"), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return {name: Artifact.from_json(path.read_text(), name) for name, path in out.items()}


@contextmanager
def without_size_limits() -> Iterator[None]:
    """The embedded chain takes contracts of any size: the weakened ones are compiled for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spurious_dragon, "EIP170_CODE_SIZE_LIMIT", 2**20)
        patch.setattr(shanghai, "MAX_INITCODE_SIZE", 2**21)
        patch.setattr(evm, "INITCODE_SIZE_LIMIT", 2**21)
        yield


def leave_out(chain: Chain, check: Check) -> None:
    """Set the switch, once between two snapshots."""
    assert chain.dev is not None
    if check:
        chain.dev.give(SWITCH, int(check))
