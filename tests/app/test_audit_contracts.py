"""Runs on contracts of a cheater's own: its chain replays without a fault, and the audit refuses it all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from web3.types import Nonce
from web3.utils.address import get_create_address

from fedproof.app import audit
from fedproof.app.audit import audit_run
from fedproof.app.audit_run import _made_before, check_code, check_committee
from fedproof.app.telling import Silent
from fedproof.errors import AuditError
from fedproof.ledger import Account, Chain, load_artifact
from fedproof.ledger.committee import Committee
from fedproof.ledger.federation import LIBRARIES, Federation
from tests.app.runs import FinishedRun, replayed

pytestmark = pytest.mark.slow


@dataclass
class Cheater:
    """The run's chain with an account that may add to it."""

    run: FinishedRun
    chain: Chain
    account: Account

    def made(self, artifact: Any, *args: Any, **more: Any) -> tuple[str, str]:
        """Deploy, and point to it as a manifest does."""
        address = self.chain.deploy(artifact, *args, sender=self.account, **more).address
        return address, self.chain.deployment_receipt(address).tx_hash

    def made_federation(self, registry: str, token: str) -> tuple[str, str]:
        """A federation over these, with libraries of its own."""
        libraries = {name: self.made(name)[0] for name in LIBRARIES}
        return self.made("Federation", registry, token, True, libraries=libraries)

    @property
    def spend_key(self) -> str:
        """The key of the run's vault."""
        vault = self.chain.contract_at("NoteVault", self.at["NoteVault"])
        return str(self.chain.call(vault.functions.spendKey()))

    @property
    def at(self) -> dict[str, str]:
        return {name: made[0] for name, made in self.run.manifest.contracts.items()}


@pytest.fixture(scope="module")
def cheater(run: FinishedRun) -> Iterator[Cheater]:
    with replayed(run.folder) as chain:
        yield Cheater(run, chain, chain.new_account("cheater"))


def refused(
    cheater: Cheater, folder: Path, monkeypatch: pytest.MonkeyPatch, contracts: dict[str, Any], match: str
) -> None:
    """The audit of a manifest that names other contracts."""
    cheater.run.copy(folder)
    path = folder / "public" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["contracts"] |= {name: list(made) for name, made in contracts.items()}
    path.write_text(json.dumps(manifest))
    monkeypatch.setattr(audit, "open_chain", lambda *_: nullcontext(cheater.chain))
    with pytest.raises(AuditError, match=match):
        audit_run(folder, Silent())


def test_refuses_other_code_under_a_shipped_name(
    cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = load_artifact("AccessToken")
    last = int(shipped.bytecode[-2:], 16)
    other = replace(shipped, bytecode=shipped.bytecode[:-2] + f"{last ^ 1:02x}")  # it runs all the same
    made = cheater.made(other, 10**30)
    refused(cheater, tmp_path, monkeypatch, {"AccessToken": made}, "was not made from the AccessToken")


def test_refuses_more_behind_the_constructors_arguments(cheater: Cheater) -> None:
    shipped = load_artifact("AccessToken")
    abi = [
        entry | {"inputs": [*entry["inputs"], {"name": "more", "type": "uint256"}]}
        if entry["type"] == "constructor"
        else entry
        for entry in shipped.abi
    ]
    made = cheater.made(replace(shipped, abi=tuple(abi)), 1, 2)
    with pytest.raises(AuditError, match="was not made from the AccessToken"):
        check_code(cheater.chain, {"AccessToken": made})


def test_refuses_a_transaction_that_is_no_creation(cheater: Cheater) -> None:
    """It is shorter than the place of the first library."""
    sent = cheater.chain.transfer(cheater.account, cheater.account.address, 1)
    with pytest.raises(AuditError, match="was not made from the NoteVault"):
        check_code(cheater.chain, {"NoteVault": (cheater.at["NoteVault"], sent.tx_hash)})


def test_refuses_a_library_of_other_code(cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("PoseidonT3", "PoseidonT5")
    given = {name: cheater.made(name)[0] for name in names}
    good = cheater.made("NoteVault", cheater.at["AccessToken"], 604_800, cheater.spend_key, True, libraries=given)
    assert "ships" in check_code(cheater.chain, {"NoteVault": good})
    crossed = dict(zip(names, (given["PoseidonT5"], given["PoseidonT3"]), strict=True))
    made = cheater.made("NoteVault", cheater.at["AccessToken"], 604_800, cheater.spend_key, True, libraries=crossed)
    refused(cheater, tmp_path, monkeypatch, {"NoteVault": made}, "the library at .* is not the PoseidonT")
    code = {name: cheater.made(name)[0] for name in LIBRARIES}
    crossed = dict(zip(LIBRARIES, reversed(code.values()), strict=True))
    over = (cheater.at["DatasetRegistry"], cheater.at["AccessToken"], True)
    made = cheater.made("Federation", *over, libraries=crossed)
    refused(cheater, tmp_path / "own", monkeypatch, {"Federation": made}, "the library at .* is not the Round")


@pytest.mark.parametrize("name", ["Federation", "NoteVault"])
def test_refuses_a_library_that_another_made(
    cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its code is the shipped one now. A contract of somebody's may have made it there after other code, which ran once
    as the federation, approved a thief, and was gone with its transaction."""
    other = replace(cheater, account=cheater.chain.new_account("another"))
    wanted = LIBRARIES if name == "Federation" else ("PoseidonT3", "PoseidonT5")
    libraries = {library: other.made(library)[0] for library in wanted}
    over = {
        "Federation": (cheater.at["DatasetRegistry"], cheater.at["AccessToken"], True),
        "NoteVault": (cheater.at["AccessToken"], 604_800, cheater.spend_key, True),
    }
    made = cheater.made(name, *over[name], libraries=libraries)
    refused(cheater, tmp_path, monkeypatch, {name: made}, f"was not made by the account that made {name}")


def test_refuses_a_creation_that_failed(cheater: Cheater, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Chain.receipt
    monkeypatch.setattr(Chain, "receipt", lambda *a: replace(real(*a), status=0))
    with pytest.raises(AuditError, match="was not made from the AccessToken"):
        check_code(cheater.chain, {"AccessToken": cheater.run.manifest.contracts["AccessToken"]})


def test_refuses_a_federation_over_another_registry(
    cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = cheater.made("DatasetRegistry", cheater.at["NoteVault"], 365 * 86_400, True)
    made = cheater.made_federation(registry[0], cheater.at["AccessToken"])
    refused(cheater, tmp_path, monkeypatch, {"Federation": made}, "use another registry than the manifest")


def test_refuses_a_federation_that_pays_in_another_token(
    cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = cheater.made("AccessToken", 10**30)
    made = cheater.made_federation(cheater.at["DatasetRegistry"], token[0])
    refused(cheater, tmp_path, monkeypatch, {"Federation": made}, "use another token than the manifest")


def test_refuses_the_committee_of_another_federation(cheater: Cheater) -> None:
    federation = Federation.at(cheater.chain, cheater.at["Federation"])
    check_committee(federation)
    address, _ = cheater.made("Committee", cheater.at["AccessToken"])
    federation.committee = Committee(federation, cheater.chain.contract_at("Committee", address))
    with pytest.raises(AuditError, match="is of another federation"):
        check_committee(federation)


def test_refuses_a_committee_with_another_token(cheater: Cheater) -> None:
    federation = Federation.at(cheater.chain, cheater.at["Federation"])
    federation.token = cheater.chain.contract_at("AccessToken", cheater.made("AccessToken", 1)[0])
    with pytest.raises(AuditError, match="is of another token"):
        check_committee(federation)


@pytest.mark.parametrize("change", [b"", b"\0"], ids=["a bit", "a byte more"])
def test_refuses_a_committee_of_other_code(cheater: Cheater, monkeypatch: pytest.MonkeyPatch, change: bytes) -> None:
    federation = Federation.at(cheater.chain, cheater.at["Federation"])
    code = cheater.chain.code_at(federation.committee.address)
    other = code + change if change else code[:-1] + bytes([code[-1] ^ 1])
    monkeypatch.setattr(cheater.chain, "code_at", lambda _: other)
    with pytest.raises(AuditError, match="is not the Committee that this package ships"):
        check_committee(federation)


def test_refuses_a_registry_over_another_vault(
    cheater: Cheater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its epochs are an hour: one balance would open a dataset 168 times a week."""
    given = {name: cheater.made(name)[0] for name in ("PoseidonT3", "PoseidonT5")}
    vault = cheater.made("NoteVault", cheater.at["AccessToken"], 3600, cheater.spend_key, True, libraries=given)
    registry = cheater.made("DatasetRegistry", vault[0], 365 * 86_400, True)
    made = cheater.made_federation(registry[0], cheater.at["AccessToken"])
    contracts = {"DatasetRegistry": registry, "Federation": made}
    refused(cheater, tmp_path, monkeypatch, contracts, "belongs to another vault")
    # with a vault of its own all belongs together, and its epoch is told; but the task is not there
    own = {
        "NoteVault": vault,
        "KeyEscrow": cheater.made("KeyEscrow", registry[0]),
        "DatasetSales": cheater.made("DatasetSales", registry[0], cheater.at["AccessToken"]),
    }
    refused(cheater, tmp_path / "own", monkeypatch, contracts | own, "no task 1")


def test_tells_the_length_of_an_epoch(run: FinishedRun) -> None:
    assert "an epoch has 604,800 s" in "\n".join(run.audit().checks)


def test_a_library_is_one_that_the_deployer_made_not_long_before() -> None:
    sender = "0x" + 40 * "a"
    told: list[Any] = [{"from": sender, "nonce": hex(2000)}]
    chain: Any = SimpleNamespace(rpc=SimpleNamespace(request=lambda *_: told[-1]))

    def made(nonce: int, by: str = sender) -> bool:
        return _made_before(chain, "0x1", to_checksum_address(get_create_address(by, Nonce(nonce))))

    assert [made(nonce) for nonce in (1000, 1999)] == [True, True]
    assert [made(nonce) for nonce in (999, 2000, 2001)] == [False, False, False]
    assert not made(1999, "0x" + 40 * "b")
    for unknown in (None, {"nonce": hex(2000)}):
        told.append(unknown)
        with pytest.raises(AuditError, match="or does not say who sent it"):
            made(1999)
