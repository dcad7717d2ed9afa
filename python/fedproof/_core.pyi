"""Kernels of fedproof over BN254: field vectors, points, Poseidon, KZG and Groth16 with a committed segment.

`FrArray` is `ndarray[uint64]` of shape (n, 4): Montgomery limbs, private to the process. Every function raises
`ValueError` on a wrong shape, on limbs not below r and on bad bytes, `TypeError` on a wrong type, and `RuntimeError`
if a kernel itself fails. None of them keeps the interpreter lock.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

__all__ = [
    "MODULUS",
    "Dealer",
    "PhaseOne",
    "PhaseTwo",
    "ProvingKey",
    "R1cs",
    "Srs",
    "ec_add",
    "ec_mul",
    "ec_pairing",
    "fr_add",
    "fr_dot",
    "fr_from_bytes",
    "fr_from_i64",
    "fr_from_ints",
    "fr_inverse",
    "fr_mul",
    "fr_neg",
    "fr_powers",
    "fr_random",
    "fr_sub",
    "fr_sum",
    "fr_to_bytes",
    "fr_to_i64",
    "fr_to_ints",
    "g1_add",
    "g1_check",
    "g1_generator",
    "g1_msm",
    "g1_mul",
    "g1_multiples",
    "g1_neg",
    "g2_check",
    "g2_generator",
    "g2_multiples",
    "groth16_verify",
    "keccak256",
    "poly_divide_linear",
    "poly_eval",
    "poseidon",
    "poseidon_parameters",
    "sparse_apply",
]

_FrArray: TypeAlias = npt.NDArray[np.uint64]
_FrOne: TypeAlias = npt.NDArray[np.uint64] | int
_Matrix: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]

class _VerifyingKey(TypedDict):
    alpha_g1: bytes
    beta_g2: bytes
    delta_g2: bytes
    eta_g2: bytes | None
    ic: list[bytes]

MODULUS: int

def fr_from_i64(a: npt.NDArray[np.int64]) -> _FrArray:
    """Elements of signed 64-bit integers of shape (n,)."""

def fr_from_ints(values: Sequence[int]) -> _FrArray:
    """Elements of integers of any sign and size, reduced mod r."""

def fr_to_ints(a: _FrArray) -> list[int]:
    """Canonical integers in [0, r)."""

def fr_from_bytes(data: bytes) -> _FrArray:
    """Elements of consecutive 32-byte big-endian words, each below r."""

def fr_to_bytes(a: _FrArray) -> bytes:
    """Consecutive 32-byte big-endian words."""

def fr_to_i64(a: _FrArray) -> npt.NDArray[np.int64]:
    """Signed representatives in (-r/2, r/2); ValueError where one exceeds 64 bits."""

def fr_add(a: _FrArray, b: _FrArray) -> _FrArray:
    """Elementwise sum; a vector of length 1 is repeated."""

def fr_sub(a: _FrArray, b: _FrArray) -> _FrArray:
    """Elementwise difference; a vector of length 1 is repeated."""

def fr_mul(a: _FrArray, b: _FrArray) -> _FrArray:
    """Elementwise product; a vector of length 1 is repeated."""

def fr_neg(a: _FrArray) -> _FrArray:
    """Elementwise negative."""

def fr_inverse(a: _FrArray) -> _FrArray:
    """Elementwise inverse; ValueError on zero."""

def fr_sum(a: _FrArray) -> _FrArray:
    """Sum of all elements, shape (1, 4); zero for an empty vector."""

def fr_dot(a: _FrArray, b: _FrArray) -> _FrArray:
    """Inner product of two vectors of equal length, shape (1, 4)."""

def fr_powers(base: _FrOne, n: int) -> _FrArray:
    """The n powers 1, base, base^2, ..."""

def fr_random(n: int, seed: bytes | None = None) -> _FrArray:
    """n uniformly random elements from the operating system; a 32-byte seed is for tests."""

def poly_eval(coeffs: _FrArray, x: _FrOne) -> _FrArray:
    """Value at x, lowest coefficient first, shape (1, 4)."""

def poly_divide_linear(coeffs: _FrArray, x: _FrOne) -> _FrArray:
    """Coefficients of (f - f(x)) / (X - x), one fewer than coeffs."""

def sparse_apply(
    indptr: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    coeff_ids: npt.NDArray[np.int32],
    pool: _FrArray,
    z: _FrArray,
) -> _FrArray:
    """Matrix times vector; the matrix comes as compressed rows over a pool of coefficients."""

def g1_add(p: bytes, q: bytes) -> bytes:
    """p + q."""

def g1_mul(p: bytes, k: _FrOne) -> bytes:
    """k * p."""

def g1_neg(p: bytes) -> bytes:
    """-p."""

def g1_msm(points: bytes, scalars: _FrArray) -> bytes:
    """Sum of k_i * p_i over consecutive 64-byte points."""

def g1_multiples(scalars: _FrArray) -> bytes:
    """The generator of G1 times each scalar, 64 bytes each."""

def g2_multiples(scalars: _FrArray) -> bytes:
    """The generator of G2 times each scalar, 128 bytes each."""

def g1_generator() -> bytes:
    """The generator (1, 2)."""

def g2_generator() -> bytes:
    """The generator of EIP-197."""

def g1_check(p: bytes) -> None:
    """ValueError unless p is 64 bytes of a point on the curve."""

def g2_check(p: bytes) -> None:
    """ValueError unless p is 128 bytes of a point of the subgroup of order r."""

def ec_add(data: bytes) -> bytes:
    """Precompile 0x06 (EIP-196), padding and truncation included; ValueError where it fails."""

def ec_mul(data: bytes) -> bytes:
    """Precompile 0x07 (EIP-196), padding and truncation included; ValueError where it fails."""

def ec_pairing(data: bytes) -> bool:
    """Precompile 0x08 (EIP-197): whether the product of pairings is one; ValueError where it fails."""

def poseidon(inputs: _FrArray, k: int) -> _FrArray:
    """circomlib's Poseidon of each group of k consecutive elements, 1 <= k <= 12."""

def poseidon_parameters(k: int) -> tuple[list[int], list[list[int]], int, int]:
    """Round constants (k + 1 a round), MDS rows (new_i = sum_j mds[i][j] old_j), full rounds, partial rounds."""

def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it."""

@final
class Srs:
    """Powers of tau for KZG: [tau^i]_1 for i < size, and some [tau^k]_2."""

    @staticmethod
    def generate(size: int, g2_powers: Sequence[int], seed: bytes | None = None) -> Srs:
        """Powers by one dealer, for development; tau itself is always among the powers of G2."""
    @property
    def size(self) -> int:
        """Number of powers in G1."""
    def commit(self, coeffs: _FrArray, offset: int = 0) -> bytes:
        """Sum of coeffs_j [tau^(offset + j)]_1."""
    def open(self, coeffs: _FrArray, x: _FrOne) -> tuple[_FrArray, bytes]:
        """The value at x, shape (1, 4), and the commitment Q to (f - f(x)) / (X - x)."""
    def g2_power(self, k: int) -> bytes:
        """[tau^k]_2; ValueError if the file does not hold it."""
    def to_bytes(self) -> bytes:
        """The powers file."""
    @staticmethod
    def from_bytes(data: Buffer, check: bool = True) -> Srs:
        """Reads a powers file; with check, every point and that all are powers of one tau."""

@final
class R1cs:
    """Constraints A z * B z = C z over the wires [1 | x | c | private], in canonical form.

    After the caller's rows come 1 + num_public rows `z_j * 0 = 0`, one for each wire of [1 | x].
    """

    def __new__(
        cls,
        num_public: int,
        num_committed: int,
        num_wires: int,
        pool: _FrArray,
        a: _Matrix,
        b: _Matrix,
        c: _Matrix,
    ) -> R1cs:
        """Each matrix is (indptr, cols, coeff_ids) over the pool of coefficients."""
    @property
    def num_public(self) -> int:
        """Public inputs x, without the wire 1."""
    @property
    def num_committed(self) -> int:
        """Committed wires c."""
    @property
    def num_wires(self) -> int:
        """All wires, the wire 1 included."""
    @property
    def num_constraints(self) -> int:
        """All rows, those of [1 | x] included."""
    @property
    def domain_size(self) -> int:
        """The power of two that holds all rows."""
    def first_unsatisfied(self, z: _FrArray) -> int | None:
        """Index of the first row that z does not satisfy; ValueError on a wrong length or z[0] != 1."""
    def digest(self) -> bytes:
        """Keccak-256 of `to_bytes()`: the same for equal matrices, however they were written down."""
    def to_bytes(self) -> bytes:
        """The canonical encoding."""
    @staticmethod
    def from_bytes(data: bytes) -> R1cs:
        """Accepts exactly what `to_bytes` writes."""

@final
class Dealer:
    """The secrets alpha, beta and tau of keys for several circuits, for development (protocol, section 9, phase 1)."""

    def __new__(cls, seed: bytes | None = None) -> Dealer:
        """Secrets from the operating system; a 32-byte seed is for tests."""

@final
class ProvingKey:
    """A Groth16 key with a committed segment (protocol, section 3)."""

    @staticmethod
    def setup(r1cs: R1cs, seed: bytes | None = None, dealer: Dealer | None = None) -> ProvingKey:
        """A key by one dealer, for development, with delta and eta of its own.

        Keys of one dealer have one alpha and one beta. ValueError if a committed wire stands in no constraint.
        """
    @property
    def circuit_digest(self) -> bytes:
        """Digest of the R1cs the key was made for."""
    @property
    def by_many(self) -> bool:
        """Made by `PhaseTwo.key`, or read from a file that says so, and not by one dealer."""
    def commit(self, c_values: _FrArray) -> bytes:
        """D = sum c_j K_j / eta."""
    def prove(self, r1cs: R1cs, z: _FrArray, seed: bytes | None = None) -> bytes:
        """A proof (256 bytes) with fresh blinding; ValueError names the first row that z does not satisfy."""
    def verifying_key(self) -> _VerifyingKey:
        """alpha_g1, beta_g2, delta_g2, eta_g2 (None without committed wires), ic for [1 | x]."""
    def to_bytes(self) -> bytes:
        """The key file."""
    @staticmethod
    def from_bytes(data: Buffer, check: bool = False) -> ProvingKey:
        """Reads a key file from bytes, or a copy of any other buffer, such as a mapped file.

        Without check, no point is tested for curve and subgroup: that is for a file whose digest was checked.
        """
    @staticmethod
    def from_chunks(chunks: Iterable[bytes], size: int, check: bool = False) -> ProvingKey:
        """`from_bytes` of the first `size` bytes of what comes in chunks, never holding more than a few of them.

        What the iterable raises comes through. It is asked for the next chunk when the last one is decoded.
        """

_Contribution: TypeAlias = tuple[str, tuple[bytes, int] | None, bytes]
"""Who contributed; of a beacon its value and the logarithm of how often it is hashed; the digest of all up to here."""

@final
class PhaseOne:
    """Powers of tau, also times alpha and beta, by many (protocol, section 9; BGM17; ePrint 2021/219)."""

    @staticmethod
    def start(log: int) -> PhaseOne:
        """Where all setups for circuits of up to 2^log rows begin, 1 <= log <= 24: every secret is 1."""
    @property
    def size(self) -> int:
        """The most rows of a circuit; there are 2 size - 1 powers in G1 and size in G2."""
    def digest(self) -> bytes:
        """Of all contributions: 32 bytes to publish."""
    def contributions(self) -> list[_Contribution]:
        """All so far, in order."""
    def contribute(self, name: str, beacon: tuple[bytes, int] | None = None, seed: bytes | None = None) -> PhaseOne:
        """A copy with one more, whose secrets are forgotten, after `verify`; a seed is for tests.

        A beacon, 32 bytes that are hashed 2^log times, is the last one. ValueError after it.
        """
    def verify(self) -> None:
        """ValueError unless each contribution follows from the one before, and the powers from the last.

        The second time it takes no time.
        """
    def srs(self, size: int, g2_powers: Sequence[int]) -> Srs:
        """The powers that KZG takes."""
    def to_bytes(self) -> bytes:
        """The file."""
    @staticmethod
    def from_bytes(data: bytes) -> PhaseOne:
        """Reads a file and tests every point for curve and subgroup, and nothing else."""

@final
class PhaseTwo:
    """delta and eta of one circuit by many, over a first phase (protocol, section 9)."""

    @staticmethod
    def start(r1cs: R1cs, first: PhaseOne) -> PhaseTwo:
        """The key with delta and eta 1, the same for all who compute it. Takes as long as `verify`.

        ValueError on a first phase that is not finished, does not hold, or is too small for the circuit.
        """
    @property
    def circuit_digest(self) -> bytes:
        """Digest of the R1cs that the key is for."""
    def digest(self) -> bytes:
        """Of all contributions: 32 bytes to publish."""
    def contributions(self) -> list[_Contribution]:
        """All so far, in order."""
    def contribute(
        self,
        name: str,
        r1cs: R1cs,
        first: PhaseOne,
        beacon: tuple[bytes, int] | None = None,
        seed: bytes | None = None,
    ) -> PhaseTwo:
        """As of a first phase, after `verify`: whoever divided points unseen would be an oracle for forgers.

        ValueError on the beacon of the first phase, which was known before this one began.
        """
    def verify(self, r1cs: R1cs, first: PhaseOne) -> None:
        """ValueError unless `first` holds, this is the circuit's key over it, and delta, eta are the transcript's."""
    def key(self, r1cs: R1cs, first: PhaseOne) -> ProvingKey:
        """The key of a finished setup, after both phases were verified.

        ValueError where one does not hold, has contributions of fewer than two, or does not end with a beacon.
        """
    def to_bytes(self) -> bytes:
        """The file."""
    @staticmethod
    def from_bytes(data: bytes) -> PhaseTwo:
        """Reads a file and tests every point for curve and subgroup, and nothing else."""

def groth16_verify(vk: _VerifyingKey, public: _FrArray, proof: bytes, d: bytes | None) -> bool:
    """Whether proof (and D) is valid; ValueError on malformed points and on keys whose gamma, delta, eta coincide."""
