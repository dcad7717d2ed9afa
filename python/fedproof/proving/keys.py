"""Verifying keys, their one byte layout, and the setup by one dealer (protocol, sections 3 and 9)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from fedproof import _core
from fedproof.errors import KeyFileError
from fedproof.proving.circuit import Circuit

VERSION = 1
_COMMITTED = 1 << 8
_DEVELOPMENT = 1 << 9
_INFINITY, _NO_POINT = bytes(64), bytes(128)


@dataclass(frozen=True)
class VerifyingKey:
    """A Groth16 verifying key with gamma = 1, its KZG powers, and whether one dealer made it.

    Attributes:
        circuit_id: the circuit it verifies.
        development: made by a single dealer; a non-local chain refuses it.
        alpha: G1, 64 bytes. beta, delta: G2, 128 bytes. eta: G2, or None without a committed segment.
        tau: `[tau]_2` of the KZG powers. tau_d: `[tau^d]_2` of the first mask position, or None.
        ic: points of `[1 | x]`, each 64 bytes.
    """

    circuit_id: bytes
    development: bool
    alpha: bytes
    beta: bytes
    delta: bytes
    eta: bytes | None
    tau: bytes
    tau_d: bytes | None
    ic: tuple[bytes, ...]

    @property
    def num_public(self) -> int:
        """Number of public inputs, the constant 1 not counted."""
        return len(self.ic) - 1

    def encode(self) -> bytes:
        """The key blob: 32-byte words in the order of docs/architecture.md."""
        flags = VERSION | (_COMMITTED if self.eta else 0) | (_DEVELOPMENT if self.development else 0)
        head = self.circuit_id + flags.to_bytes(32, "big") + self.num_public.to_bytes(32, "big")
        points = self.alpha + self.beta + self.delta + (self.eta or _NO_POINT) + self.tau + (self.tau_d or _NO_POINT)
        return head + points + b"".join(self.ic)

    @classmethod
    def decode(cls, blob: bytes) -> VerifyingKey:
        """Read a key blob.

        Raises:
            KeyFileError: another version, a wrong length, a point that is not on its curve or in its subgroup, or
                points under which a proof needs no witness (docs/decisions/0007).
        """
        if len(blob) < 25 * 32:
            raise KeyFileError(f"a verifying key of {len(blob)} bytes is too short")
        flags, public = int.from_bytes(blob[32:64], "big"), int.from_bytes(blob[64:96], "big")
        if flags & 0xFF != VERSION or flags >> 10:
            raise KeyFileError(f"a verifying key has version and flags {flags:#x}; this build knows version {VERSION}")
        if public > 64 or len(blob) != 32 * (25 + 2 * (public + 1)):
            raise KeyFileError(f"a verifying key of {len(blob)} bytes does not fit {public} public inputs")
        cut = [96, 160, 288, 416, 544, 672, 800]
        alpha, beta, delta, eta, tau, tau_d = (blob[a:b] for a, b in pairwise(cut))
        ic = tuple(blob[at : at + 64] for at in range(800, len(blob), 64))
        committed = bool(flags & _COMMITTED)
        if any(eta) != committed:
            raise KeyFileError(
                "a verifying key has an eta where its flags name no committed segment, or none where they do"
            )
        secrets = [beta, delta, tau, *((eta,) if committed else ()), *((tau_d,) if any(tau_d) else ())]
        try:
            for point in (alpha, *ic):
                _core.g1_check(point)
            for point in secrets:
                _core.g2_check(point)
        except ValueError as error:
            raise KeyFileError(f"a verifying key holds a bad point: {error}") from None
        # points that differ in sign alone have one x
        distinct = {point[:64] for point in (_core.g2_generator(), *secrets)}
        if len(distinct) != 1 + len(secrets) or _NO_POINT in secrets or _INFINITY in (alpha, *ic):
            raise KeyFileError(
                "a verifying key with a point at infinity, or with two of gamma, beta, delta, eta and tau equal up to "
                "sign, would accept proofs without a witness"
            )
        return cls(
            circuit_id=blob[:32],
            development=bool(flags & _DEVELOPMENT),
            alpha=alpha,
            beta=beta,
            delta=delta,
            eta=eta if committed else None,
            tau=tau,
            tau_d=tau_d if any(tau_d) else None,
            ic=ic,
        )

    def groth16(self) -> _core._VerifyingKey:
        """The part that the core verifies with."""
        return {
            "alpha_g1": self.alpha,
            "beta_g2": self.beta,
            "delta_g2": self.delta,
            "eta_g2": self.eta,
            "ic": list(self.ic),
        }


@dataclass(frozen=True)
class Keys:
    """A circuit with its proving and verifying key."""

    circuit: Circuit
    proving: _core.ProvingKey
    verifying: VerifyingKey


def setup(
    circuit: Circuit,
    srs: _core.Srs,
    mask_position: int | None = None,
    seed: bytes | None = None,
    dealer: _core.Dealer | None = None,
) -> Keys:
    """Make keys by a single dealer: for development only, and marked so in the key itself.

    Args:
        circuit: what the keys are for.
        srs: the KZG powers that proofs of this circuit link to.
        mask_position: d of the capacity class, where enrolments use this key; `srs` must hold `[tau^d]_2`.
        seed: 32 bytes make a repeatable setup, in tests only.
        dealer: gives keys of several circuits one alpha and one beta: a round of a task then costs a pairing less.
    """
    return with_proving_key(circuit, _core.ProvingKey.setup(circuit.r1cs, seed, dealer), srs, mask_position)


def with_proving_key(circuit: Circuit, proving: _core.ProvingKey, srs: _core.Srs, mask_position: int | None) -> Keys:
    """Put the verifying key of a proving key together with its circuit and KZG powers."""
    parts = proving.verifying_key()
    verifying = VerifyingKey(
        circuit_id=circuit.circuit_id,
        development=not proving.by_many,
        alpha=parts["alpha_g1"],
        beta=parts["beta_g2"],
        delta=parts["delta_g2"],
        eta=parts["eta_g2"],
        tau=srs.g2_power(1),
        tau_d=None if mask_position is None else srs.g2_power(mask_position),
        ic=tuple(parts["ic"]),
    )
    return Keys(circuit, proving, verifying)
