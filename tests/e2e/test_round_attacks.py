"""A round under attack, through the nodes and the chain: refused, recovered, or the culprit named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ContractRejected, ProofError, SealingError, SharingError, StateError, StorageError
from fedproof.learning import exact
from fedproof.ledger.federation import Stage, Update
from fedproof.nodes.holder import OpenedDataset
from fedproof.nodes.participant import Participant
from fedproof.nodes.sealed import put_shares
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.proving.linked import LinkedProof
from fedproof.sealing import seal
from fedproof.sharing import WrongOutputError, WrongSharesError
from tests.core.test_points import outside_the_subgroup
from tests.e2e.conftest import Arena, Game

pytestmark = pytest.mark.slow

FIELD_PRIME = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def submit(game: Game, number: int, update: Update) -> None:
    """Send a made-up update as a participant."""
    game.arena.world.federation.submit_update(game.participants[number].account, game.task, update)


def forged_update(game: Game, number: int, monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """Let a participant submit what `change` makes of its honest update."""
    federation = game.arena.world.federation
    honest = federation.submit_update_call

    def lying(task: object, update: Update, anchor: int) -> object:
        return honest(task, change(update), anchor)  # type: ignore[operator,arg-type]

    monkeypatch.setattr(federation, "submit_update_call", lying)
    game.train(number)
    monkeypatch.setattr(federation, "submit_update_call", honest)


def test_settles_honest_rounds_with_the_exact_rounded_average(arena: Arena) -> None:
    game = arena.open()
    for _ in range(2):
        expected = np.zeros(arena.world.deployment.plan.model.parameters, dtype=object)
        for participant in game.participants:
            o = participant.opened
            plan = arena.world.deployment.plan
            update = exact.train(plan, o.features, o.mask, o.labels, game.model.layers).update
            expected += o.rows * plan.model.flatten(update).astype(object)
        before = game.model.weights
        game.train()
        game.settle()
        rows = sum(participant.opened.rows for participant in game.participants)
        step = game.model.weights - before
        assert all(abs(2 * (rows * int(s) - int(e))) <= rows for s, e in zip(step, expected, strict=True))
    assert game.task.round == 3


@pytest.mark.parametrize("part", ["A", "C", "D", "Q", "y", "B outside the subgroup", "C_U"])
def test_rejects_an_invalid_update_on_chain_and_the_round_still_ends(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    game = arena.open()

    def change(update: Update) -> Update:
        p, other = update.proof, _core.g1_generator()
        proofs = {
            "A": replace(p, proof=other + p.proof[64:]),
            "C": replace(p, proof=p.proof[:192] + other),
            "D": replace(p, d=other),
            "Q": replace(p, q=other),
            "y": replace(p, y=(p.y + 1) % _core.MODULUS),
            "B outside the subgroup": replace(p, proof=p.proof[:64] + outside_the_subgroup() + p.proof[192:]),
            "C_U": p,
        }
        changed = replace(update, proof=proofs[part])
        return replace(changed, update=_core.g1_add(update.update, other)) if part == "C_U" else changed

    forged_update(game, 0, monkeypatch, change)
    game.train(1, 2)
    culprit = game.participants[0].account.address
    task, worker = game.task, arena.workers[1]
    assert worker.reject_invalid(task, task.round, game.updates) == [culprit]
    assert [update.participant for update in game.updates] == [p.account.address for p in game.participants[1:]]
    # the slot is open again until the deadline; after it the round goes on without the culprit
    arena.world.chain.wait_until_block(game.task.deadline)
    game.settle()
    assert len(game.task.settled) == 1


@pytest.mark.parametrize("part", ["all zero", "A off the curve", "y beyond r", "x beyond p"])
def test_the_chain_refuses_a_malformed_update_at_once(arena: Arena, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    game = arena.open()

    def change(update: Update) -> Update:
        p = update.proof
        off_curve = (1).to_bytes(32, "big") * 2
        beyond = (1 + FIELD_PRIME).to_bytes(32, "big") + (2).to_bytes(32, "big")
        proofs = {
            "all zero": LinkedProof(bytes(256), bytes(64), bytes(64), 0),
            "A off the curve": replace(p, proof=off_curve + p.proof[64:]),
            "y beyond r": replace(p, y=p.y + _core.MODULUS),
            "x beyond p": replace(p, q=beyond),
        }
        return replace(update, proof=proofs[part])

    with pytest.raises(ContractRejected):
        forged_update(game, 0, monkeypatch, change)
    assert game.updates == []


def test_a_valid_update_cannot_be_rejected(arena: Arena) -> None:
    game = arena.open()
    game.train()
    with pytest.raises(ContractRejected, match="UpdateIsValid"):
        arena.world.federation.reject_update(arena.workers[0].account, game.task, game.updates[0])


def test_rejects_a_copied_update_in_anothers_slot(arena: Arena) -> None:
    game = arena.open()
    game.train(0)
    stolen = game.updates[0]
    copier = game.participants[1]
    own = arena.world.federation.enrolments(game.task_id)[1]
    copy = replace(stolen, participant=copier.account.address, rows=own.rows, masked_dataset=own.masked_dataset)
    submit(game, 1, copy)
    task = game.task
    assert arena.workers[0].reject_invalid(task, task.round, game.updates) == [copier.account.address]


def test_rejects_an_update_of_another_round(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    game = arena.open()
    game.train()
    yesterday = game.updates[0]
    game.settle()
    submit(game, 0, yesterday)
    task = game.task
    assert arena.workers[0].reject_invalid(task, task.round, game.updates) == [yesterday.participant]


def test_refuses_a_second_update_in_one_round(arena: Arena) -> None:
    game = arena.open()
    game.train(0)
    with pytest.raises(ContractRejected, match="NothingDue"):
        submit(game, 0, game.updates[0])


def test_refuses_to_train_on_records_that_are_not_enrolled(arena: Arena) -> None:
    """Other records give another C_X', and the chain opens only the seat that was enrolled."""
    game = arena.open()
    honest = game.participants[0]
    other = honest.opened.labels.copy()
    other[0] = 1 - other[0]
    o = honest.opened
    swapped = OpenedDataset(o.dataset_id, o.rows, o.features, o.mask, other, o.blinding, o.commitment)
    game.participants[0] = Participant(honest.deployment, honest.federation, honest.account, honest.state, swapped)
    with pytest.raises(ContractRejected, match="WrongOpening"):
        game.train(0)


def test_refuses_to_prove_an_update_that_is_not_the_training(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    game = arena.open()
    real = exact.train

    def poisoned(*args: object) -> exact.ModelTrace:
        trace = real(*args)  # type: ignore[arg-type]
        return replace(trace, end=tuple(layer + 1 for layer in trace.end))

    monkeypatch.setattr(exact, "train", poisoned)
    with pytest.raises(ProofError):
        game.train(0)


def test_names_the_participant_whose_share_is_wrong_before_anything_is_released(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedproof.nodes import participant as node

    game = arena.open()
    honest = node.seal_shares

    def lying(sharing: object, keys: list[bytes], pre: bytes) -> list[bytes]:
        spoiled = sharing.shares[1]  # type: ignore[attr-defined]
        values = _core.fr_add(spoiled.values, _core.fr_from_ints([1]))
        sharing.shares[1] = type(spoiled)(spoiled.index, values)  # type: ignore[attr-defined]
        return honest(sharing, keys, pre)  # type: ignore[arg-type]

    monkeypatch.setattr(node, "seal_shares", lying)
    game.train(0)
    monkeypatch.undo()
    game.train(1, 2)
    game.freeze()
    leader = arena.workers[0]
    with pytest.raises(WrongSharesError) as error:
        game.outputs(leader, [arena.workers[1]])
    assert error.value.participants == (game.participants[0].account.address,)
    # the other t + 1 workers finish the round
    outputs = game.outputs(leader, [arena.workers[0], arena.workers[2]])
    result = game.sum(leader, outputs)
    leader.finalize(game.task, game.updates, game.aggregate(leader, result))
    assert len(game.task.settled) == 1


def test_refuses_a_share_sealed_for_another_worker_or_changed_in_store(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedproof.nodes import participant as node

    game = arena.open()
    honest = node.seal_shares
    monkeypatch.setattr(node, "seal_shares", lambda *args: honest(*args)[::-1])
    game.train(0)
    monkeypatch.setattr(
        node, "seal_shares", lambda *args: [blob[:-1] + bytes([blob[-1] ^ 1]) for blob in honest(*args)]
    )
    game.train(1)
    monkeypatch.undo()
    game.train(2)
    game.freeze()
    task, leader = game.task, arena.workers[0]
    for updates in (game.updates[:1] + game.updates[2:], game.updates[1:]):
        with pytest.raises(SealingError):
            leader.output(task, task.round, updates, leader.hpke_public)


def test_detects_a_blob_that_is_missing_or_swapped(arena: Arena) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    store, task, worker = arena.world.deployment.store, game.task, arena.workers[0]
    index = store.get(game.updates[0].sealed_digest.hex())
    path = next((arena.world.folder / "public" / "blobs").rglob(index[64:96].hex()))  # after one commitment
    kept = path.read_bytes()
    path.write_bytes(kept[:-1])
    with pytest.raises(StorageError):
        worker.output(task, task.round, game.updates, worker.hpke_public)
    path.unlink()
    with pytest.raises(StorageError):
        worker.output(task, task.round, game.updates, worker.hpke_public)
    path.write_bytes(kept)
    game.settle()


def test_names_a_worker_that_lies_and_finishes_without_it(arena: Arena) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    leader, liar = arena.workers[0], arena.workers[2]
    outputs = game.outputs(leader)
    task = game.task
    length = arena.world.deployment.update_size
    from fedproof.sharing import Output, info_for_output, worker_index

    lie = Output(worker_index(3), _core.fr_random(length)).encode()
    lying = {**outputs, 3: seal(leader.hpke_public, lie, info_for_output(liar.round_tag(task, task.round), 3))}
    with pytest.raises(WrongOutputError) as error:
        game.sum(leader, lying)
    assert error.value.worker == 3
    del lying[3]
    with pytest.raises(SharingError):
        game.sum(leader, {1: outputs[1]})
    result = game.sum(leader, lying)
    leader.finalize(game.task, game.updates, game.aggregate(leader, result))


def test_refuses_every_other_aggregate(arena: Arena) -> None:
    """The leader drops, repeats or reweights an update, rounds otherwise, or publishes another model."""
    game = arena.open()
    game.train()
    game.freeze()
    leader, federation = arena.workers[0], arena.world.federation
    task, updates, result = game.task, game.updates, game.sum(arena.workers[0])
    good = game.aggregate(leader, result)

    def refused(*attempt: object) -> str:
        with pytest.raises(ContractRejected) as error:
            federation.finalize_round(*attempt)  # type: ignore[arg-type]
        return error.value.name

    account = leader.account
    assert refused(account, task, updates[:2], good) == "WrongSet"
    assert refused(account, task, [*updates[:2], updates[1]], good) in ("WrongOrder", "WrongSet")
    assert refused(account, task, updates[::-1], good) == "WrongOrder"
    heavier = [replace(updates[0], rows=updates[0].rows + 1), *updates[1:]]
    assert refused(account, task, heavier, good) == "WrongOpening"
    moved = replace(good, new_model=_core.g1_add(good.new_model, _core.g1_generator()))
    assert refused(account, task, updates, moved) == "RoundDoesNotVerify"
    assert refused(arena.workers[1].account, task, updates, good) == "RoundDoesNotVerify"
    for part in (
        replace(good.proof, y=(good.proof.y + 1) % _core.MODULUS),
        replace(good.proof, q=_core.g1_generator()),
    ):
        assert refused(account, task, updates, replace(good, proof=part)) == "RoundDoesNotVerify"
    q, rem = result.quotient + 1, result.remainder - result.count
    with pytest.raises(ProofError):
        leader.aggregate(task, task.round, updates, replace(result, quotient=q, remainder=rem))
    federation.finalize_round(account, task, updates, good)
    assert refused(account, task, updates, good) in ("WrongStage", "WrongSet", "WrongOpening", "WrongModel")


def test_refuses_a_sum_of_fewer_than_the_minimum(arena: Arena) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    worker, task = arena.workers[0], game.task
    with pytest.raises(StateError, match="minimum"):
        worker.output(task, task.round, game.updates[:1], worker.hpke_public)


def test_refuses_a_sum_with_an_update_that_was_not_proven(arena: Arena) -> None:
    """Whatever the chain's node says of it: a worker looks at each proof itself before it releases anything."""
    game = arena.open()
    game.train()
    game.freeze()
    worker, task = arena.workers[1], game.task
    first, *others = game.updates
    lied = replace(first, proof=replace(first.proof, y=first.proof.y ^ 1))
    with pytest.raises(ProofError):
        worker.output(task, task.round, [lied, *others], arena.workers[0].hpke_public)
    assert task.model.hex() not in worker.state.get("served", {})
    worker.output(task, task.round, [first, *others], arena.workers[0].hpke_public)


def test_refuses_to_release_before_the_freeze(arena: Arena) -> None:
    game = arena.open()
    game.train()
    worker, task = arena.workers[0], game.task
    with pytest.raises(StateError, match="not frozen"):
        worker.output(task, task.round, game.updates, worker.hpke_public)


def test_refuses_a_second_sum_over_one_model_also_after_a_restart(arena: Arena) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    worker, task = arena.workers[0], game.task
    worker.output(task, task.round, game.updates, worker.hpke_public)
    worker.output(task, task.round, game.updates, worker.hpke_public)  # the same set again is no harm
    with pytest.raises(StateError, match="second"):
        worker.output(task, task.round, game.updates[:2], worker.hpke_public)
    role, folder = worker.state.role, worker.state.folder
    worker.state.close()
    worker.state = StateFile(folder, role)
    again = Worker(worker.deployment, worker.federation, worker.account, worker.state)
    with pytest.raises(StateError, match="second"):
        again.output(task, task.round, game.updates[1:], worker.hpke_public)


def test_refuses_a_second_sum_over_a_model_that_an_older_state_served(arena: Arena) -> None:
    """The account posted an output, and the state was put back from a copy that was made before."""
    game, other = arena.open(), arena.open()
    game.train()
    game.freeze()
    worker, task = arena.workers[0], game.task
    before = dict(worker.state.get("served", {}))
    index = worker.publish_output(task, task.round, game.updates)
    committee = arena.world.federation.committee
    committee.post_output(worker.account, task.task_id, task.round, index)
    worker.state.put(served=before)
    same_start = replace(other.task, model=task.model)
    with pytest.raises(StateError, match="was served in task"):
        worker._bind(same_start, 1, game.updates)
    worker._bind(replace(other.task, model=bytes(64)), 1, game.updates)  # of another model
    worker._bind(task, task.round, game.updates)  # the round itself is finished with what is on chain


def test_refuses_to_train_twice_on_one_model_also_in_another_task(arena: Arena) -> None:
    game = arena.open()
    game.train(0)
    participant = game.participants[0]
    with pytest.raises(StateError, match="trained on"):
        participant._make(game.task, game.task.round, game.model)
    game.train(0)  # finds what it sent
    where = {"task": game.task_id, "participant": participant.account.address}
    contract = arena.world.federation.contract
    assert len(arena.world.chain.events(contract, "UpdateSubmitted", argument_filters=where)) == 1
    other = arena.open()
    task = replace(other.task, model=game.task.model)
    with pytest.raises(StateError, match="trained on"):
        participant.train(task, task.round, game.model)


def test_refuses_a_state_restored_from_before_a_submission(arena: Arena) -> None:
    game = arena.open()
    participant = game.participants[0]
    backup = dict(participant.state.get("enrolments"))
    game.train()
    game.settle()
    participant.state.put(enrolments=backup)
    with pytest.raises(StateError, match="old backup"):
        game.train(0)


def test_refuses_a_model_blob_that_is_not_the_chains(arena: Arena) -> None:
    game = arena.open()
    wrong = replace(game.model, weights=game.model.weights + 1)
    with pytest.raises(SealingError, match="not the one"):
        game.participants[0].train(game.task, 1, wrong)


def test_a_round_with_too_few_updates_closes_and_is_retried(arena: Arena) -> None:
    game = arena.open()
    game.train(0)
    arena.world.chain.wait_until_block(game.task.freeze_at)
    assert game.task.stage == Stage.FAILED
    arena.world.federation.retry_round(arena.world.operator, game.task_id)
    assert game.task.round == 2
    game.train()
    game.settle()
    assert len(game.task.settled) == 1


def test_refuses_to_enrol_under_other_keys_or_a_swapped_description(arena: Arena) -> None:
    game = arena.open()
    participant, task = game.participants[0], game.task
    for params, what in (
        (replace(task.params, training_key=task.params.aggregation_key), "training key"),
        (replace(task.params, model=_core.g1_generator()), "start model"),
        (replace(task.params, mask_count=task.params.mask_count + 1), "capacity class"),
        (replace(task.params, spec_digest=bytes(32)), "binds another training plan"),
        (replace(task.params, threshold=2), "committee"),
    ):
        with pytest.raises(StateError, match=what):
            participant.check_task(replace(task, params=params))


def test_refuses_grants_that_are_not_proven(arena: Arena) -> None:
    """One base unit too little, another key in the signal, another grantee, a spent nullifier."""
    seat, market = arena.seats[0], arena.world.deployment.market
    dataset = arena.seats[1].participant.opened.dataset_id
    proof, public = seat.holder.prove_eligibility(dataset, 3, 86_400)
    sender = seat.holder.account
    arguments = {"root": public[0], "nullifier": public[2], "proof": proof}
    with pytest.raises(ContractRejected, match="InvalidProof"):
        market.access_dataset(sender, dataset, 3, 86_400, bytes(32), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ContractRejected, match="InvalidProof"):
        market.access_dataset(sender, dataset, 4, 86_400, seat.holder.hpke_public, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ContractRejected, match="InvalidProof"):
        market.access_dataset(
            arena.seats[2].holder.account,
            dataset,
            3,
            86_400,
            seat.holder.hpke_public,
            **arguments,  # type: ignore[arg-type]
        )
    market.access_dataset(sender, dataset, 3, 86_400, seat.holder.hpke_public, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ContractRejected, match=r"NullifierSpent|InvalidProof"):
        market.access_dataset(sender, dataset, 3, 86_400, seat.holder.hpke_public, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ProofError, match="do not reach the threshold"):
        seat.holder.prove_eligibility(dataset, 5, 86_400)


def test_refuses_sealed_records_that_are_not_the_listed_ones(arena: Arena) -> None:
    store, seat = arena.world.deployment.store, arena.seats[0]
    listing = arena.world.deployment.market.listings(datasetId=seat.participant.opened.dataset_id)[0]
    cid = listing.terms.sealed_files[3].hex()
    path = next((arena.world.folder / "public" / "blobs").rglob(cid))
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:100] + bytes([kept[100] ^ 1]) + kept[101:])
        with pytest.raises(StorageError):
            seat.holder.open_dataset(listing.dataset_id)
    finally:
        path.write_bytes(kept)
    assert store.get(cid) == kept
    with pytest.raises(StateError, match="not delivered"):
        arena.seats[2].holder.open_dataset(listing.dataset_id)


def test_an_index_blob_of_another_length_is_refused(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    from fedproof.nodes import participant as node

    game = arena.open()
    monkeypatch.setattr(node, "put_shares", lambda store, points, sealed: put_shares(store, points, sealed[:2]))
    game.train(0)
    monkeypatch.undo()
    game.train(1, 2)
    game.freeze()
    task, worker = game.task, arena.workers[0]
    with pytest.raises(SharingError, match="for 3 workers"):
        worker.output(task, task.round, game.updates, worker.hpke_public)
