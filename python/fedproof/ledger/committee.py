"""The committee's contract as one typed object: bonds of workers, outputs, complaints (protocol, section 6).

Every federation has made its own; it is `Federation.committee`. As there, `<name>_call` gives the bound contract
function and `<name>` sends it and waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from eth_typing import ChecksumAddress
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof._core import keccak256
from fedproof.errors import InputError
from fedproof.ledger.abi import encode_call
from fedproof.ledger.accounts import Account
from fedproof.ledger.anchor import NO_ANCHOR
from fedproof.ledger.committee_types import (
    Accused,
    Answered,
    Attested,
    Complained,
    Complaint,
    Kind,
    Posted,
    Removed,
    Stake,
    Windows,
)
from fedproof.ledger.events import Event
from fedproof.ledger.federation_types import TaskInfo, Update, point
from fedproof.ledger.receipts import Receipt
from fedproof.ledger.sending import TX_GAS_CAP
from fedproof.ledger.transactions import SignedTransaction

if TYPE_CHECKING:
    from fedproof.ledger.federation import Federation

__all__ = [
    "Accused",
    "Answered",
    "Attested",
    "Committee",
    "Complained",
    "Complaint",
    "Kind",
    "Posted",
    "Removed",
    "Stake",
    "Windows",
]

_WORD = 32

DECIDING_GAS: Final = 200_000
"""Gas that a word needs beyond its estimate when it turns out to be the one that decides, and so removes an update or
takes a worker's bond. Others may speak in the same block, and no estimate knows which of them comes last."""
_SHARING_GAS: Final = 25_000
"""More, for each worker that an update's bond is shared with."""


class Committee:
    """The contract of a federation's committees."""

    def __init__(self, federation: Federation, contract: Contract) -> None:
        self.federation = federation
        self.chain = federation.chain
        self.contract = contract

    @property
    def address(self) -> ChecksumAddress:
        """Where it is."""
        return self.contract.address

    # -- words: complaints, attestations, accusations --

    def many_call(self, calls: Sequence[ContractFunction]) -> ContractFunction:
        """Several calls of one sender in one transaction, in this order: all of them pass, or none does."""
        if len(calls) == 1:
            return calls[0]
        return self.contract.functions.multicall([encode_call(each) for each in calls])

    def prepare(self, calls: Sequence[ContractFunction], sender: Account, threshold: int = 0) -> SignedTransaction:
        """Signs words without sending them, with gas for each of them to be the one that decides; see `Chain.prepare`.

        Args:
            threshold: t of the task, of complaints: t + 1 of them share the bond of the update.
        """
        call = self.many_call(calls)
        deciding = len(calls) * (DECIDING_GAS + threshold * _SHARING_GAS)
        gas = min(self.chain.prepare(call, sender).gas + deciding, TX_GAS_CAP)
        return self.chain.prepare(call, sender, gas=gas)

    def _say(self, call: ContractFunction, sender: Account, threshold: int = 0) -> Receipt:
        return self.chain.transact(call, sender, gas=self.prepare([call], sender, threshold).gas)

    # -- workers: bonds and outputs --

    def bond_call(self, task_id: int, terms: bytes) -> ContractFunction:
        """Places the sender's bond in the task with these terms; the sender must have allowed it."""
        return self.contract.functions.bond(task_id, terms)

    def bond(self, sender: Account, task_id: int) -> Receipt:
        """Allows and places the sender's bond, while the task enrols."""
        task = self.federation.task_info(task_id)
        self.allow(sender, task.params.worker_bond)
        return self.chain.transact(self.bond_call(task_id, task.terms), sender)

    def release_bond_call(self, task_id: int) -> ContractFunction:
        """Pays the sender's bond back, twice `settle_blocks` after the task's end."""
        return self.contract.functions.releaseBond(task_id)

    def release_bond(self, sender: Account, task_id: int) -> Receipt:
        """Pays the sender's bond back, twice `settle_blocks` after the task's end."""
        return self.chain.transact(self.release_bond_call(task_id), sender)

    def post_output_call(
        self, task_id: int, round_number: int, index_id: bytes, anchor: int = NO_ANCHOR
    ) -> ContractFunction:
        """Names the blob with the sender's sealed outputs of a round that was frozen, on the branch of the anchor."""
        return self.contract.functions.postOutput(task_id, round_number, index_id, anchor)

    def post_output(self, sender: Account, task_id: int, round_number: int, index_id: bytes) -> Receipt:
        """Names the blob with the sender's sealed outputs of a round that is frozen or settled."""
        return self.chain.transact(self.post_output_call(task_id, round_number, index_id), sender)

    def announce_model_call(self, task_id: int, round_number: int, content_id: bytes) -> ContractFunction:
        """Names the blob with the weights that a round made; the round must be done."""
        return self.contract.functions.announceModel(task_id, round_number, content_id)

    def announce_model(self, sender: Account, task_id: int, round_number: int, content_id: bytes) -> Receipt:
        """Names the blob with the weights that a round made; the round must be done."""
        return self.chain.transact(self.announce_model_call(task_id, round_number, content_id), sender)

    # -- complaints --

    def complain_call(self, task: TaskInfo, update: Update, kind: Kind) -> ContractFunction:
        """Complains of the sender's share of an accepted update of `task.round`; the bond must be allowed."""
        seat = update.seat(
            self.federation.enrolment(task.task_id, update.participant).index,
            self.federation.update_digest(task.task_id, task.round, update),
        )
        return self.contract.functions.complain(task.task_id, update.participant, seat, int(kind))

    def complain(self, sender: Account, task: TaskInfo, update: Update, kind: Kind) -> Receipt:
        """Allows the bond and complains. `complaint_id` of the update's digest and the sender is its number."""
        self.allow(sender, task.params.enrol_bond)
        return self._say(self.complain_call(task, update, kind), sender, task.threshold)

    def answer_call(self, complaint: bytes, content_id: bytes) -> ContractFunction:
        """Answers a complaint: fetch with zeros or the republished ciphertext, open with the blob of the one share."""
        return self.contract.functions.answer(complaint, content_id)

    def answer(self, sender: Account, complaint: bytes, content_id: bytes = bytes(_WORD)) -> Receipt:
        """Answers a complaint, once, as the participant whose update it is about."""
        return self.chain.transact(self.answer_call(complaint, content_id), sender)

    def attest_call(self, complaint: bytes) -> ContractFunction:
        """Says that the answer to a complaint is bad or missing."""
        return self.contract.functions.attest(complaint)

    def attest(self, sender: Account, complaint: bytes) -> Receipt:
        """Says that the answer to a complaint is bad or missing."""
        return self._say(self.attest_call(complaint), sender)

    def settle_complaint_call(self, complaint: bytes) -> ContractFunction:
        """Credits the bond of a complaint to whom it is due, once its round is over; anyone may.

        Raises:
            InputError: there is no such complaint.
        """
        found = self.complaint(complaint)
        if found is None:
            raise InputError(f"there is no complaint {complaint.hex()}")
        task = self.federation.task_info(found.task_id)
        return self.contract.functions.settleComplaint(complaint, point(task.model), task.settled_abi())

    def settle_complaint(self, sender: Account, complaint: bytes) -> ChecksumAddress:
        """Credits the bond of a complaint; returns to whom."""
        receipt = self.chain.transact(self.settle_complaint_call(complaint), sender)
        to: ChecksumAddress = receipt.event("ComplaintSettled").args["to"]
        return to

    # -- accusations and money --

    def accuse_call(self, task_id: int, round_number: int, worker: str) -> ContractFunction:
        """Says that a worker's output of a round does not match its commitments."""
        return self.contract.functions.accuse(task_id, round_number, worker)

    def accuse(self, sender: Account, task_id: int, round_number: int, worker: str) -> Receipt:
        """Says that a worker's output of a round does not match its commitments; t + 1 of them slash it."""
        return self._say(self.accuse_call(task_id, round_number, worker), sender)

    def withdraw_call(self) -> ContractFunction:
        """Pays the sender its credit."""
        return self.contract.functions.withdraw()

    def withdraw(self, sender: Account) -> int:
        """Pays the sender its credit; returns the amount."""
        return int(self.chain.transact(self.withdraw_call(), sender).event("Withdrawn").args["amount"])

    @staticmethod
    def complaints_bond(task: TaskInfo) -> int:
        """What a worker's complaints of one round may cost in all: of every share, in both ways."""
        return 2 * (task.enrolled or task.params.max_participants) * task.params.enrol_bond

    def allow(self, sender: Account, amount: int) -> None:
        """Allows the contract to take so much from the sender, where it may not already."""
        token = self.federation.token
        if self.chain.call(token.functions.allowance(sender.address, self.address)) < amount:
            self.chain.transact(token.functions.approve(self.address, amount), sender)

    # -- reading --

    @staticmethod
    def complaint_id(digest: bytes, worker: str, kind: Kind) -> bytes:
        """What a complaint is known by; the digest of the update fixes task, round and participant."""
        return keccak256(digest + bytes(12) + bytes.fromhex(worker[2:]) + int(kind).to_bytes(_WORD, "big"))

    def complaint(self, complaint: bytes) -> Complaint | None:
        """A complaint as it stands; None if there is none."""
        found = self._struct("complaintOf", complaint)
        if not int(found["worker"], 16):
            return None
        return Complaint(
            complaint=complaint,
            task_id=found["task"],
            round=found["round"],
            participant=found["participant"],
            digest=found["digest"],
            worker=found["worker"],
            kind=Kind(found["kind"]),
            votes=found["votes"],
            answered=found["answered"],
            removed=found["removed"],
            settled=found["settled"],
        )

    def windows(self, task_id: int) -> Windows:
        """The windows of the round that runs, fifths of its time from close to freeze."""
        return Windows(*self._struct("windowsOf", task_id).values())

    def has_standing(self, task_id: int, worker: str) -> bool:
        """Whether a worker may speak in a task: a member of its committee that was not slashed."""
        return bool(self.chain.call(self.contract.functions.hasStanding(task_id, worker)))

    def stake(self, task_id: int, worker: str) -> Stake:
        """What a worker has at stake in a task."""
        return Stake(self.chain.call(self.contract.functions.stakeOf(task_id, worker)))

    def bonded(self, task_id: int) -> int:
        """How many workers of a task have placed their bond."""
        return int(self.chain.call(self.contract.functions.bonded(task_id)))

    def accusations(self, task_id: int, round_number: int, worker: str) -> int:
        """How many workers accuse a worker over its output of a round."""
        return int(self.chain.call(self.contract.functions.accusations(task_id, round_number, worker)))

    def credit(self, account: str) -> int:
        """What an account may withdraw."""
        return int(self.chain.call(self.contract.functions.credit(account)))

    def outputs(self, task_id: int, **filters: Any) -> list[Posted]:
        """Every output that was posted, oldest first; `filters` are `round`, `worker`."""
        return [Posted.of(event) for event in self._events(task_id, "OutputPosted", filters)]

    def outputs_of(self, worker: str) -> list[Posted]:
        """Every output that a worker posted, in all tasks, oldest first."""
        first = self.federation.opened_block(1)
        found = self.chain.events(self.contract, "OutputPosted", first, argument_filters={"worker": worker})
        return [Posted.of(event) for event in found]

    def announced(self, task_id: int, **filters: Any) -> list[Posted]:
        """Every model that was announced, oldest first; `filters` are `round`, `worker`."""
        return [Posted.of(event) for event in self._events(task_id, "ModelAnnounced", filters)]

    def complaints(self, task_id: int, **filters: Any) -> list[Complained]:
        """Every complaint, oldest first; `filters` are `complaint`, `participant`."""
        return [Complained.of(event) for event in self._events(task_id, "Complained", filters)]

    def answers(self, task_id: int, **filters: Any) -> list[Answered]:
        """Every answer, oldest first; `filters` are `complaint`, `participant`."""
        return [Answered.of(event) for event in self._events(task_id, "Answered", filters)]

    def attestations(self, task_id: int, **filters: Any) -> list[Attested]:
        """Every attestation, oldest first; `filters` are `complaint`, `worker`."""
        return [Attested.of(event) for event in self._events(task_id, "Attested", filters)]

    def removals(self, task_id: int, **filters: Any) -> list[Removed]:
        """Every update that the committee removed, oldest first; `filters` are `round`, `participant`."""
        return [Removed.of(event) for event in self._events(task_id, "UpdateRemoved", filters)]

    def accused(self, task_id: int, **filters: Any) -> list[Accused]:
        """Every accusation, oldest first; `filters` are `round`, `worker`."""
        return [Accused.of(event) for event in self._events(task_id, "Accused", filters)]

    # -- inside --

    def _struct(self, name: str, *arguments: Any) -> dict[str, Any]:
        function = self.contract.get_function_by_name(name)(*arguments)
        parts = function.abi["outputs"][0]["components"]
        return dict(zip((each["name"] for each in parts), self.chain.call(function), strict=True))

    def _events(self, task_id: int, name: str, filters: dict[str, Any]) -> list[Event]:
        first = self.federation.opened_block(task_id)
        return self.chain.events(self.contract, name, first, argument_filters={"task": task_id, **filters})
