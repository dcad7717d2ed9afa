"""Artifacts: found, whole, and linked with exactly the libraries they use."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Artifact, Chain, artifact_names, load_artifact
from tests.ledger.conftest import DOUBLER, FIXTURES, PROBE

ADDRESS = "0x" + "12" * 20


def test_every_shipped_artifact_is_whole() -> None:
    assert artifact_names()
    for name in artifact_names():
        artifact = load_artifact(name)
        assert artifact.name == name
        assert artifact.abi
        libraries = {library: ADDRESS for places in artifact.link_references.values() for library in places}
        assert len(artifact.linked(libraries)) <= 49_152
        assert len(artifact.deployed_bytecode) // 2 <= 24_576


@pytest.mark.parametrize("name", ["NoSuch", "", "../errors", "/etc/passwd", "__init__"])
def test_unknown_artifact_is_refused(name: str, embedded_chain: Chain) -> None:
    with pytest.raises(InputError, match=f"no contract named {name!r} is shipped"):
        load_artifact(name)
    with pytest.raises(InputError, match="is shipped"):
        embedded_chain.contract_at(name, ADDRESS)


def test_link_puts_the_address_in_every_place() -> None:
    code = PROBE.linked({"Doubler": ADDRESS}).hex()
    assert "__" not in code
    assert code.count("12" * 20) == PROBE.bytecode.count("__$") > 0
    assert len(code) == len(PROBE.bytecode)


@pytest.mark.parametrize("libraries", [{}, {"Doubler": ADDRESS, "Other": ADDRESS}, {"doubler": ADDRESS}])
def test_link_with_the_wrong_libraries_is_refused(libraries: dict[str, str]) -> None:
    with pytest.raises(InputError, match=re.escape("contract Probe links ['Doubler']: given were")):
        PROBE.linked(libraries)
    with pytest.raises(InputError, match="contract Doubler links no library: given were"):
        DOUBLER.linked({"Doubler": ADDRESS})


@pytest.mark.parametrize("address", ["", "0x12", "12" * 21, "0x" + "zz" * 20])
def test_link_with_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="library Doubler of contract Probe has no address"):
        PROBE.linked({"Doubler": address})


def changed(**fields: Any) -> str:
    raw = json.loads((FIXTURES / "Doubler.json").read_text())
    return json.dumps(raw | fields)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "7", "[" * 100_000, changed(abi=None), changed(bytecode=5), changed(deployedBytecode=None)],
)
def test_damaged_artifact_is_refused(text: str) -> None:
    with pytest.raises(LedgerError, match="contract artifact Doubler is damaged: run `make contracts`"):
        Artifact.from_json(text, "Doubler")


def test_artifact_of_another_contract_is_refused() -> None:
    with pytest.raises(LedgerError, match="artifact Probe is of contract Doubler"):
        Artifact.from_json(changed(), "Probe")


def test_artifact_without_bytecode_is_refused() -> None:
    with pytest.raises(LedgerError, match="holds no bytecode"):
        Artifact.from_json(changed(bytecode="0xnothing"), "Doubler").linked({})


@pytest.mark.parametrize("arguments", [(), (1, 2), ("one",), (-1,), (2**256,), (None,)])
def test_wrong_constructor_arguments_are_refused(embedded_chain: Chain, arguments: tuple[Any, ...]) -> None:
    alice = embedded_chain.new_account("alice")
    with pytest.raises(InputError, match="constructor of Probe: ") as caught:
        embedded_chain.deploy(PROBE, *arguments, sender=alice, libraries={"Doubler": ADDRESS})
    assert "\n" not in str(caught.value)


def test_deployment_made_elsewhere_has_no_receipt(embedded_chain: Chain) -> None:
    with pytest.raises(LedgerError, match="was not deployed here"):
        embedded_chain.deployment_receipt(ADDRESS)
