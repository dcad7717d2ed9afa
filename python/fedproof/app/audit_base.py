"""What all parts of the auditor share: refusing in one line, and reading transactions sent straight to a contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eth_utils.address import to_checksum_address
from web3.contract import Contract

from fedproof.app.telling import Teller
from fedproof.errors import AuditError
from fedproof.learning.plans import Plan, statement_text
from fedproof.ledger import Chain


@dataclass
class Audit:
    """What was checked, one line each, in order; and what no check can show.

    Attributes:
        plan: of the task, once its keys are shown to be of it. It names the statement.
        about: `chain_id`, address of the `federation` and number of the `task`: whether these are the ones that a
            reader means, only the reader can tell.
    """

    teller: Teller
    checks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plan: Plan | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def passed(self, line: str) -> None:
        """Note a check that held."""
        self.checks.append(line)
        self.teller.doing(f"audit: {line}")

    def note(self, line: str) -> None:
        """Note a limit of what was checked."""
        self.notes.append(line)

    @property
    def statement(self) -> str:
        """What was proven of each update, in words."""
        return "" if self.plan is None else statement_text(self.plan)

    def to_json(self) -> dict[str, Any]:
        """The report's `audit`."""
        found = {"ok": True, **self.about, "statement": self.statement}
        return found | {"checks": self.checks, "notes": self.notes}


def require(condition: bool, what: str) -> None:
    """Refuse the run with one line.

    Raises:
        AuditError: the condition does not hold.
    """
    if not condition:
        raise AuditError(what)


def relayed(what: str) -> str:
    """What is to be said of a call that cannot be read, and so not be checked again."""
    return f"{what} came through another contract, so that its proof is checked by the chain alone"


def number_words(values: Any) -> bytes:
    """Numbers from calldata as 32-byte words."""
    return b"".join(int(value).to_bytes(32, "big") for value in values)


def plain(value: Any) -> Any:
    """Structs of calldata as nested tuples, in the order of their fields."""
    if isinstance(value, dict):
        return tuple(plain(each) for each in value.values())
    return tuple(plain(each) for each in value) if isinstance(value, list | tuple) else value


def direct_call(chain: Chain, contract: Contract, tx_hash: str, name: str, sender: str | None) -> dict[str, Any] | None:
    """Arguments of a transaction that `sender` sent to the contract itself, to call the function `name`; None where it
    went to another contract first, as anybody may send one.

    Its calldata then says nothing: the other contract may have passed on something else. What the call proved, our
    contract has checked, whose code the audit compares; nobody can check it again without the chain.

    Args:
        sender: None for anybody.

    Raises:
        AuditError: it is no such transaction.
    """
    found = chain.rpc.request("eth_getTransactionByHash", tx_hash)
    require(isinstance(found, dict), f"the chain has no transaction {tx_hash}")
    begun, to = (to_checksum_address(found[end]) if found.get(end) else None for end in ("from", "to"))
    if to != contract.address:
        return None
    require(
        sender is None or begun == sender,
        f"transaction {tx_hash} did not go from {sender} to {contract.address}; what it proves cannot be read",
    )
    try:
        function, arguments = contract.decode_function_input(chain.transaction_input(tx_hash))
    except ValueError as error:
        raise AuditError(f"transaction {tx_hash} is no call of {contract.address}: {error}") from None
    require(str(function.fn_name) == name, f"transaction {tx_hash} calls {function.fn_name}, not {name}")
    return dict(arguments)
