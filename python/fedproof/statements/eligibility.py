"""Eligibility: one unnamed holder has locked enough tokens and has not used this scope before (protocol, section 5).

Public inputs
    root, scope, nullifier, threshold, signal, epoch

Statement
    The prover knows one secret and up to four notes of its owner. Each is in the tree of this root and unlocks after
    this epoch; no two have one nonce; together they reach the threshold. The nullifier is that of the secret in the
    scope, and the proof is about the signal.

Cost, with m notes and depth d
    m (128 + 32 + 297 + 244 d + 1)     amount, unlock epoch, leaf, path, root
    + 213 + 241                        owner, nullifier
    + m (m - 1) / 2                    distinct nonces
    + 128 + ceil(log2 m) + 1           sum
    + 129 + 33 + 1                     threshold, epoch, signal
    = 22,106 for m = 4, d = 20: a domain of 2^15.

There is no committed segment, as nothing is looked up or linked.

Why it is sound
    *Amounts and epochs* are not wires but sums of boolean wires: an amount is `sum 2^i b_i` over 128 bits, an unlock
    epoch is `epoch + 1 + sum 2^i b_i` over 32. A value out of range or an epoch that is over cannot be written down.
    The public threshold and epoch are range-checked, too, so both sides of `sum of amounts = threshold + excess` and of
    `unlock epoch > epoch` lie far below r and nothing wraps.

    *Membership.* A boolean wire chooses for each level whether the path goes on to a parent or passes the node up
    unchanged, as a LeanIMT does where there is no right sibling. If it goes on, `(node - left)(node - right) = 0` says
    that the node is one of two children. Which one does not matter: position plays no part in the statement, so there
    is no index to bind. The parent is `Poseidon(left, right)`. If it does not go on, nothing of the level counts; its
    hash is gated, so that an honest prover's wires are 0 there and unused levels and dummies are almost free.

    So a chain of at most d hashes leads from the leaf to the root. (Semaphore's circuit takes index bits, computes all
    levels and picks the root by the proof's length; it accepts the same chains.) By collision resistance the root has
    one pair of children, each of these one pair, and so on: a chain down from the root runs through nodes of the true
    tree. It cannot run on below a leaf, and it cannot end in an inner node, because the circuit computes its end as a
    hash of four values where inner nodes hash two: permutations of different width, with no common output that anybody
    can find. For this the vault must compute every leaf itself, which it does.

    *Dummies.* `amount * (top of the path - root) = 0`: a note that is not in the tree has amount 0. Nothing else is
    waived for it.

    *Distinct.* All nonces differ, also those of dummies, which may take any. A leaf fixes its nonce and the vault gives
    none twice, so no note is counted twice.

    *One use.* One secret wire makes the owner in every leaf and the nullifier. An owner has one secret that anybody can
    find (collision resistance again), so the nullifier is a function of owner and scope, whichever notes are named and
    whichever root they are proven in. That no balance moves to another owner meanwhile is the lock's doing: the vault
    spends no note before its unlock epoch.

    *Signal.* It takes part in one constraint (a square), so a proof holds for no other signal.
"""

from itertools import combinations

import numpy as np

from fedproof import _core
from fedproof.errors import InputError
from fedproof.proving.lin import Lin, stack
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.eligibility_witness import EligibilityWitness, Slots
from fedproof.statements.note_gadgets import climb, climb_cost, equals_number, number
from fedproof.statements.notes import AMOUNT_BITS, EPOCH_BITS, MAX_DEPTH
from fedproof.statements.poseidon import poseidon_cost, poseidon_hash

__all__ = ["NAME", "VERSION", "EligibilityStatement", "EligibilityWitness"]

NAME = "eligibility"
VERSION = 1
MAX_NOTES = 16


class EligibilityStatement:
    """The eligibility circuit.

    Args:
        depth: the greatest number of hashes from a leaf to the root.
        notes: how many notes a proof may name.
    """

    name = NAME
    version = VERSION

    def __init__(self, depth: int = MAX_DEPTH, notes: int = 4) -> None:
        if not 0 <= depth <= MAX_DEPTH or not 1 <= notes <= MAX_NOTES:
            raise InputError(f"the eligibility circuit takes a depth of 0 to {MAX_DEPTH} and 1 to {MAX_NOTES} notes")
        self.depth = depth
        self.notes = notes
        self.excess_bits = AMOUNT_BITS + (notes - 1).bit_length()

    def synthesize(self, cs: ConstraintSystem, witness: EligibilityWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        w, m = witness, self.notes
        slots = None if w is None else Slots(w, m, self.depth)
        if w is not None and cs.strict:
            w.check()
        root = cs.public("root", None if w is None else w.root)
        scope = cs.public("scope", None if w is None else w.scope)
        nullifier = cs.public("nullifier")
        threshold = cs.public("threshold", None if w is None else w.threshold)
        signal = cs.public("signal", None if w is None else w.signal)
        epoch = cs.public("epoch", None if w is None else w.epoch)
        equals_number(cs, threshold, None if w is None else w.threshold, AMOUNT_BITS, "threshold")
        equals_number(cs, epoch, None if w is None else w.epoch, EPOCH_BITS, "epoch")
        cs.product(signal, signal, "signal")

        secret = cs.private((), w and [w.secret], "secret")
        owner = poseidon_hash(cs, secret.reshape(1, 1), "owner")
        used = poseidon_hash(cs, stack([secret, scope]).reshape(1, 2), "nullifier/hash")
        if cs.assigning:
            cs.assign(nullifier, cs.value(used))
        cs.equal(used[0], nullifier, "nullifier/public")

        amount = number(cs, slots and slots.amounts, m, AMOUNT_BITS, "amount")
        unlock = epoch + 1 + number(cs, slots and slots.epochs_left, m, EPOCH_BITS, "unlock epoch")
        nonce = cs.private((m,), slots and slots.nonces, "nonce")
        leaf = poseidon_hash(cs, stack([owner.broadcast_to((m,)), amount, unlock, nonce], axis=1), "leaf")
        cs.constrain(amount, climb(cs, leaf, slots and slots.proofs, self.depth) - root, 0, "root")
        self._distinct(cs, nonce)
        excess = number(cs, slots and [slots.excess], 1, self.excess_bits, "excess")
        cs.equal(amount.sum(), threshold + excess[0], "sum")

    def _distinct(self, cs: ConstraintSystem, nonce: Lin) -> None:
        """No two nonces are equal: each difference has an inverse."""
        if self.notes == 1:
            return
        first, second = np.array(list(combinations(range(self.notes), 2))).T
        difference = nonce[first] - nonce[second]
        values = None
        if cs.assigning:
            # an equal pair has no inverse, and 0 in its place fails the constraint
            values = [pow(d, -1, _core.MODULUS) if d else 0 for d in _core.fr_to_ints(cs.value(difference))]
        inverse = cs.private((len(first),), values, "distinct")
        cs.constrain(difference, inverse, 1, "distinct")

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        m = self.notes
        of_notes = m * (AMOUNT_BITS + EPOCH_BITS + poseidon_cost(4) + 1) + climb_cost(m, self.depth)
        of_secret = poseidon_cost(1) + poseidon_cost(2) + 1
        public = (AMOUNT_BITS + 1) + (EPOCH_BITS + 1) + 1
        return of_notes + of_secret + m * (m - 1) // 2 + self.excess_bits + 1 + public
