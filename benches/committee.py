"""What one worker does in a round: open and check its shares, sum, seal its output to all, check the outputs of others,
and reconstruct. Proofs of training are checked apart (`proofs.py`): their cost does not depend on the parameters.

    .venv/bin/python benches/committee.py
"""

from __future__ import annotations

import time

import numpy as np
from _measure import Figure, options, show

from fedproof import _core
from fedproof.proving.r1cs import FrArray
from fedproof.sealing import KeyPair, open_sealed, seal
from fedproof.sharing import (
    Output,
    ReceivedShare,
    Share,
    Sharing,
    check_output,
    check_shares,
    info_for_output,
    info_for_share,
    reconstruct,
    share_commitment,
    split,
    weighted_sum,
)

WORKERS, THRESHOLD = 3, 1
PRE = bytes(32)


def update_of(parameters: int, seed: int) -> FrArray:
    """Small values, as updates are, and a blinding at the end."""
    values = np.random.default_rng(seed).integers(-(1 << 20), 1 << 20, parameters)
    return np.concatenate([_core.fr_from_i64(values), _core.fr_random(1)])


def work(parameters: int, participants: int, srs: _core.Srs) -> tuple[float, float]:
    """Seconds of one worker, and of one participant for sharing and sealing."""
    keys = [KeyPair.generate() for _ in range(WORKERS)]
    started = time.perf_counter()
    sharings = [split(update_of(parameters, k), THRESHOLD, WORKERS, srs) for k in range(participants)]
    sealed = [
        [
            seal(key.public, share.encode(), info_for_share(PRE, share.index))
            for key, share in zip(keys, each.shares, strict=True)
        ]
        for each in sharings
    ]
    sharing = (time.perf_counter() - started) / participants
    commitments = [srs.commit(update_of_sharing(each)) for each in sharings]
    rows, length = list(range(64, 64 + participants)), parameters + 1

    def own_output(index: int) -> Output:
        received = []
        for number, each in enumerate(sharings):
            plain = open_sealed(keys[index - 1], sealed[number][index - 1], info_for_share(PRE, index))
            share = Share.decode(plain, index=index, length=length)
            commitment = share_commitment(commitments[number], each.commitments_r, index)
            received.append(ReceivedShare(str(number), share, commitment))
        check_shares(received, srs)
        return weighted_sum([each.share for each in received], rows)

    others = {
        index: seal(keys[0].public, own_output(index).encode(), info_for_output(PRE, index))
        for index in range(2, WORKERS + 1)
    }
    started = time.perf_counter()
    mine = own_output(1)
    for key in keys:
        seal(key.public, mine.encode(), info_for_output(PRE, 1))
    outputs = [mine]
    for index, blob in others.items():
        output = Output.decode(open_sealed(keys[0], blob, info_for_output(PRE, index)), index=index, length=length)
        check_output(output, commitments, [each.commitments_r for each in sharings], rows, srs)
        outputs.append(output)
    reconstruct(outputs, THRESHOLD)
    return time.perf_counter() - started, sharing


def update_of_sharing(sharing: Sharing) -> FrArray:
    """The update at x = 0."""
    return reconstruct([Output(share.index, share.values) for share in sharing.shares], THRESHOLD)


def main() -> None:
    """Measure."""
    chosen = options("a worker's round", repeat=3)
    large = Figure("worker, 100,000 parameters, 10 participants, 3 workers", "s", at_most=10)
    client = Figure("participant, sharing and sealing 100,000 parameters", "s")
    srs = _core.Srs.generate(100_001, [])
    for _ in range(chosen.repeat):
        seconds, sharing = work(100_000, 10, srs)
        large.samples.append(seconds)
        client.samples.append(sharing)
    figures = [large, client]
    for participants in (10, 50, 100, 200):
        each = Figure(f"worker, 1,000 parameters, {participants} participants: for each", "us")
        for _ in range(chosen.repeat):
            each.samples.append(1e6 * work(1_000, participants, srs)[0] / participants)
        figures.append(each)
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
