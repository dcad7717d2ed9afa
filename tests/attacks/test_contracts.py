"""Attacks on the contracts: lines 18 to 21 of the table in docs/security.md.

Leaders who lie, starved calls and chains without a precompile are in the files of forgeries.
"""

from __future__ import annotations

from typing import Any

import pytest
from web3.contract import Contract

from fedproof.errors import LedgerError
from fedproof.ledger import load_artifact
from fedproof.ledger.federation import Stage
from tests.attacks.conftest import Waiting
from tests.attacks.trying import DONE, tried, tried_raw
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import calldata
from tests.contracts.support import rejects

pytestmark = pytest.mark.xdist_group("attacks on contracts")

CONTRACTS = (
    "AccessToken", "Committee", "DatasetRegistry", "DatasetSales", "Federation", "KeyEscrow", "NoteVault", "RoundJudge",
    "RoundParts",
)  # fmt: skip


# 18

OF_NOBODY_IN_PARTICULAR = {
    "AccessToken.approve",  # of one's own tokens
    "AccessToken.transfer",  # of none
    "AccessToken.transferFrom",  # of none
    "DatasetRegistry.setApprovalForAll",  # of one's own datasets
    "Committee.multicall",  # of no calls
}
"""What a stranger may call with nothing in hand, and why it is no harm."""


def zero_of(kind: dict[str, Any], task: int) -> Any:
    """An argument of nothing: zeros, and the address and task of somebody else."""
    text = kind["type"]
    if text.endswith("]"):
        head, _, count = text[:-1].rpartition("[")
        return [zero_of({**kind, "type": head}, task) for _ in range(int(count or 0))]
    if text == "tuple":
        return tuple(zero_of(part, task) for part in kind["components"])
    if text == "address":
        return "0x" + "11" * 20
    if text.startswith("bytes"):
        return bytes(int(text[5:] or 0))
    return {"bool": False, "string": ""}.get(text, task if kind["name"] == "task" else 0)


def test_a_stranger_with_nothing_in_hand_changes_nothing(waiting: Waiting) -> None:
    """Each function that can change the state, of each contract, while a round waits for its leader."""
    arena, world = waiting.arena, waiting.arena.world
    market, federation = world.market, arena.federation
    contracts: dict[str, Contract] = {
        "AccessToken": market.token, "DatasetRegistry": market.registry, "NoteVault": market.vault.contract,
        "KeyEscrow": market.escrow.contract, "DatasetSales": market.sales.contract,
        "Federation": federation.contract, "Committee": arena.committee.contract,
    }  # fmt: skip
    passed, count = set(), 0
    for name, contract in contracts.items():
        for entry in contract.abi:
            if entry["type"] != "function" or entry["stateMutability"] in ("view", "pure"):
                continue
            count += 1
            arguments = [zero_of(dict(kind), waiting.task.task_id) for kind in entry["inputs"]]
            call = contract.get_function_by_signature(_signature(entry))(*arguments)
            try:
                arena.chain.call(call, sender=arena.outsider)
            except LedgerError:
                continue
            passed.add(f"{name}.{entry['name']}")
    assert count > 40
    assert passed <= OF_NOBODY_IN_PARTICULAR, passed - OF_NOBODY_IN_PARTICULAR


def _signature(entry: Any) -> str:
    def kind(part: Any) -> str:
        if not part["type"].startswith("tuple"):
            return str(part["type"])
        return f"({','.join(kind(each) for each in part['components'])}){part['type'][5:]}"

    return f"{entry['name']}({','.join(kind(part) for part in entry['inputs'])})"


@pytest.mark.parametrize("name", CONTRACTS)
def test_nobody_can_pause_upgrade_or_initialise_again(name: str) -> None:
    functions = {entry["name"].lower() for entry in load_artifact(name).abi if entry["type"] == "function"}
    for word in ("pause", "upgrade", "initiali", "destroy", "delegate", "mintto", "setkey", "proxy"):
        assert not [function for function in functions if word in function]
    owned = {"transferownership", "acceptownership", "renounceownership"} & functions
    assert not owned or name == "DatasetRegistry"  # whose owner registers and closes classes, and nothing else


def test_a_deadline_is_the_first_block_that_is_too_late(ours: Arena) -> None:
    """One before, at and after the end of the submissions, and the same of the freeze."""
    task = ours.running(2, submit_blocks=6, freeze_blocks=5)
    updates = ours.prove_all(task)
    ours.chain.wait_until_block(task.deadline - 2)
    ours.submit(task, ours.players[0], updates[0])  # in the last block
    assert ours.chain.block_number() == task.deadline - 1
    late = ours.federation.submit_update_call(task, updates[1])
    for _ in range(2):  # at the deadline, and one after it
        assert tried(ours.chain, late, ours.players[1].account) == "WrongStage"
        ours.chain.mine()
    ours.chain.wait_until_block(task.freeze_at)
    assert ours.now(task).stage == Stage.FAILED
    assert tried(ours.chain, late, ours.players[1].account) == "WrongStage"


# 19


def test_no_reward_pays_more_than_its_pool_and_the_dust_comes_back(ours: Arena) -> None:
    """101 units for 20 and 23 rows: two a row, and 15 are dust."""
    task = ours.running(2, rounds=1, reward_per_round=101, enrol_bond=BOND)
    rows = [player.rows for player in ours.players[:2]]
    assert rows == [20, 23]
    sponsor, holds = ours.balance(ours.sponsor), ours.balance(ours.federation.address)
    ours.play_round(task)
    paid = [ours.federation.claim(player.account, task.task_id) for player in ours.players[:2]]
    assert [each.reward for each in paid] == [40, 46]
    assert [each.bond for each in paid] == [BOND, BOND]
    with rejects("NothingToClaim"):
        ours.federation.claim(ours.players[0].account, task.task_id)
    assert ours.federation.refund(ours.outsider, task.task_id) == 15
    assert ours.balance(ours.sponsor) == sponsor + 15
    assert ours.balance(ours.federation.address) == holds - 101 - 2 * BOND


# 20


def test_what_a_round_loops_over_is_bounded_when_its_task_is_opened(ours: Arena) -> None:
    many = [(f"0x{k:040x}", bytes([k % 256]) * 32) for k in range(1, 66)]
    for changes in (
        {"rounds": 1025, "mask_count": 1026},
        {"committee": many},
        {"threshold": 32, "committee": many[:64]},
    ):
        with rejects("BadParameter"):
            ours.open_task(**changes)
    entry = next(each for each in load_artifact("Federation").abi if each.get("name") == "openTask")
    kinds = {each["name"]: each["type"] for each in entry["inputs"][0]["components"]}
    assert kinds["maxParticipants"] == "uint8"  # a bit of one word for each, and one free


def test_a_round_that_nobody_settles_is_settled_by_anyone_and_pays(waiting: Waiting) -> None:
    """A leader who withholds the sum keeps nobody's reward, and the sponsor takes nothing back before."""
    arena, task = waiting.arena, waiting.task
    functions = arena.federation.contract.functions
    assert tried(arena.chain, functions.closeTask(task.task_id), arena.sponsor) == "WrongStage"
    arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
    arena.federation.settle_stalled(arena.outsider, task.task_id)
    total = sum(player.rows for player in arena.players[:3])
    paid = arena.federation.claim(arena.players[1].account, task.task_id)
    assert paid.reward == task.params.reward_per_round // total * arena.players[1].rows
    assert paid.bond == BOND


# 21


def test_only_a_worker_finalizes_and_only_what_was_submitted(waiting: Waiting) -> None:
    arena, task, updates = waiting
    honest = arena.aggregate(task, arena.workers[0], updates)
    call = arena.federation.finalize_round_call(task, updates, honest)
    for account in (arena.outsider, arena.sponsor, arena.players[0].account):
        assert tried(arena.chain, call, account) == "NotAllowed"
    junk = bytearray(calldata(call))
    for at in range(4 + 32 * 22, len(junk), 32 * 5 + 7):
        changed = bytearray(junk)
        changed[at] ^= 0x40
        outcome = tried_raw(arena.chain, arena.federation.address, bytes(changed), arena.workers[0])
        assert outcome in ("WrongOpening", "WrongOrder", "reverted without a reason")
    assert tried(arena.chain, call, arena.workers[0]) == DONE
