"""The part of `fedproof node check` that asks the chain: its node, its clock, the contracts, and the proving keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fedproof.app.deployment import BlobRef, DeploymentFile
from fedproof.app.gas import advice
from fedproof.app.joining import check_contracts, join
from fedproof.app.keystore import PublicKeys
from fedproof.app.nodecheck import Caution, Checkup
from fedproof.app.nodecheck_role import CHECKS, Scene
from fedproof.app.nodeconfig import NodeConfig
from fedproof.app.world import key_requests
from fedproof.errors import KeyFileError, LedgerError, StorageError
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation
from fedproof.ledger.logs import get_logs
from fedproof.ledger.rpc import RpcError
from fedproof.nodes.params import Deployment
from fedproof.proving.circuit import compile_statement
from fedproof.storage import BlobStore

_ETHER = 10**18
_RETRIES = 2


def connect(config: NodeConfig, document: DeploymentFile) -> Chain:
    """The chain, without the patience of a running node.

    Raises:
        LedgerError: it does not answer, or is another.
    """
    retries = min(_RETRIES, config.chain.retries)
    return Chain.connect(config.chain.rpc, chain_id=document.chain_id, timeout=config.chain.timeout, retries=retries)


def check_chain(
    up: Checkup,
    config: NodeConfig,
    document: DeploymentFile,
    keys: PublicKeys | None,
    store: BlobStore | None,
    *,
    running: bool,
    fetch: bool,
) -> None:
    """All checks that need the chain; without it, that it is not there is the only line."""
    chain = up.look("chain", lambda: connect(config, document), lambda found: f"{found.chain_id} at {found.rpc.url}")
    if chain is None:
        return
    with chain:
        depth = up.look("chain.depth", lambda: config.chain.depth(chain.is_development), lambda n: f"{n} confirmations")
        synced = up.look("chain.synced", lambda: check_synced(chain, depth or 0), lambda head: f"at block {head}")
        up.say("chain.clock", lambda: check_clock(chain, config.chain.clock_tolerance, time.time))
        found = up.look(
            "contracts", lambda: check_contracts(document, chain), lambda _: "they run the code that this package ships"
        )
        if found is None:
            return
        market, federation = found
        if synced is not None:
            up.say("chain.calls", lambda: check_calls(federation, synced - (depth or 0)))
        up.say("chain.logs", lambda: check_logs(chain, document))
        if keys is not None:
            up.say("balance", lambda: check_balance(chain, keys.address, config.chain.min_balance))
        deployment = check_proving(up, config, document, chain, store, fetch)
        if keys is not None and store is not None:
            scene = Scene(up, config, chain, market, federation, store, keys, deployment, document.class_id, running)
            CHECKS[config.role](scene)


def check_synced(chain: Chain, depth: int) -> int:
    """The node has all blocks, and as many as there are confirmations; returns the number of the newest.

    Raises:
        LedgerError: it has not.
    """
    try:
        syncing = chain.rpc.request("eth_syncing")
    except RpcError:
        syncing = False  # it does not say
    if isinstance(syncing, dict):
        at, of = (str(syncing.get(name, "?"))[:18] for name in ("currentBlock", "highestBlock"))
        raise LedgerError(f"the node is still fetching the chain, block {at} of {of}: wait, or ask another")
    head = chain.block_number()
    if head < depth:
        raise LedgerError(f"the chain has {head} blocks, fewer than chain.confirmations = {depth}: it has just begun")
    return head


def check_clock(chain: Chain, tolerance: int, now: Callable[[], float]) -> str | Caution:
    """The newest block is neither old nor from the future.

    Raises:
        LedgerError: it is.
    """
    age = int(now()) - chain.timestamp()
    if age < -tolerance:
        raise LedgerError(
            f"the newest block is {-age:,} s ahead of this machine's clock (chain.clock_tolerance = {tolerance}): "
            "set the clock"
        )
    if age > tolerance:
        text = f"the newest block is {age:,} s old (chain.clock_tolerance = {tolerance})"
        if chain.is_development:
            return Caution(f"{text}; a development chain may mine only when somebody sends")
        raise LedgerError(f"{text}: the node gets no blocks, or this machine's clock is ahead")
    return f"the newest block is {max(0, age)} s old"


def check_calls(federation: Federation, block: int) -> str:
    """Calls are answered as of the block that the node will look at.

    Raises:
        LedgerError: they are not.
    """
    try:
        federation.chain.call(federation.contract.functions.taskCount(), block=block)
    except LedgerError as error:
        raise LedgerError(
            f"the node answers no call as of block {block}, where this node would look: {error}"
        ) from None
    return f"answered as of block {block}"


def check_logs(chain: Chain, document: DeploymentFile) -> str:
    """The node keeps logs from before the federation: the token's first one is there.

    Raises:
        LedgerError: it does not.
    """
    address, tx_hash = document.contracts["AccessToken"]
    block = chain.receipt(tx_hash).block_number
    if not get_logs(chain.rpc, address, [], block, block):
        raise LedgerError(f"the node has no logs of block {block}, where the contracts begin: ask one that keeps all")
    return f"kept from block {block}, where the contracts begin"


def check_balance(chain: Chain, address: str, least: int) -> str:
    """The account can pay for gas.

    Raises:
        LedgerError: it has less than `chain.min_balance`.
    """
    found = chain.balance(address)
    if found < least:
        raise LedgerError(
            f"{address} has {found / _ETHER:.4f} ether, less than chain.min_balance = {least / _ETHER:g}: "
            f"{advice(chain, address)}"
        )
    return f"{found / _ETHER:.4f} ether"


def check_proving(
    up: Checkup, config: NodeConfig, document: DeploymentFile, chain: Chain, store: BlobStore | None, fetch: bool
) -> Deployment | None:
    """The proving keys; the deployment with them, None where they are not all here and fit."""
    missing = missing_keys(config, document)
    size = sum(ref.size for ref in missing) / 2**20

    def act() -> Deployment | None:
        if missing and not fetch:
            check_circuits(document)
            return None
        if missing and store is None:
            raise StorageError(f"{len(missing)} files are missing in {config.cache}, and the store does not answer")
        source = store if fetch and store is not None else BlobStore.open(config.cache)
        found, _ = join(document, chain, config.cache, store=source, notice=up.notice)
        return replace(found, store=store or source)

    def say(found: Deployment | None) -> str | Caution:
        if found is None:
            return Caution(
                f"{len(missing)} files of {size:.0f} MiB are not in {config.cache} yet: the node fetches them when it "
                "starts, and --fetch does it now"
            )
        return f"in {config.cache}, of this build's circuits, and the chain's"

    return up.look("proving keys", act, say)


def missing_keys(config: NodeConfig, document: DeploymentFile) -> list[BlobRef]:
    """Files that are not in the node's cache, or damaged there."""
    refs = [document.powers, *document.keys.values()]
    if not config.cache.is_dir():
        return refs
    cache = BlobStore.open(config.cache)

    def is_there(ref: BlobRef) -> bool:
        try:
            return len(cache.get(ref.blob, limit=ref.size)) == ref.size
        except StorageError:
            return False

    return [ref for ref in refs if not is_there(ref)]


def check_circuits(document: DeploymentFile) -> None:
    """The deployment's keys are of this build's circuits.

    Raises:
        KeyFileError: they are not.
    """
    for name, request in key_requests(document.plan).items():
        if document.keys[name].circuit != compile_statement(request.statement).circuit_id.hex():
            raise KeyFileError(f"the {name} key is of another circuit than this build's: use the federation's version")
