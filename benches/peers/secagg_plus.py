"""One round of Flower's SecAgg+ in one process, with the primitives that its client and server use; prints JSON.

    PYTHON benches/peers/secagg_plus.py PARAMETERS PARTICIPANTS REPEAT

It runs in an interpreter that has flwr, which fedproof never installs. All participants are neighbours, six shares of
ten rebuild a secret, nobody drops out, and nothing is sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
from flwr.common.secure_aggregation.crypto.shamir import (  # type: ignore[import-not-found]
    combine_shares,
    create_shares,
)
from flwr.common.secure_aggregation.crypto.symmetric_encryption import (  # type: ignore[import-not-found]
    decrypt,
    encrypt,
    generate_shared_key,
)
from flwr.common.secure_aggregation.ndarrays_arithmetic import (  # type: ignore[import-not-found]
    parameters_addition,
    parameters_mod,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import dequantize, quantize  # type: ignore[import-not-found]
from flwr.common.secure_aggregation.secaggplus_utils import (  # type: ignore[import-not-found]
    pseudo_rand_gen,
    share_keys_plaintext_concat,
    share_keys_plaintext_separate,
)
from flwr.supercore.primitives.asymmetric import (  # type: ignore[import-not-found]
    generate_key_pairs,
    private_key_to_bytes,
)

CLIP, TARGET, MODULUS = 8.0, 1 << 22, 1 << 32


def play(parameters: int, participants: int) -> tuple[float, float]:
    """Seconds of one participant, and of the server."""
    people = range(participants)
    threshold = participants // 2 + 1
    updates = [[np.random.default_rng(k).normal(0, 0.1, parameters)] for k in people]
    started = time.perf_counter()
    masking, sharing = ([generate_key_pairs() for _ in people] for _ in range(2))
    seeds = [os.urandom(32) for _ in people]
    boxes: list[list[bytes]] = [[b""] * participants for _ in people]
    keys = [[generate_shared_key(sharing[k][0], sharing[j][1]) if j != k else b"" for j in people] for k in people]
    for k in people:
        of_seed = create_shares(seeds[k], threshold, participants)
        of_key = create_shares(private_key_to_bytes(masking[k][0]), threshold, participants)
        for j in people:
            plain = share_keys_plaintext_concat(k, j, of_seed[j], of_key[j])
            boxes[j][k] = encrypt(keys[k][j], plain) if j != k else plain
    masked, held = [], []
    for k in people:
        opened = [decrypt(keys[k][j], boxes[k][j]) if j != k else boxes[k][j] for j in people]
        held.append([share_keys_plaintext_separate(plain)[2] for plain in opened])
        vector = quantize(updates[k], CLIP, TARGET)
        shapes = [part.shape for part in vector]
        vector = parameters_addition(vector, pseudo_rand_gen(seeds[k], MODULUS, shapes))
        for j in people:
            if j != k:
                mask = pseudo_rand_gen(generate_shared_key(masking[k][0], masking[j][1]), MODULUS, shapes)
                vector = (parameters_addition if k > j else parameters_subtraction)(vector, mask)
        masked.append(parameters_mod(vector, MODULUS))
    client = (time.perf_counter() - started) / participants
    started = time.perf_counter()
    total = masked[0]
    for vector in masked[1:]:
        total = parameters_addition(total, vector)
    for k in people:
        seed = combine_shares([held[j][k] for j in people][:threshold])
        total = parameters_subtraction(total, pseudo_rand_gen(seed, MODULUS, [part.shape for part in total]))
    found = dequantize(parameters_mod(total, MODULUS), CLIP, TARGET)[0] - (participants - 1) * CLIP
    server = time.perf_counter() - started
    expected = np.sum([update[0] for update in updates], axis=0)
    assert np.abs(found - expected).max() < 1e-3, "the sum is another one"
    return client, server


def main() -> None:
    """Measure."""
    parameters, participants, repeat = map(int, sys.argv[1:])
    play(100, participants)
    runs = [play(parameters, participants) for _ in range(repeat)]
    found: dict[str, Any] = {"client": [client for client, _ in runs], "server": [server for _, server in runs]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
