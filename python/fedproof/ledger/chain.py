"""One interface to any chain: the embedded one, a development node, or a public network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.errors import ContractRejected, InputError, LedgerError
from fedproof.ledger import embedded
from fedproof.ledger.abi import contract_object, decode_result, encode_call, encode_creation
from fedproof.ledger.accounts import Account
from fedproof.ledger.artifacts import Artifact, load_artifact
from fedproof.ledger.data_contract import data_contract_creation
from fedproof.ledger.dev import DevTools
from fedproof.ledger.diagnosis import Diagnosis
from fedproof.ledger.embedded import Genesis
from fedproof.ledger.http import HttpRpc
from fedproof.ledger.node import block_tag
from fedproof.ledger.reader import Reader
from fedproof.ledger.receipts import Receipt, parse_receipt
from fedproof.ledger.rpc import Rpc, RpcError, hex_data, parse_data, parse_quantity
from fedproof.ledger.sending import Sender, SendingPolicy
from fedproof.ledger.transactions import SignedTransaction


class Chain(Reader):
    """A chain. Make one with `Chain.embedded` or `Chain.connect`."""

    def __init__(self, rpc: Rpc, *, chain_id: int, dev: DevTools | None, policy: SendingPolicy) -> None:
        super().__init__(rpc, chain_id=chain_id, dev=dev, policy=policy)
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
        node = embedded.EmbeddedNode(genesis or Genesis(**chosen))
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
            dev = DevTools.detect(rpc, found)
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
        data = encode_call(function)
        return decode_result(function, self._call(function.address, data, sender, block, str(function.fn_name)))

    def call_raw(self, to: str, data: bytes, *, sender: Account | str | None = None, block: int | None = None) -> bytes:
        """What an address answers to any calldata; see `call`."""
        return self._call(to, data, sender, block, "a call")

    def transact(self, function: ContractFunction, sender: Account, gas: int | None = None, value: int = 0) -> Receipt:
        """Sends a call as a transaction and waits for its receipt.

        Raises:
            ContractRejected: it reverted. Without `gas` this shows before anything is sent.
            UnsettledError: no receipt came in time. Calling again with the same arguments waits for the same one.
            LedgerError: it failed otherwise.
        """
        return self.wait(self.send(function, sender, gas, value))

    def prepare(
        self,
        function: ContractFunction,
        sender: Account,
        gas: int | None = None,
        value: int = 0,
        extra_gas: int = 0,
    ) -> SignedTransaction:
        """Signs without sending. Who saves `raw` before `broadcast` loses and doubles nothing in a crash.

        Args:
            extra_gas: on top of what is estimated, with its margin. For a call that gets dearer by a fixed amount when
                another's lands first, as the last of several voices, which also does what they agree on.
        """
        return self._sender.prepare(
            sender,
            function.address,
            encode_call(function),
            value=value,
            gas=gas,
            what=str(function.fn_name),
            extra_gas=extra_gas,
        )

    def prepare_data(self, words: bytes, sender: Account) -> SignedTransaction:
        """Signs the creation of a data contract (see `deploy_data`) without sending; its receipt has the address."""
        creation = data_contract_creation(words)
        return self._sender.prepare(sender, None, creation, value=0, gas=None, what="deploying data")

    def remember(self, account: Account) -> None:
        """Lets `outbid` sign for an account whose transactions were prepared before this process began."""
        self._sender.remember(account)

    def outbid(self, transaction: SignedTransaction) -> SignedTransaction | None:
        """The same call with the same nonce and a higher fee, where fees rose above what it pays; else None.

        Signed and not sent: who saves it beside the first before `broadcast` finds whichever is mined.

        Raises:
            LedgerError: the node fails, or the fee is over the policy's.
        """
        return self._sender.outbid(transaction)

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
        try:
            self._diagnosis.check(transaction, raw)
            return parse_receipt(raw, len(transaction.data), self._abis)
        except ContractRejected:
            raise
        except LedgerError:
            self._sender.keep(transaction)  # a receipt that cannot be read settles nothing
            raise

    def transact_raw(self, to: str, data: bytes, sender: Account, gas: int | None = None, value: int = 0) -> Receipt:
        """Sends any calldata to an address; see `transact`."""
        return self.wait(self._sender.send(sender, to, data, value=value, gas=gas, what="a transaction"))

    def fee_per_gas(self) -> int:
        """The most wei that a transaction sent now offers for each gas: its sender must hold that much."""
        return self._sender.fee_per_gas()

    def transfer(self, sender: Account, to: str, wei: int) -> Receipt:
        """Sends money."""
        return self.transact_raw(to, b"", sender, value=wei)

    # -- inside --

    def _artifact(self, artifact: str | Artifact) -> Artifact:
        found = load_artifact(artifact) if isinstance(artifact, str) else artifact
        self._abis.add(found)
        return found

    def _call(self, to: str, data: bytes, sender: Account | str | None, block: int | None, what: str) -> bytes:
        request = {"to": to_checksum_address(to), "data": hex_data(data)}
        if sender is not None:
            request["from"] = sender.address if isinstance(sender, Account) else to_checksum_address(sender)
        try:
            answer = self.rpc.request("eth_call", request, block_tag(block))
        except RpcError as error:
            raise self._diagnosis.meaning(error, what) from error
        return parse_data(answer, "the result of a call")

    def _create(self, creation: bytes, sender: Account, gas: int | None, value: int, what: str) -> ChecksumAddress:
        receipt = self.wait(self._sender.send(sender, None, creation, value=value, gas=gas, what=what))
        if receipt.contract_address is None:
            raise LedgerError(f"transaction {receipt.tx_hash} made no contract")
        self._deployments[receipt.contract_address] = receipt
        return receipt.contract_address
