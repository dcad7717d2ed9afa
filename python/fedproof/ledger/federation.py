"""The federation contract as one typed object: tasks, rounds, updates and rewards (protocol, section 7).

Every change has two forms: `<name>_call` gives the bound contract function, for `Chain.prepare`, `send` or `transact`
(a node saves a transaction before it sends it); `<name>` sends it, waits, and returns what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

from eth_typing import ChecksumAddress
from eth_utils.abi import get_abi_input_types
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof._core import keccak256
from fedproof.errors import InputError, LedgerError
from fedproof.ledger.abi import CODEC
from fedproof.ledger.accounts import Account
from fedproof.ledger.anchor import NO_ANCHOR
from fedproof.ledger.chain import Chain
from fedproof.ledger.committee import Committee
from fedproof.ledger.federation_types import (
    Aggregate,
    Claimed,
    Ending,
    Enrolment,
    Member,
    SettledRound,
    Stage,
    TaskInfo,
    TaskParams,
    Update,
    point,
    set_bits,
)
from fedproof.ledger.receipts import Receipt
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.transcript import extend_history, part_size, standing_hash, training_digest

__all__ = [
    "Aggregate",
    "Claimed",
    "Ending",
    "Enrolment",
    "Federation",
    "Member",
    "SettledRound",
    "Stage",
    "TaskInfo",
    "TaskParams",
    "Update",
]


LIBRARIES: Final = ("RoundJudge", "RoundParts")
"""What the federation's contract is linked with."""


class Federation:
    """A deployed federation. Make one with `Federation.deploy` or `Federation.at`."""

    def __init__(self, chain: Chain, contract: Contract) -> None:
        self.chain = chain
        self.contract = contract
        self.token = chain.contract_at("AccessToken", chain.call(contract.functions.token()))
        self._opened: dict[int, int] = {}
        address = chain.call(contract.functions.committee())
        self.committee = Committee(self, chain.contract_at("Committee", address))

    @classmethod
    def deploy(
        cls,
        chain: Chain,
        sender: Account,
        *,
        registry: str,
        token: str,
        allow_development_keys: bool = False,
        force: bool = False,
    ) -> Self:
        """Deploys the federation over a registry and the token of rewards and bonds.

        Args:
            allow_development_keys: accept keys made by a single dealer, who can forge any proof.
            force: allow such keys even where the chain is not a development chain.

        Raises:
            InputError: development keys are asked for on a chain that is not for development.
            ContractRejected: an address holds no contract, or the chain lacks the pairing precompiles.
        """
        if allow_development_keys and not chain.is_development and not force:
            raise InputError(
                f"chain {chain.chain_id} is not a development chain: keys made by one dealer let that dealer forge "
                "every proof; make keys with the ceremony, or force it"
            )
        libraries = {name: chain.deploy(name, sender=sender).address for name in LIBRARIES}
        return cls(
            chain,
            chain.deploy("Federation", registry, token, allow_development_keys, sender=sender, libraries=libraries),
        )

    @classmethod
    def at(cls, chain: Chain, address: str) -> Self:
        """The federation at this address.

        Raises:
            LedgerError: there is none.
        """
        return cls(chain, chain.contract_at("Federation", address))

    def forget(self) -> None:
        """Forgets where tasks begin, as after a reorganisation or a snapshot of a development chain."""
        self._opened.clear()

    @property
    def address(self) -> ChecksumAddress:
        """Where it is."""
        return self.contract.address

    # -- the sponsor --

    def open_task(
        self,
        sender: Account,
        *,
        training_key: VerifyingKey | str,
        aggregation_key: VerifyingKey | str,
        committee: Sequence[tuple[str, bytes]],
        description: bytes,
        spec_digest: bytes | None = None,
        **numbers: Any,
    ) -> TaskInfo:
        """Puts the keys on the chain, allows the escrow where needed, and opens a task.

        Args:
            training_key, aggregation_key: verifying keys, or addresses of data contracts that hold them.
            committee: address and HPKE public key of each worker, in order.
            description: content id of the task's description, 32 bytes.
            spec_digest: digest of the model's specification; by default the training circuit's id, which fixes it.
            numbers: the other fields of `TaskParams`.
        """
        keys = [
            self.chain.deploy_data(key.encode(), sender) if isinstance(key, VerifyingKey) else key
            for key in (training_key, aggregation_key)
        ]
        codes = [self.chain.code_at(key) for key in keys]
        params = TaskParams(
            training_key=keys[0],
            training_key_hash=keccak256(codes[0]),
            aggregation_key=keys[1],
            aggregation_key_hash=keccak256(codes[1]),
            spec_digest=codes[0][1:33] if spec_digest is None else spec_digest,
            description=description,
            **numbers,
        )
        self.allow(sender, params.rounds * params.reward_per_round)
        receipt = self.chain.transact(self.open_task_call(params, committee), sender)
        return self.task_info(int(receipt.event("TaskOpened").args["task"]))

    def open_task_call(self, params: TaskParams, committee: Sequence[tuple[str, bytes]]) -> ContractFunction:
        """Opens a task; the sender must have allowed the rewards of all rounds."""
        return self.contract.functions.openTask(params.abi(), list(committee))

    def open_round(self, sender: Account, task_id: int) -> Receipt | None:
        """Closes the enrolment and opens round 1; later rounds open by themselves.

        Returns:
            None if it is open already, as the last enrolment has opened that of a full task.
        """
        if self._round(task_id)["round"]:
            return None
        return self.chain.transact(self.contract.functions.openRound(task_id), sender)

    def retry_round(self, sender: Account, task_id: int) -> Receipt:
        """Opens a failed round again under the next number; the sponsor or a worker may."""
        return self.chain.transact(self.retry_round_call(task_id), sender)

    def retry_round_call(self, task_id: int) -> ContractFunction:
        """Opens a failed round again under the next number; the sponsor or a worker may."""
        return self.contract.functions.retryRound(task_id)

    def close_task(self, sender: Account, task_id: int) -> Receipt:
        """Ends a task that locks no reward."""
        return self.chain.transact(self.close_task_call(task_id), sender)

    def close_task_call(self, task_id: int) -> ContractFunction:
        """Ends a task that locks no reward."""
        return self.contract.functions.closeTask(task_id)

    def settle_stalled(self, sender: Account, task_id: int) -> Receipt:
        """Ends a task whose frozen round was never finalized, and pays the round."""
        task = self.task_info(task_id)
        enrolments = self.enrolments(task_id)
        present = [enrolments[place].participant for place in set_bits(task.accepted)]
        call = self.contract.functions.settleStalled(task_id, task.standing(), present)
        return self.chain.transact(call, sender)

    def refund(self, sender: Account, task_id: int) -> int:
        """Pays back to the sponsor what no round of an ended task earned; returns the amount."""
        task = self.task_info(task_id)
        call = self.contract.functions.refund(task_id, point(task.model), task.settled_abi())
        return int(self.chain.transact(call, sender).event("Refunded").args["amount"])

    # -- participants --

    def enrol(
        self,
        sender: Account,
        task_id: int,
        dataset_id: int,
        masked_dataset: bytes,
        mask: bytes,
        terms: bytes | None = None,
    ) -> Receipt:
        """Allows the bond where needed and joins a task.

        Args:
            masked_dataset: C_X', 64 bytes. mask: M, 64 bytes.
            terms: `TaskInfo.terms` that the sender has agreed to; by default those of the chain at this moment.
        """
        found = self._view(task_id)
        self.allow(sender, found["enrolBond"])
        call = self.enrol_call(task_id, dataset_id, masked_dataset, mask, found["terms"] if terms is None else terms)
        return self.chain.transact(call, sender)

    def enrol_call(
        self, task_id: int, dataset_id: int, masked_dataset: bytes, mask: bytes, terms: bytes
    ) -> ContractFunction:
        """Joins a task under these terms; the sender must have allowed the bond."""
        return self.contract.functions.enrol(task_id, terms, dataset_id, point(masked_dataset), point(mask))

    def submit_update(self, sender: Account, task: TaskInfo, update: Update) -> Receipt:
        """Submits an update that was proven for `task.round`."""
        return self.chain.transact(self.submit_update_call(task, update), sender)

    def submit_update_call(self, task: TaskInfo, update: Update, anchor: int = NO_ANCHOR) -> ContractFunction:
        """Submits an update that was proven for `task.round`; the sender must be its participant.

        Args:
            anchor: names the branch on which the round has the model of the update; on another one it reverts.

        Raises:
            InputError: the participant is not enrolled.
        """
        enrolment = self.enrolment(task.task_id, update.participant)
        last = self._last_digest(task, enrolment)
        seat = update.seat(enrolment.index, last)
        return self.contract.functions.submitUpdate(task.task_id, task.round, anchor, seat, update.submission())

    def renew_bond(self, sender: Account, task_id: int) -> Receipt:
        """Allows and places a new bond after a rejection."""
        self.allow(sender, self._view(task_id)["enrolBond"])
        return self.chain.transact(self.contract.functions.renewBond(task_id), sender)

    def claim(self, sender: Account, task_id: int) -> Claimed:
        """Pays the sender its share of the settled rounds, and its bond once the task has ended."""
        task = self.task_info(task_id)
        call = self.contract.functions.claim(task_id, point(task.model), task.settled_abi())
        receipt = self.chain.transact(call, sender)
        paid = receipt.event("Claimed").args
        return Claimed(int(paid["reward"]), int(paid["bond"]), receipt)

    def claimable(self, task_id: int, participant: str) -> tuple[int, int]:
        """Reward and bond that `claim` would pay now."""
        task = self.task_info(task_id)
        call = self.contract.functions.claimable(task_id, participant, point(task.model), task.settled_abi())
        reward, bond = self.chain.call(call)
        return int(reward), int(bond)

    # -- workers, and whoever checks --

    def reject_update(self, sender: Account, task: TaskInfo, update: Update) -> Receipt:
        """Proves before the freeze that an update of the running round is invalid; its bond goes to the sender."""
        return self.chain.transact(self.reject_update_call(task, update), sender)

    def reject_update_call(self, task: TaskInfo, update: Update) -> ContractFunction:
        """Proves that an update of the running round is invalid."""
        index = self.enrolment(task.task_id, update.participant).index
        return self.contract.functions.rejectUpdate(task.task_id, task.standing(), update.sealed(index))

    def finalize_round(
        self, sender: Account, task: TaskInfo, updates: Sequence[Update], aggregate: Aggregate
    ) -> Receipt:
        """Ends a frozen round with its new model, and opens the next one; `sender` is the aggregate's prover."""
        return self.chain.transact(self.finalize_round_call(task, updates, aggregate), sender)

    def finalize_round_call(self, task: TaskInfo, updates: Sequence[Update], aggregate: Aggregate) -> ContractFunction:
        """Ends a frozen round; `updates` are all accepted ones, in the order of enrolment, as `updates` gives them. The
        first of a large round are verified already (`verify_part_call`)."""
        sealed = self._sealed(task, updates[part_size(len(updates)) :])
        return self.contract.functions.finalizeRound(task.task_id, task.standing(), sealed, aggregate.abi())

    def verify_part_call(self, task: TaskInfo, updates: Sequence[Update]) -> ContractFunction:
        """Verifies the first updates of a frozen round that is too large for one transaction.

        Args:
            task: the task, in that round.
            updates: all accepted ones, in the order of enrolment.

        Raises:
            InputError: the round has no parts.
        """
        first = part_size(len(updates))
        if not first:
            raise InputError(f"a round of {len(updates)} updates is settled in one transaction")
        return self.contract.functions.verifyPart(task.task_id, task.standing(), self._sealed(task, updates[:first]))

    def needs_part(self, task: TaskInfo, updates: Sequence[Update]) -> bool:
        """Whether the first updates of the running round are to be verified before it can be finalized."""
        if not part_size(len(updates)):
            return False
        return not self._events(task.task_id, "RoundPartVerified", round=task.round)

    def _sealed(self, task: TaskInfo, updates: Sequence[Update]) -> list[Any]:
        places = {each.participant: each.index for each in self.enrolments(task.task_id)}
        return [update.sealed(places[_checked(update.participant, places)]) for update in updates]

    # -- reading --

    def task_info(self, task_id: int) -> TaskInfo:
        """A task as it is now.

        Raises:
            InputError: there is none of this number.
        """
        view, running = self._view(task_id), self._round(task_id)
        opened = self._one(self._events(task_id, "TaskOpened"), f"the opening of task {task_id}")
        params = TaskParams.of(opened.args["params"])
        if self.terms_of(view["sponsor"], params, opened.args["committee"]) != view["terms"]:
            raise LedgerError(
                f"the node shows another sponsor, another committee or other parameters of task {task_id} "
                "than its terms"
            )
        settled, model = self._progress(task_id, view["standing"], params.model)
        return TaskInfo(
            task_id=task_id,
            sponsor=view["sponsor"],
            terms=view["terms"],
            params=params,
            workers=tuple(Member(address, key) for address, key in opened.args["committee"]),
            training_circuit=opened.args["trainingCircuit"],
            aggregation_circuit=opened.args["aggregationCircuit"],
            model=model,
            settled=settled,
            round=running["round"],
            stage=Stage(view["stage"]),
            accepted=running["accepted"],
            deadline=running["deadline"],
            freeze_at=running["freezeAt"],
            enrolled=view["enrolled"],
            retries=view["retries"],
            escrow=view["escrow"],
            opened_block=opened.block_number,
            ended_at=view["endedAt"],
        )

    def _progress(self, task_id: int, standing: bytes, start: bytes) -> tuple[tuple[SettledRound, ...], bytes]:
        """The settled rounds that the contract had when it gave its standing, and the model that they led to.

        Raises:
            LedgerError: the node leaves out events.
        """
        settled = self.settled_rounds(task_id)
        steps, model, history = [(start, bytes(32))], start, bytes(32)
        for each in settled:
            model = each.new_model or model
            history = extend_history(
                history, round_number=each.round, accepted=each.accepted, total_rows=each.total_rows
            )
            steps.append((model, history))
        for count in range(len(settled), -1, -1):  # one may have been settled since
            model, history = steps[count]
            if standing_hash(model, history) == standing:
                return tuple(settled[:count]), model
        raise LedgerError(f"the node left out settled rounds of task {task_id}: it is behind, or keeps no logs")

    def terms_of(self, sponsor: str, params: TaskParams, committee: Sequence[tuple[str, bytes]]) -> bytes:
        """The hash that enrolments and bonds of workers name: who opened the task, and the arguments of its opening."""
        types = get_abi_input_types(self.open_task_call(params, committee).abi)
        return keccak256(CODEC.encode(["address", *types], [sponsor, params.abi(), list(committee)]))

    @staticmethod
    def _one(events: Sequence[Any], what: str) -> Any:
        if not events:
            raise LedgerError(f"the node has no event of {what}: it is behind, or keeps no logs")
        return events[0]

    def tasks(self) -> int:
        """Number of tasks; they are numbered from 1."""
        return int(self.chain.call(self.contract.functions.taskCount()))

    def enrolments(self, task_id: int) -> list[Enrolment]:
        """All participants in the order of enrolment.

        Raises:
            LedgerError: the node leaves out events.
        """
        least = self._view(task_id)["enrolled"]  # before the events: somebody may enrol in between
        found = [Enrolment.of(event) for event in self._events(task_id, "Enrolled")]
        if len(found) < least or [each.index for each in found] != list(range(len(found))):
            raise LedgerError("the node left out enrolments: ask one that keeps all logs")
        return found

    def enrolment(self, task_id: int, participant: str) -> Enrolment:
        """The enrolment of a participant.

        Raises:
            InputError: it is not enrolled.
        """
        for each in self.enrolments(task_id):
            if each.participant == participant:
                return each
        raise InputError(f"{participant} is not enrolled in task {task_id}")

    def is_bonded(self, task_id: int, participant: str) -> bool:
        """Whether the bond of a participant is held: without it no update of it is taken."""
        return bool(self._struct("memberOf", task_id, participant)["bonded"])

    def is_dataset_enrolled(self, task_id: int, dataset_id: int) -> bool:
        """Whether somebody takes part in a task with this dataset."""
        return bool(self.chain.call(self.contract.functions.isEnrolled(task_id, dataset_id)))

    def updates(self, task_id: int, round_number: int) -> list[Update]:
        """The accepted updates of a round in the order of enrolment: those that `finalizeRound` takes or took.

        Raises:
            LedgerError: the node leaves out events.
        """
        settled, running = self._settled(task_id, round_number), self._round(task_id)
        accepted = settled.accepted if settled else running["accepted"] if round_number == running["round"] else 0
        enrolments = {each.participant: each for each in self.enrolments(task_id)}
        found: dict[int, Update] = {}
        for event in self._events(task_id, "UpdateSubmitted", round=round_number):
            enrolment = enrolments[event.args["participant"]]
            found[enrolment.index] = Update.of(event, enrolment)  # a later one replaces a rejected one
        places = set_bits(accepted)
        if not set(places) <= set(found):
            raise LedgerError("the node left out updates: ask one that keeps all logs")
        return [found[place] for place in places]

    def settled_rounds(self, task_id: int) -> list[SettledRound]:
        """All rounds that are done, oldest first."""
        events = [*self._events(task_id, "RoundFinalized"), *self._events(task_id, "RoundStalled")]
        return [SettledRound.of(event) for event in events]  # a stalled round ends its task: it is the last

    def stage(self, task_id: int) -> Stage:
        """Where a task stands."""
        return Stage(self._view(task_id)["stage"])

    def freeze_block(self, task_id: int) -> int:
        """First block in which the running round is frozen; the last update that comes in, or a rejection, moves it."""
        return int(self._round(task_id)["freezeAt"])

    def is_frozen(self, task_id: int, round_number: int) -> bool:
        """Whether the set of a round is final: frozen, or settled already."""
        if self._settled(task_id, round_number):
            return True
        return self._round(task_id)["round"] == round_number and self.stage(task_id) == Stage.FROZEN

    def round_failed(self, task_id: int, round_number: int) -> bool:
        """Whether a round can never be finalized: it closed with too few updates, or its task ended before."""
        if self._settled(task_id, round_number):
            return False
        running, stage = self._round(task_id)["round"], self.stage(task_id)
        return round_number < running or (round_number == running and stage in (Stage.FAILED, Stage.ENDED))

    def update_digest(self, task_id: int, round_number: int, update: Update) -> bytes:
        """The one word that stands for an update on chain and in the aggregate's transcript."""
        return training_digest(
            task=task_id,
            round_number=round_number,
            participant=update.participant,
            rows=update.rows,
            masked_dataset=update.masked_dataset,
            update=update.update,
            d=update.proof.d,
            attachments=update.attachments,
            proof=update.proof.proof,
            q=update.proof.q,
            y=update.proof.y,
        )

    def opened_block(self, task_id: int) -> int:
        """The block in which a task was opened: where its events start.

        Raises:
            LedgerError: the node leaves out events.
        """
        if task_id not in self._opened:
            opened = self.chain.events(self.contract, "TaskOpened", argument_filters={"task": task_id})
            if not opened:
                raise LedgerError(f"the node has no event of task {task_id}: ask one that keeps all logs")
            self._opened[task_id] = opened[0].block_number
        return self._opened[task_id]

    def allow(self, sender: Account, amount: int) -> None:
        """Allows the federation to take so much from the sender, where it may not already."""
        if self.chain.call(self.token.functions.allowance(sender.address, self.address)) < amount:
            self.chain.transact(self.token.functions.approve(self.address, amount), sender)

    # -- inside --

    def _view(self, task_id: int) -> dict[str, Any]:
        found = self._struct("taskOf", task_id)
        if found["stage"] == Stage.NONE:
            raise InputError(f"the federation has no task {task_id}")
        return found

    def _round(self, task_id: int) -> dict[str, Any]:
        return self._struct("roundOf", task_id)

    def _settled(self, task_id: int, round_number: int) -> SettledRound | None:
        return next((each for each in self.settled_rounds(task_id) if each.round == round_number), None)

    def _struct(self, name: str, *arguments: Any) -> dict[str, Any]:
        function = self.contract.get_function_by_name(name)(*arguments)
        fields = function.abi["outputs"][0]["components"]
        return dict(zip((each["name"] for each in fields), self.chain.call(function), strict=True))

    def _events(self, task_id: int, name: str, **filters: Any) -> list[Any]:
        return self.chain.events(
            self.contract, name, self.opened_block(task_id), argument_filters={"task": task_id, **filters}
        )

    def _last_digest(self, task: TaskInfo, enrolment: Enrolment) -> bytes:
        events = self._events(task.task_id, "UpdateSubmitted", participant=enrolment.participant)
        if not events:
            return bytes(32)
        return self.update_digest(task.task_id, events[-1].args["round"], Update.of(events[-1], enrolment))


def _checked(participant: str, places: dict[ChecksumAddress, int]) -> ChecksumAddress:
    for known in places:
        if known == participant:
            return known
    raise InputError(f"{participant} is not enrolled")
