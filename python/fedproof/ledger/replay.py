"""Checks an exported run: by running it again, or against the chain it was made on."""

from __future__ import annotations

import json
from pathlib import Path

from fedproof.errors import AuditError, InputError
from fedproof.ledger.chain import Chain
from fedproof.ledger.embedded import Genesis
from fedproof.ledger.export import collect_block
from fedproof.ledger.record import BlockRecord, ChainRecord
from fedproof.ledger.rpc import RpcError, hex_data
from fedproof.storage.folders import open_plain


def replay(export: object) -> Chain:
    """Runs an export of an embedded chain again on a fresh one, and returns that.

    Every transaction is executed at its time; every receipt and block hash must come out the same.

    Raises:
        AuditError: the export is malformed, or names the first transaction or block that comes out otherwise.
        InputError: the export is of a chain that cannot be run again: use `check_export`.
    """
    record = ChainRecord.from_json(export)
    if record.genesis is None:
        raise InputError("only an embedded chain can be run again: check this export against its chain instead")
    genesis = _genesis(record)
    if not record.blocks or record.blocks[0].number != 0:
        raise AuditError("the export does not begin with the genesis block")
    chain = Chain.embedded(genesis)
    record.blocks[0].check(collect_block(chain.rpc, 0))
    chain.rpc.request("evm_setAutomine", False)
    for block in record.blocks[1:]:
        _run(chain, block)
        block.check(collect_block(chain.rpc, block.number))
    chain.rpc.request("evm_setAutomine", True)
    return chain


def replay_file(path: Path) -> Chain:
    """Runs the export of an embedded chain in a file again: where the file is the chain's own, and no evidence.

    Raises:
        InputError: the file cannot be read, or does not hold such an export from end to end.
    """
    try:
        with open_plain(path) as file:
            export = json.loads(file.read())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; restore it") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} cannot be read; restore it") from None
    try:
        return replay(export)
    except AuditError as error:
        raise InputError(f"{path} is damaged; restore it: {error}") from None


def check_export(export: object, chain: Chain) -> None:
    """Passes an export whose blocks, transactions and receipts are those of `chain`.

    Raises:
        AuditError: the export is malformed, of another chain, or names the first transaction or block that differs.
    """
    record = ChainRecord.from_json(export)
    if record.chain_id != chain.chain_id:
        raise AuditError(f"the export is of chain {record.chain_id}, this is chain {chain.chain_id}")
    height = chain.block_number()
    for block in record.blocks:
        if block.number > height:
            raise AuditError(f"block {block.number} of the export is not on the chain, which ends at {height}")
        block.check(collect_block(chain.rpc, block.number, record.addresses))


def _genesis(record: ChainRecord) -> Genesis:
    given = dict(record.genesis or {})
    try:
        genesis = Genesis(
            chain_id=record.chain_id,
            timestamp=given["timestamp"],
            block_interval=given["blockInterval"],
            gas_limit=given["gasLimit"],
        )
    except (KeyError, InputError) as error:
        raise AuditError(f"the export's genesis is malformed: {error}") from error
    if genesis.to_json() != given:
        raise AuditError("the export's genesis is not one of this version: its fork, fees or allocation differ")
    return genesis


def _run(chain: Chain, block: BlockRecord) -> None:
    try:
        chain.rpc.request("evm_setNextBlockTimestamp", hex(block.timestamp))
    except RpcError as error:
        raise AuditError(f"block {block.number} is not later than the one before it") from error
    for transaction in block.transactions:
        try:
            chain.rpc.request("eth_sendRawTransaction", hex_data(transaction.raw))
        except RpcError as error:
            where = f"transaction {transaction.hash} in block {block.number}"
            raise AuditError(f"{where} cannot be executed: {error.detail}") from error
    chain.mine()
