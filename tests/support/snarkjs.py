"""Our proofs in the words of snarkjs, and its verdict: an implementation that shares no code with ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from fedproof import _core
from fedproof.proving.keys import VerifyingKey

ROOT = Path(__file__).parents[2]
SNARKJS = ROOT / "node_modules" / "snarkjs" / "cli.js"


def _words(data: bytes) -> list[str]:
    return [str(int.from_bytes(data[at : at + 32], "big")) for at in range(0, len(data), 32)]


def g1(point: bytes) -> list[str]:
    return [*_words(point), "1"]


def g2(point: bytes) -> list[list[str]]:
    x_imaginary, x_real, y_imaginary, y_real = _words(point)
    return [[x_real, x_imaginary], [y_real, y_imaginary], ["1", "0"]]


def verifying_key(key: VerifyingKey) -> dict[str, object]:
    """A key without a committed segment as a plain Groth16 key; gamma is 1."""
    assert key.eta is None
    return {
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": key.num_public,
        "vk_alpha_1": g1(key.alpha),
        "vk_beta_2": g2(key.beta),
        "vk_gamma_2": g2(_core.g2_generator()),
        "vk_delta_2": g2(key.delta),
        "IC": [g1(point) for point in key.ic],
    }


def proof(data: bytes) -> dict[str, object]:
    a, b, c = data[:64], data[64:192], data[192:]
    return {"protocol": "groth16", "curve": "bn128", "pi_a": g1(a), "pi_b": g2(b), "pi_c": g1(c)}


def accepts(folder: Path, key: VerifyingKey, public: list[int], data: bytes) -> bool:
    """What `snarkjs groth16 verify` says."""
    node = shutil.which("node")
    assert node is not None
    contents = {"key": verifying_key(key), "public": [str(value) for value in public], "proof": proof(data)}
    paths = [folder / f"{name}.json" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_text(json.dumps(content))
    done = subprocess.run(
        [node, str(SNARKJS), "groth16", "verify", *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout
    assert ("OK!" in said) != ("Invalid proof" in said), said + done.stderr
    assert ("OK!" in said) == (done.returncode == 0)
    return "OK!" in said
