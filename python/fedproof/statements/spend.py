"""Spend: two notes of one unnamed holder become two other notes and a withdrawal (protocol, section 5).

Transfer, split, join and withdrawal are one statement, so that nothing on chain tells them apart but the amount that
leaves the vault, which is zero unless tokens are withdrawn.

Public inputs
    root, nullifier 1, nullifier 2, leaf 1, leaf 2, withdrawn, epoch, signal

Statement
    The prover knows one secret and two notes of its owner. Each is in the tree of this root, or empty (amount 0), and
    is unlocked in this epoch. The nullifiers are those of the two notes. Two new notes have the leaves, with nonces
    that hash the first nullifier, their place and a random blind, and unlock within 2^20 epochs. What is spent equals
    what is made and withdrawn.

Cost, with depth d
    2 (128 + 32 + 297 + 264 + 244 d + 2)     amount, age, leaf, nullifier, path, root
    + 213                                    owner
    + 2 (128 + 20 + 264 + 297 + 1)           amount, lock, nonce, new leaf
    + 129 + 33 + 1 + 1                       withdrawn, epoch, sum, signal
    = 12,991 for d = 20: a domain of 2^14.

There is no committed segment, as nothing is looked up or linked.

Why it is sound
    *Spent once.* The nullifier is `Poseidon(secret, nonce, leaf)`: a function of the leaf alone, because the leaf fixes
    the nonce and the owner, and the owner one secret that anybody can find. The vault takes no nullifier twice, also
    not twice in one spend. Its arity, three, keeps it apart from the nullifiers of eligibility, which hash two values.

    *Not before it unlocks.* `unlock epoch = epoch - age` with an age of 32 bits. A negative one would be a huge field
    element, and no leaf of the tree has that: the vault checks deposits, and this statement gives new notes the present
    epoch plus 20 bits. A note that counts as locked in an epoch therefore cannot move in it, which is what makes one
    balance count once (`eligibility.py`); a note spent in an epoch did not count as locked in it.

    *No inner node passes for a note,* and none for a new leaf: the circuit computes each new leaf as a hash of four
    values, as the vault does for deposits, so that every leaf of the tree is one.

    *No two notes have one nonce,* or a payee could be given two notes of which only one can ever be spent. Nonces of
    deposits are the vault's counter; those of new notes are `Poseidon(nullifier 1, place, blind)` with a nullifier that
    the vault takes once. That nullifiers hash three values, too, does no harm: nothing takes the one for the other.

    *Nobody can guess a new leaf.* Everything else in it can be tried out: owners stand in deposits, and change is often
    empty. The blind, known to the maker alone, makes the nonce and so the leaf a commitment that hides; the payee gets
    the nonce in the memo.

    *Nothing is made from nothing.* Amounts are sums of 128 boolean wires, and the withdrawal is range-checked, so no
    side of the balance wraps. An empty note counts 0 and need not be in the tree: `amount * (top - root) = 0`.

    *Signal.* It takes part in one constraint (a square), so recipient and memos cannot be exchanged.
"""

import numpy as np

from fedproof.errors import InputError, ProofError
from fedproof.proving.lin import stack
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.note_gadgets import climb, climb_cost, equals_number, number
from fedproof.statements.notes import AMOUNT_BITS, EPOCH_BITS, MAX_DEPTH
from fedproof.statements.poseidon import poseidon_cost, poseidon_hash
from fedproof.statements.spend_witness import INPUTS, LOCK_BITS, OUTPUTS, Payment, SpendWitness

__all__ = ["NAME", "VERSION", "Payment", "SpendStatement", "SpendWitness"]

NAME = "spend"
VERSION = 1


class SpendStatement:
    """The spend circuit.

    Args:
        depth: the greatest number of hashes from a leaf to the root.
    """

    name = NAME
    version = VERSION

    def __init__(self, depth: int = MAX_DEPTH) -> None:
        if not 0 <= depth <= MAX_DEPTH:
            raise InputError(f"the spend circuit takes a depth of 0 to {MAX_DEPTH}")
        self.depth = depth

    def synthesize(self, cs: ConstraintSystem, witness: SpendWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        w = witness
        if w is not None and any(len(proof.siblings) > self.depth for proof in w.proofs):
            raise ProofError(f"a path is longer than the {self.depth} levels of this circuit")
        if w is not None and cs.strict:
            w.check()
        root = cs.public("root", None if w is None else w.root)
        nullifiers = [cs.public(f"nullifier {k}") for k in (1, 2)]
        leaves = [cs.public(f"leaf {k}") for k in (1, 2)]
        withdrawn = cs.public("withdrawn", None if w is None else w.withdrawn)
        epoch = cs.public("epoch", None if w is None else w.epoch)
        signal = cs.public("signal", None if w is None else w.signal)
        equals_number(cs, withdrawn, None if w is None else w.withdrawn, AMOUNT_BITS, "withdrawn")
        equals_number(cs, epoch, None if w is None else w.epoch, EPOCH_BITS, "epoch")
        cs.product(signal, signal, "signal")

        secret = cs.private((), w and [w.secret], "secret")
        owner = poseidon_hash(cs, secret.reshape(1, 1), "owner")
        amount = number(cs, w and [note.amount for note in w.inputs], INPUTS, AMOUNT_BITS, "amount")
        age = number(cs, w and [w.epoch - note.unlock_epoch for note in w.inputs], INPUTS, EPOCH_BITS, "age")
        nonce = cs.private((INPUTS,), w and [note.nonce for note in w.inputs], "nonce")
        mine = owner.broadcast_to((INPUTS,))
        leaf = poseidon_hash(cs, stack([mine, amount, epoch - age, nonce], axis=1), "leaf")
        same = secret.broadcast_to((INPUTS,))
        spent = poseidon_hash(cs, stack([same, nonce, leaf], axis=1), "nullifier/hash")
        for place, wire in enumerate(nullifiers):
            if cs.assigning:
                cs.assign(wire, cs.value(spent[place]))
            cs.equal(spent[place], wire, "nullifier/public")
        cs.constrain(amount, climb(cs, leaf, w and w.proofs, self.depth) - root, 0, "root")

        made = number(cs, w and [each.amount for each in w.outputs], OUTPUTS, AMOUNT_BITS, "new amount")
        lock = number(cs, w and [each.unlock_epoch - w.epoch for each in w.outputs], OUTPUTS, LOCK_BITS, "lock")
        to = cs.private((OUTPUTS,), w and [each.owner for each in w.outputs], "new owner")
        first = spent[0].broadcast_to((OUTPUTS,))
        places = cs.constant(np.arange(OUTPUTS, dtype=np.int64))
        blind = cs.private((OUTPUTS,), w and w.blinds, "blind")
        fresh = poseidon_hash(cs, stack([first, places, blind], axis=1), "new nonce")
        new_leaf = poseidon_hash(cs, stack([to, made, epoch + lock, fresh], axis=1), "new leaf/hash")
        for place, wire in enumerate(leaves):
            if cs.assigning:
                cs.assign(wire, cs.value(new_leaf[place]))
            cs.equal(new_leaf[place], wire, "new leaf/public")
        cs.equal(amount.sum(), made.sum() + withdrawn, "sum")

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        spent = INPUTS * (AMOUNT_BITS + EPOCH_BITS + poseidon_cost(4) + poseidon_cost(3) + 2)
        made = OUTPUTS * (AMOUNT_BITS + LOCK_BITS + poseidon_cost(3) + poseidon_cost(4) + 1)
        public = (AMOUNT_BITS + 1) + (EPOCH_BITS + 1) + 1
        return spent + climb_cost(INPUTS, self.depth) + poseidon_cost(1) + made + public + 1
