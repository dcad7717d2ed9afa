"""The chain: an embedded one, a development node, or a public network, behind one interface."""

import sys

from fedproof.ledger.accounts import Account, account_from_key
from fedproof.ledger.artifacts import Artifact, artifact_names, load_artifact
from fedproof.ledger.chain import Chain
from fedproof.ledger.embedded import Genesis
from fedproof.ledger.events import Event, Log
from fedproof.ledger.receipts import Receipt
from fedproof.ledger.replay import check_export, replay
from fedproof.ledger.sending import ReplacedError, SendingPolicy, UnsettledError
from fedproof.ledger.transactions import SignedTransaction, read_signed

__all__ = [
    "Account",
    "Artifact",
    "Chain",
    "Event",
    "Genesis",
    "Log",
    "Receipt",
    "ReplacedError",
    "SendingPolicy",
    "SignedTransaction",
    "UnsettledError",
    "account_from_key",
    "artifact_names",
    "check_export",
    "load_artifact",
    "read_signed",
    "replay",
]

# py_ecc, below eth-account, lifts the limit to 100,000 frames, and then a deeply nested JSON text overflows the C stack
# and kills the process. This is what py-evm needs for 1,024 nested calls, and asks for itself.
sys.setrecursionlimit(min(sys.getrecursionlimit(), 12_288))
