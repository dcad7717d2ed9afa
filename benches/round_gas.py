"""Gas of a whole round for 3 to 200 updates, by what it is spent on, on anvil under the rules of mainnet (Osaka).

    .venv/bin/python benches/round_gas.py

What the contract spends does not depend on the statements' size: the verifier sees public inputs, and points. So toy
statements with the public inputs and committed segments of the real ones are proven; every proof is real, and so is
every transaction. `gas_per_update` = (openRound + every submit + finalizeRound) / updates (protocol, section 7), with
verifyPart where there are more than 160; a task whose places are all taken has no openRound: its last enrolment opens
round 1, and what that takes more than the one before it is shown beside. The parts are read from traces: what a
transaction costs before it runs (base, calldata), what the curve's precompiles take, what storage and logs take, and
the rest.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

from _measure import Figure, options, show

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the arena is the contract tests'

from tests.contracts import toy, world  # noqa: E402
from tests.contracts.federation import arena as arenas  # noqa: E402
from tests.contracts.federation import toys  # noqa: E402
from tests.support.anvil import AnvilProcess  # noqa: E402

from fedproof import _core  # noqa: E402
from fedproof.ledger import Chain, Receipt  # noqa: E402
from fedproof.ledger.anchor import anchor  # noqa: E402
from fedproof.proving.circuit import compile_statement  # noqa: E402
from fedproof.proving.keys import Keys, setup  # noqa: E402

LIMITS = {3: 300_000, 10: 192_000, 30: None, 100: 150_000, 160: None, 200: None}
_CALLS = {6: "ecAdd", 7: "ecMul", 8: "pairing"}
_KINDS = {"SLOAD": "storage", "SSTORE": "storage", **{f"LOG{k}": "logs" for k in range(5)}}
COLUMNS = ("base", "calldata", "pairing", "ecMul", "ecAdd", "storage", "logs", "rest")


def steps(url: str, tx_hash: str) -> list[dict[str, Any]]:
    """The trace of a transaction, which is longer than a node's client would take."""
    options = {"disableStorage": True, "disableMemory": True}
    call = {"jsonrpc": "2.0", "id": 1, "method": "debug_traceTransaction", "params": [tx_hash, options]}
    request = urllib.request.Request(url, json.dumps(call).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        found: list[dict[str, Any]] = json.load(answer)["result"]["structLogs"]
    return found


def parts(chain: Chain, receipt: Receipt) -> dict[str, int]:
    """What a transaction spent its gas on, from its trace."""
    data = bytes.fromhex(chain.rpc.request("eth_getTransactionByHash", receipt.tx_hash)["input"][2:])
    spent = dict.fromkeys(COLUMNS, 0) | {"base": 21_000, "calldata": sum(16 if byte else 4 for byte in data)}
    for step, following in pairwise(steps(chain.rpc.url, receipt.tx_hash)):
        cost = step["gas"] - following["gas"]
        if step["op"] == "STATICCALL" and int(step["stack"][-2], 16) in _CALLS:
            spent[_CALLS[int(step["stack"][-2], 16)]] += cost
        elif step["op"] in _KINDS:
            spent[_KINDS[step["op"]]] += cost
    spent["rest"] = receipt.gas_used - sum(spent.values())
    return spent


def shared_keys() -> tuple[Keys, Keys]:
    """Keys of one phase 1, as those of a deployment: a round costs a pairing less."""
    dealer = _core.Dealer()
    return (
        setup(compile_statement(toys.ToyTraining()), toy.srs(), toy.MASK_POSITION, dealer=dealer),
        setup(compile_statement(toys.ToyAggregation()), toy.srs(), dealer=dealer),
    )


def measure(arena: arenas.Arena, participants: int) -> tuple[list[Figure], dict[str, dict[str, float]]]:
    """One round; the figure, and the parts of a submission and of the end, per update."""
    task = arena.open_task(max_participants=participants, submit_blocks=10 * participants)
    enrolled = [arena.enrol(task, player).gas_used for player in arena.players[:participants]]
    task, federation = arena.now(task), arena.federation
    submitted = []
    for player in arena.players[:participants]:
        head = arena.chain.rpc.request("eth_getBlockByNumber", "latest", False)
        seen = anchor(int(head["number"], 16), bytes.fromhex(head["hash"][2:]))  # as nodes do
        call = federation.submit_update_call(task, arena.prove(task, player), seen)
        submitted.append(arena.chain.transact(call, player.account))
    arena.freeze(task)
    task = arena.now(task)
    updates = federation.updates(task.task_id, task.round)
    ends = {"verifyPart": arena.verify_part(task)} if federation.needs_part(task, updates) else {}
    ends["finalizeRound"] = arena.finalize(task)
    total = sum(each.gas_used for each in [*submitted, *ends.values()])
    figure = Figure(f"gas per update, {participants} updates", "gas", [total / participants], LIMITS[participants])
    opening = (enrolled[-1] - enrolled[-2]) / participants
    opened = Figure(f"opening, in the last enrolment, {participants} updates", "gas per update", [opening])
    made = [parts(arena.chain, each) for each in submitted]
    table = {
        "submitUpdate": {name: sum(each[name] for each in made) / participants for name in COLUMNS},
    }
    for end, receipt in ends.items():
        table[end] = {name: value / participants for name, value in parts(arena.chain, receipt).items()}
    return [figure, opened], table


def main() -> None:
    """Measure."""
    chosen = options("gas of a round by its number of updates", repeat=1)
    figures, tables = [], {}
    with AnvilProcess("--steps-tracing", "--balance", "1000000") as anvil, Chain.connect(anvil.url) as chain:
        arena = arenas.build(world.build(chain), max(LIMITS))
        arena.training_keys, arena.aggregation_keys = shared_keys()
        for participants in LIMITS:
            made, tables[participants] = measure(arena, participants)
            figures += made
    show(figures, chosen.json)
    if chosen.json:
        print(json.dumps({str(size): table for size, table in tables.items()}, indent=2))
        return
    print(f"\n| updates | transaction | all | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 3)}")
    for participants, table in tables.items():
        for name, spent in table.items():
            row: list[Any] = [participants, name, f"{sum(spent.values()):,.0f}"]
            print(f"| {' | '.join(map(str, [*row, *(f'{spent[column]:,.0f}' for column in COLUMNS)]))} |")


if __name__ == "__main__":
    main()
