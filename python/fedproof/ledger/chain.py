"""One interface to any chain: the embedded one, a development node, or a public network."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.abi import contract_object, decode_result, encode_call, encode_creation
from fedproof.ledger.accounts import Account
from fedproof.ledger.artifacts import Artifact, load_artifact
from fedproof.ledger.data_contract import data_contract_creation
from fedproof.ledger.dev import DevTools
from fedproof.ledger.diagnosis import Diagnosis
from fedproof.ledger.embedded import EmbeddedNode, Genesis
from fedproof.ledger.events import Event, decode_event, filter_topics, find_event
from fedproof.ledger.export import collect_block
from fedproof.ledger.http import HttpRpc
from fedproof.ledger.knowledge import AbiIndex
from fedproof.ledger.logs import get_logs
from fedproof.ledger.node import Node, block_tag
from fedproof.ledger.receipts import Receipt, parse_receipt
from fedproof.ledger.record import EMBEDDED, REMOTE, ChainRecord
from fedproof.ledger.rpc import Rpc, RpcError, hex_data, parse_data, parse_quantity
from fedproof.ledger.sending import Sender, SendingPolicy
from fedproof.ledger.transactions import SignedTransaction


class Chain(Node):
    """A chain. Make one with `Chain.embedded` or `Chain.connect`."""

    def __init__(self, rpc: Rpc, *, chain_id: int, dev: DevTools | None, policy: SendingPolicy) -> None:
        super().__init__(rpc, chain_id=chain_id, dev=dev, policy=policy)
        self._abis = AbiIndex()
        self._diagnosis = Diagnosis(rpc, self._abis)
        self._sender = Sender(rpc, chain_id, self._diagnosis, policy)
        self._artifacts: dict[str, Artifact] = {}
        self._deployments: dict[str, Receipt] = {}

    @classmethod
    def embedded(
        cls,
        genesis: Genesis | None = None,
        *,
        chain_id: int | None = None,
        timestamp: int | None = None,
        block_interval: int | None = None,
    ) -> Self:
        """A fresh chain inside the process, deterministic: equal genesis and equal inputs give equal block hashes.

        Raises:
            InputError: a parameter of the genesis is out of range.
        """
        given = {"chain_id": chain_id, "timestamp": timestamp, "block_interval": block_interval}
        chosen = {name: value for name, value in given.items() if value is not None}
        if genesis is not None and chosen:
            raise InputError("give a genesis or its parameters, not both")
        node = EmbeddedNode(genesis or Genesis(**chosen))
        return cls(
            node, chain_id=node.ledger.genesis.chain_id, dev=DevTools(node), policy=SendingPolicy(poll_seconds=0.02)
        )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        chain_id: int | None = None,
        timeout: float = 20.0,
        retries: int = 5,
        policy: SendingPolicy | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> Self:
        """A chain behind a JSON-RPC endpoint.

        Args:
            url: http or https.
            chain_id: the chain it must be; None takes whichever it is.
            timeout: seconds for one attempt of a request.
            retries: further attempts while the node is busy or answers garbage.
            policy: patience and fees of transactions.
            pause: called with the seconds between two attempts.

        Raises:
            InputError: the URL is no such URL.
            LedgerError: the node cannot be reached, or is of another chain.
        """
        rpc = HttpRpc(url, timeout, retries, pause)
        try:
            found = parse_quantity(rpc.request("eth_chainId"), "a chain id")
            if chain_id is not None and found != chain_id:
                raise LedgerError(f"{rpc.url} is chain {found}, not {chain_id}: check the URL")
            dev = DevTools.detect(rpc)
            return cls(rpc, chain_id=found, dev=dev, policy=policy or SendingPolicy(poll_seconds=0.1 if dev else 1.0))
        except BaseException:
            rpc.close()
            raise

    # -- contracts --

    def deploy(
        self,
        artifact: str | Artifact,
        *args: Any,
        sender: Account,
        libraries: Mapping[str, str] | None = None,
        gas: int | None = None,
        value: int = 0,
    ) -> Contract:
        """Deploys a contract by its artifact's name. `deployment_receipt` tells what it cost.

        Raises:
            InputError: no such artifact, or arguments or libraries that do not fit.
            ContractRejected: the constructor reverted.
        """
        artifact = self._artifact(artifact)
        creation = encode_creation(artifact, args, libraries or {})
        return self.contract_at(artifact, self._create(creation, sender, gas, value, f"deploying {artifact.name}"))

    def deploy_data(self, words: bytes, sender: Account) -> ChecksumAddress:
        """A contract whose runtime code is a zero byte and `words`, which are 32 bytes each, and its address."""
        return self._create(data_contract_creation(words), sender, None, 0, "deploying data")

    def deployment_receipt(self, address: str) -> Receipt:
        """The receipt of a deployment made here."""
        receipt = self._deployments.get(to_checksum_address(address))
        if receipt is None:
            raise LedgerError(f"{address} was not deployed here")
        return receipt

    def contract_at(self, artifact: str | Artifact, address: str) -> Contract:
        """A contract of this artifact at an address, for `call`, `transact` and `events`."""
        artifact = self._artifact(artifact)
        contract = contract_object(artifact, address)
        self._artifacts[contract.address] = artifact
        return contract

    def call(self, function: ContractFunction, *, sender: Account | str | None = None, block: int | None = None) -> Any:
        """Result of a call that changes nothing, at a block (default: the latest).

        Raises:
            ContractRejected: it reverts.
        """
        request = {"to": function.address, "data": hex_data(encode_call(function))}
        if sender is not None:
            request["from"] = sender.address if isinstance(sender, Account) else to_checksum_address(sender)
        try:
            answer = self.rpc.request("eth_call", request, block_tag(block))
        except RpcError as error:
            raise self._diagnosis.meaning(error, str(function.fn_name)) from error
        return decode_result(function, parse_data(answer, "the result of a call"))

    def transact(self, function: ContractFunction, sender: Account, gas: int | None = None, value: int = 0) -> Receipt:
        """Sends a call as a transaction and waits for its receipt.

        Raises:
            ContractRejected: it reverted. Without `gas` this shows before anything is sent.
            UnsettledError: no receipt came in time. Calling again with the same arguments waits for the same one.
            LedgerError: it failed otherwise.
        """
        return self.wait(self.send(function, sender, gas, value))

    def prepare(
        self, function: ContractFunction, sender: Account, gas: int | None = None, value: int = 0
    ) -> SignedTransaction:
        """Signs without sending. Who saves `raw` before `broadcast` loses and doubles nothing in a crash."""
        return self._sender.prepare(
            sender, function.address, encode_call(function), value=value, gas=gas, what=str(function.fn_name)
        )

    def broadcast(self, transaction: SignedTransaction) -> None:
        """Sends a prepared transaction; doing so again changes nothing."""
        self._sender.broadcast(transaction)

    def send(
        self, function: ContractFunction, sender: Account, gas: int | None = None, value: int = 0
    ) -> SignedTransaction:
        """`prepare` and `broadcast`."""
        return self._sender.send(
            sender, function.address, encode_call(function), value=value, gas=gas, what=str(function.fn_name)
        )

    def wait(self, transaction: SignedTransaction) -> Receipt:
        """The receipt of a transaction, once it is mined and deep enough; see `transact` for the errors."""
        raw = self._sender.wait_raw(transaction)
        self._diagnosis.check(transaction, raw)
        return parse_receipt(raw, len(transaction.data), self._abis)

    def transfer(self, sender: Account, to: str, wei: int) -> Receipt:
        """Sends money."""
        return self.wait(self._sender.send(sender, to, b"", value=wei, gas=None, what="a transfer"))

    # -- reading --

    def events(
        self,
        contract: Contract,
        name: str,
        from_block: int = 0,
        to_block: int | None = None,
        argument_filters: Mapping[str, Any] | None = None,
    ) -> list[Event]:
        """The contract's events of this name, oldest first. `argument_filters` gives values of indexed arguments."""
        event = find_event(contract.abi, name)
        topics = filter_topics(event, argument_filters or {})
        last = self.block_number() if to_block is None else to_block
        logs = get_logs(self.rpc, contract.address, topics, from_block, last)
        return [decode_event(event, log) for log in logs]

    def transaction_input(self, tx_hash: str) -> bytes:
        """Calldata of a transaction.

        Raises:
            LedgerError: the chain has no such transaction.
        """
        found = self.rpc.request("eth_getTransactionByHash", tx_hash)
        if not isinstance(found, dict):
            raise LedgerError(f"the chain has no transaction {tx_hash}")
        return parse_data(found.get("input"), "calldata")

    def receipt(self, tx_hash: str) -> Receipt:
        """The receipt of a mined transaction.

        Raises:
            LedgerError: the chain has no such transaction, or it is not mined yet.
        """
        raw = self.rpc.request("eth_getTransactionReceipt", tx_hash)
        if not isinstance(raw, dict):
            raise LedgerError(f"the chain has no mined transaction {tx_hash}")
        return parse_receipt(raw, len(self.transaction_input(tx_hash)), self._abis)

    def code_at(self, address: str) -> bytes:
        """Runtime code at an address; empty where there is no contract."""
        return parse_data(self.rpc.request("eth_getCode", to_checksum_address(address), "latest"), "code")

    def export(
        self, from_block: int = 0, to_block: int | None = None, addresses: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Blocks, signed transactions and receipts as JSON-able data, for `replay` or `check_export`.

        Of a public network give the range of the run, and the addresses of its contracts: then only transactions to
        these are kept. An embedded chain is exported whole.

        Raises:
            InputError: a part of an embedded chain is asked for.
        """
        if isinstance(self.rpc, EmbeddedNode):
            if from_block != 0 or to_block is not None or addresses is not None:
                raise InputError("an embedded chain is exported whole, or it could not be run again")
            genesis = self.rpc.ledger.genesis.to_json()
        else:
            genesis = None
        kept = None if addresses is None else tuple(sorted(address.lower() for address in addresses))
        last = self.block_number() if to_block is None else to_block
        return ChainRecord(
            kind=REMOTE if genesis is None else EMBEDDED,
            chain_id=self.chain_id,
            genesis=genesis,
            addresses=kept,
            blocks=tuple(collect_block(self.rpc, number, kept) for number in range(from_block, last + 1)),
        ).to_json()

    # -- inside --

    def _artifact(self, artifact: str | Artifact) -> Artifact:
        found = load_artifact(artifact) if isinstance(artifact, str) else artifact
        self._abis.add(found)
        return found

    def _create(self, creation: bytes, sender: Account, gas: int | None, value: int, what: str) -> ChecksumAddress:
        receipt = self.wait(self._sender.send(sender, None, creation, value=value, gas=gas, what=what))
        if receipt.contract_address is None:
            raise LedgerError(f"transaction {receipt.tx_hash} made no contract")
        self._deployments[receipt.contract_address] = receipt
        return receipt.contract_address
