"""The one tree of exceptions of fedproof, each branch with its process exit code.

FedproofError (1)
├── UnexpectedError (70)  a mistake of ours, in a node that goes on
├── InputError (2)        what the user gave: file, column, option
├── ProofError (3)        a proof does not verify, or cannot be made
├── SharingError (4)      a share, its commitment or a reconstruction
├── SealingError (5)      a ciphertext, key or context
├── LedgerError (6)       the chain refuses, fails or is unreachable
│   └── ContractRejected  a contract reverted with a named custom error
│       └── RevertedError a mined transaction failed, and nobody says why
├── StorageError (7)      a blob is missing or is not what its id says
├── KeyFileError (8)      a proving or verifying key is not the circuit's; a node's own keys do not open
├── StateError (9)        a node's saved state forbids the action
└── AuditError (10)       a finished task does not check out
"""


class FedproofError(Exception):
    """Base of every error that fedproof raises on purpose. `exit_code` is what the command returns."""

    exit_code: int = 1


class UnexpectedError(FedproofError):
    """Something that nobody thought of, as when a stranger's document or a node's answer is odd in a new way. A node
    goes on with what else it has to do. The message has no value in it, for values may be secret."""

    exit_code = 70

    @classmethod
    def of(cls, error: Exception) -> "UnexpectedError":
        """The kind of an exception and its place."""
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else "?"
        return cls(f"internal error ({type(error).__name__} at {place}); please report it")


class InputError(FedproofError):
    """The user's input is wrong; the message says what, where, and what to do."""

    exit_code = 2


class ProofError(FedproofError):
    """A proof does not verify, or the witness does not satisfy the statement."""

    exit_code = 3


class SharingError(FedproofError):
    """A share does not match its commitment, or too few shares are left."""

    exit_code = 4


class SealingError(FedproofError):
    """A sealed message cannot be opened with this key and context."""

    exit_code = 5


class LedgerError(FedproofError):
    """The chain refused, failed, or could not be reached."""

    exit_code = 6


class ContractRejected(LedgerError):  # noqa: N818  # reads as what happened, where it is caught
    """A contract reverted. `name` is its custom error (or `Error`), `arguments` what it carried."""

    def __init__(self, name: str, arguments: tuple[object, ...] = (), where: str = "") -> None:
        self.name = name
        self.arguments = arguments
        detail = ", ".join(map(str, arguments))
        super().__init__(f"{where + ': ' if where else ''}the contract rejected the call: {name}({detail})")


class RevertedError(ContractRejected):
    """A mined transaction failed, and the reason cannot be read: it ran out of gas, or the node does not tell."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__("failed")
        self.args = (f"{where} failed: {why}",)


class StorageError(FedproofError):
    """A blob is missing, truncated, or not what its content id says."""

    exit_code = 7


class KeyFileError(FedproofError):
    """A proving or verifying key is damaged or of another circuit, or a node's own keys do not open."""

    exit_code = 8


class StateError(FedproofError):
    """Saved state forbids the action, such as a second sum over one model."""

    exit_code = 9


class PendingError(StateError):
    """What is asked for is not there yet, and others bring it: to wait is all there is to do."""


class AuditError(FedproofError):
    """A finished task does not check out."""

    exit_code = 10
