"""A node's journal and loop over a chain that is stopped, exchanged and slow."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from web3.contract import Contract

from fedproof.errors import FedproofError, LedgerError, StateError
from fedproof.ledger import Account, Chain
from fedproof.ledger.anchor import NO_ANCHOR, anchor
from fedproof.ledger.view import View
from fedproof.nodes import journal as journal_module
from fedproof.nodes.journal import Journal
from fedproof.nodes.loop import Loop

SUPPLY = 10**24


@pytest.fixture
def chain() -> Chain:
    return Chain.embedded()


@pytest.fixture
def sender(chain: Chain) -> Account:
    return chain.new_account("sender")


@pytest.fixture
def token(chain: Chain, sender: Account) -> Contract:
    return chain.deploy("AccessToken", SUPPLY, sender=sender)


def pay(chain: Chain, token: Contract, sender: Account, amount: int) -> str:
    return chain.transact(token.functions.transfer("0x" + "11" * 20, amount), sender).tx_hash


def test_reads_each_event_once_also_in_another_process(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    start = chain.block_number()
    hashes = [pay(chain, token, sender, k) for k in range(3)]
    with Journal(path, chain.chain_id) as journal:
        assert journal.cursor == -1
        assert journal.advance(chain, [token], start + 2) == 0
        assert [each.tx_hash for each in journal.pending() if each.block > start] == hashes[:2]
        journal.handled(journal.pending())
    with Journal(path, chain.chain_id) as journal:
        assert (journal.cursor, journal.pending()) == (start + 2, [])
        journal.advance(chain, [token], chain.block_number())
        assert [each.tx_hash for each in journal.pending()] == hashes[2:]
        journal.advance(chain, [token], chain.block_number())
        assert len(journal.pending()) == 1
    assert path.stat().st_mode & 0o077 == 0


def test_goes_back_when_blocks_are_exchanged(chain: Chain, token: Contract, sender: Account, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        kept = pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        snapshot, agreed = chain.dev.snapshot(), chain.block_number()
        lost = [pay(chain, token, sender, k) for k in (2, 3)]
        journal.advance(chain, [token], chain.block_number())
        journal.handled(journal.pending())
        chain.dev.revert(snapshot)
        chain.dev.set_next_timestamp(chain.timestamp() + 100)  # other blocks
        found = [pay(chain, token, sender, k) for k in (4, 3, 5)]
        assert journal.advance(chain, [token], chain.block_number()) == 2
        assert journal.cursor == agreed + 3
        pending = [each.tx_hash for each in journal.pending()]
        assert pending == found
        assert not set(pending) & {kept, *lost[:1]}


def test_finds_its_way_back_from_the_first_reading(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        chain.mine(journal_module.UNDO_DEPTH)
        snapshot, agreed = chain.dev.snapshot(), chain.block_number()
        pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        chain.dev.revert(snapshot)
        chain.dev.set_next_timestamp(chain.timestamp() + 100)  # other blocks
        found = pay(chain, token, sender, 2)
        assert journal.advance(chain, [token], agreed + 1) > 0
        assert journal.pending()[-1].tx_hash == found


def test_keeps_a_block_to_go_back_to_however_far_it_reads_at_once(chain: Chain, tmp_path: Path) -> None:
    depth = journal_module.UNDO_DEPTH
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        for step in (1, depth - 1, 3, depth, 2 * depth + 5, 1):
            chain.mine(step)
            journal.advance(chain, [], chain.block_number())
            oldest = journal._db.execute("SELECT min(number) FROM blocks").fetchone()[0]
            anchor = max(0, journal.cursor - depth)
            assert anchor - depth <= oldest <= anchor


def test_a_node_that_is_behind_is_no_chain_that_took_blocks_back(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        snapshot = chain.dev.snapshot()
        pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        journal.handled(journal.pending())
        cursor = journal.cursor
        chain.dev.revert(snapshot)
        with pytest.raises(LedgerError, match="behind, or stale"):
            journal.advance(chain, [token], chain.block_number())
        assert (journal.cursor, journal.pending()) == (cursor, [])


def test_a_chain_that_is_another_is_not_followed(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, chain.chain_id) as journal:
        pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        other = Chain.embedded(timestamp=chain.timestamp() + 1)
        other.mine(20)
        with pytest.raises(LedgerError, match="another chain"):
            journal.advance(other, [token], 5)
        stale = Chain.embedded()
        with pytest.raises(LedgerError, match=r"another chain|no block"):
            journal.advance(stale, [token], 0)
    with pytest.raises(StateError, match="is of chain"):
        Journal(path, 1)
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(StateError, match="move it away"):
        Journal(path, chain.chain_id)


def test_an_interrupted_reading_changes_nothing(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        pay(chain, token, sender, 1)
        real, calls = journal_module.get_logs, []

        def once(*arguments: object) -> object:
            calls.append(1)
            if len(calls) == 1:
                raise LedgerError("busy")
            return real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(journal_module, "get_logs", once)
        with pytest.raises(LedgerError, match="busy"):
            journal.advance(chain, [token], chain.block_number())
        assert journal.cursor == -1
        journal.advance(chain, [token], chain.block_number())
        with pytest.raises(LedgerError, match="no block 999"):
            journal.advance(chain, [token], 999)


def test_a_full_disk_is_said_and_nothing_is_half_written(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, chain.chain_id) as journal:
        pay(chain, token, sender, 1)
        journal._db.execute("PRAGMA max_page_count = 1")
        size = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {size}")
        for _ in range(200):
            pay(chain, token, sender, 1)
        with pytest.raises(StateError, match="free space"):
            journal.advance(chain, [token], chain.block_number())
        assert (journal.cursor, journal.pending()) == (-1, [])
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_view_reads_at_its_block_and_sends_nothing(chain: Chain, token: Contract, sender: Account) -> None:
    view = View.of(chain)
    before = chain.block_number()
    pay(chain, token, sender, 5)
    view.move_to(before)
    call = token.functions.balanceOf("0x" + "11" * 20)
    assert (view.block_number(), view.call(call), chain.call(call)) == (before, 0, 5)
    assert view.timestamp() == chain.timestamp(before)
    assert view.events(token, "Transfer", before) == chain.events(token, "Transfer", before, before)
    with pytest.raises(LedgerError, match="more than reading"):
        view.transact(token.functions.transfer(sender.address, 1), sender)
    view.move_to(chain.block_number())
    assert view.call(call) == 5


class Changed:
    """A chain's node whose answers are changed."""

    url = "x"

    def __init__(self, chain: Chain, change: Callable[[str, Any], Any]) -> None:
        self._real, self._change = chain.rpc, change
        self.asked: Counter[str] = Counter()
        chain.rpc = self

    def request(self, method: str, *params: Any) -> Any:
        self.asked[method] += 1
        return self._change(method, self._real.request(method, *params))


def test_a_log_that_comes_twice_is_read_once(chain: Chain, token: Contract, sender: Account, tmp_path: Path) -> None:
    pay(chain, token, sender, 1)
    once = len(chain.rpc.request("eth_getLogs", {"address": token.address, "fromBlock": "0x0", "toBlock": "latest"}))
    Changed(chain, lambda method, found: 2 * found if method == "eth_getLogs" else found)
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        journal.advance(chain, [token], chain.block_number())
        assert len(journal.pending()) == once > 0


@pytest.mark.parametrize("other", [{"transactionHash": "0x" + "00" * 32}, {"logIndex": hex(1 << 63)}])
def test_logs_that_contradict_each_other_are_asked_for_again(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path, other: dict[str, str]
) -> None:
    pay(chain, token, sender, 1)
    real = chain.rpc
    Changed(chain, lambda method, found: [*found, found[-1] | other] if method == "eth_getLogs" else found)
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        for _ in range(2):
            with pytest.raises(LedgerError, match="contradicts itself"):
                journal.advance(chain, [token], chain.block_number())
        assert (journal.cursor, journal.pending()) == (-1, [])
        chain.rpc = real
        journal.advance(chain, [token], chain.block_number())
        assert journal.pending()


def test_who_is_far_behind_asks_for_few_blocks_and_keeps_what_was_read(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "UNDO_DEPTH", 3)
    monkeypatch.setattr(journal_module, "CHUNK", 10)
    start = chain.block_number() + 1
    paid = [pay(chain, token, sender, k) for k in range(45)]
    searches: list[int] = []

    def fail(method: str, found: Any) -> Any:
        if method == "eth_getLogs":
            searches.append(1)
            if len(searches) == 3:
                raise LedgerError("busy")
        return found

    node = Changed(chain, fail)
    with Journal(tmp_path / "journal.db", chain.chain_id, start) as journal:
        with pytest.raises(LedgerError, match="busy"):
            journal.advance(chain, [token], start + 44)
        assert (journal.cursor, len(journal.pending())) == (start + 19, 20)
        journal.advance(chain, [token], start + 44)
        assert [each.tx_hash for each in journal.pending()] == paid
        assert node.asked["eth_getBlockByNumber"] < 6 * len(searches) < 45  # not one for each block that had events
        assert [journal.hash_of(start + k) is not None for k in (41, 42, 43, 44)] == [True] * 4


def test_blocks_that_were_taken_back_are_told_of_though_the_node_fails_then(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    with Journal(tmp_path / "journal.db", chain.chain_id) as journal:
        chain.mine(1)
        journal.advance(chain, [token], chain.block_number())
        snapshot = chain.dev.snapshot()
        pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        chain.dev.revert(snapshot)
        chain.dev.set_next_timestamp(chain.timestamp() + 100)  # other blocks
        chain.mine(1)
        real = chain.rpc

        def busy(method: str, found: Any) -> Any:
            if method == "eth_getLogs":
                raise LedgerError("busy")
            return found

        Changed(chain, busy)
        with pytest.raises(LedgerError, match="busy"):
            journal.advance(chain, [token], chain.block_number())
        chain.rpc = real
        assert [journal.advance(chain, [token], chain.block_number()) for _ in range(2)] == [1, 0]


class Recorder:
    """A role and a watcher that remember what they were asked and told."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self.contracts = contracts
        self.steps: list[int] = []
        self.events: list[int] = []
        self.errors: list[FedproofError] = []
        self.gone: list[int] = []
        self.wake: int | None = None
        self.fail: FedproofError | None = None

    def step(self, block: int) -> int | None:
        self.steps.append(block)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        return self.wake

    def undone(self, blocks: int) -> None:
        self.gone.append(blocks)

    def progress(self, block: int, head: int, events: int) -> None:
        assert block <= head
        self.events.append(events)

    def failed(self, error: FedproofError, pause: float) -> None:
        assert pause > 0
        self.errors.append(error)


def loop_over(chain: Chain, token: Contract, folder: Path, confirmations: int = 0) -> tuple[Loop, Recorder]:
    role = Recorder([token])
    journal = Journal(folder / "journal.db", chain.chain_id, chain.block_number() + 1)
    return Loop(chain, View.of(chain), journal, role, role, confirmations), role


def test_a_step_is_taken_at_the_start_after_events_and_when_due(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    loop, role = loop_over(chain, token, tmp_path)
    assert loop.once()
    assert not loop.once()
    chain.mine(3)
    assert not loop.once()
    pay(chain, token, sender, 1)
    role.wake = chain.block_number() + 2
    assert loop.once()
    chain.mine(1)
    assert not loop.once()
    chain.mine(1)
    assert loop.once()
    assert role.events[-1] == 0
    assert role.steps[-1] == chain.block_number()


def test_a_step_below_the_head_names_the_block_as_the_journal_knew_it(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    loop, role = loop_over(chain, token, tmp_path, confirmations=2)
    chain.mine(5)
    loop.once()
    number = chain.block_number() - 2
    block_hash = chain.rpc.request("eth_getBlockByNumber", hex(number), False)["hash"]
    assert loop.view.anchor == anchor(number, bytes.fromhex(block_hash[2:]))
    assert (chain.anchor, role.steps[-1]) == (NO_ANCHOR, number)
    loop.view.move_to(number)
    assert loop.view.anchor == NO_ANCHOR


def test_a_node_whose_head_fell_is_waited_for(chain: Chain, token: Contract, tmp_path: Path) -> None:
    """Its blocks are still there, but one of them is not kept: what is sent by it would name no branch."""
    loop, role = loop_over(chain, token, tmp_path, confirmations=3)
    assert not loop.once()  # the contract is not so deep yet
    chain.mine(20)
    snapshot = chain.dev.snapshot()
    chain.mine(1)
    role.fail = LedgerError("slow")
    with pytest.raises(LedgerError, match="slow"):
        loop.once()
    chain.dev.revert(snapshot)
    with pytest.raises(LedgerError, match="behind, or stale"):
        loop.once()
    chain.mine(1)
    assert loop.once()
    assert len(role.steps) == 2
    assert loop.view.anchor != NO_ANCHOR


@pytest.mark.parametrize("confirmations", [0, 200])
def test_a_step_at_the_head_or_far_below_names_no_block(
    chain: Chain, token: Contract, tmp_path: Path, confirmations: int
) -> None:
    loop, _ = loop_over(chain, token, tmp_path, confirmations)
    chain.mine(205)
    loop.once()
    assert loop.view.anchor == NO_ANCHOR


def test_a_step_that_failed_is_due_again_with_its_events(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    loop, role = loop_over(chain, token, tmp_path)
    loop.once()
    pay(chain, token, sender, 1)
    role.fail = LedgerError("slow")
    with pytest.raises(LedgerError, match="slow"):
        loop.once()
    assert loop.once()
    assert role.events[-1] == 1
    assert not loop.once()


def test_what_is_not_deep_enough_is_not_seen(chain: Chain, token: Contract, sender: Account, tmp_path: Path) -> None:
    loop, role = loop_over(chain, token, tmp_path, confirmations=3)
    loop.once()
    pay(chain, token, sender, 1)
    chain.mine(2)
    assert not loop.once()
    chain.mine(1)
    assert loop.once()
    assert role.steps[-1] == chain.block_number() - 3
    assert loop.view.block_number() == chain.block_number() - 3


def test_a_chain_that_takes_blocks_back_is_told_to_the_role(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path
) -> None:
    loop, role = loop_over(chain, token, tmp_path)
    chain.mine(1)
    loop.once()
    snapshot = chain.dev.snapshot()
    pay(chain, token, sender, 1)
    loop.once()
    chain.dev.revert(snapshot)
    chain.dev.set_next_timestamp(chain.timestamp() + 100)
    chain.mine(2)
    assert loop.once()
    assert role.gone == [1, 1]  # the watcher and the role are one here


def test_the_loop_goes_on_over_errors_of_chain_and_store_and_ends_at_those_of_its_state(
    chain: Chain, token: Contract, tmp_path: Path
) -> None:
    loop, role = loop_over(chain, token, tmp_path)
    errors: list[FedproofError] = [LedgerError("1"), LedgerError("2"), StateError("3")]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        role.fail = errors.pop(0) if errors else None

    role.fail = errors.pop(0)
    loop.pause = pause
    with pytest.raises(StateError, match="3"):
        loop.run()
    assert [str(error) for error in role.errors] == ["1", "2"]
    assert 0.25 <= pauses[0] <= 0.75
    assert 0.5 <= pauses[1] <= 1.5
    loop.stop.set()
    loop.run()


def test_forgets_handled_events_that_can_no_longer_be_undone(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "UNDO_DEPTH", 3)
    path = tmp_path / "journal.db"
    with Journal(path, chain.chain_id) as journal:
        for k in range(8):
            pay(chain, token, sender, k)
            journal.advance(chain, [token], chain.block_number())
            journal.handled(journal.pending()[:1])
    db = sqlite3.connect(path)
    kept = [row[0] for row in db.execute("SELECT block FROM events WHERE handled = 1")]
    db.close()
    assert kept
    assert min(kept) >= chain.block_number() - 5


@pytest.mark.parametrize("use", ["cursor", "hash", "pending", "handled"])
def test_a_damaged_file_is_named_wherever_it_is_noticed(
    chain: Chain, token: Contract, sender: Account, tmp_path: Path, use: str
) -> None:
    """Whatever reads or writes it then ends the node with one line that says what to do; nothing is tried for ever."""
    path = tmp_path / "journal.db"
    with Journal(path, chain.chain_id) as journal:
        pay(chain, token, sender, 1)
        journal.advance(chain, [token], chain.block_number())
        entries = journal.pending()
    whole, starts, uses = path.read_bytes(), list[str](), list[str]()
    for page in range(4096, len(whole), 4096):
        path.write_bytes(whole[:page] + b"\xff" * 4096 + whole[page + 4096 :])
        said = starts
        try:
            with Journal(path, chain.chain_id) as journal:
                said = uses
                {
                    "cursor": lambda journal=journal: journal.cursor,
                    "hash": lambda journal=journal: journal.hash_of(0),
                    "pending": journal.pending,
                    "handled": lambda journal=journal: journal.handled(entries),
                }[use]()
        except StateError as error:
            said.append(str(error))
    assert uses
    assert all(each.endswith("move it away, it is made again from the chain") for each in starts + uses)
