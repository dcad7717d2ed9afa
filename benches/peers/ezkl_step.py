"""Proves one SGD step of a logistic regression or softmax with EZKL; prints seconds and processor seconds as JSON.

    PYTHON benches/peers/ezkl_step.py ROWS FEATURES CLASSES REPEAT default|calibrated

It runs in an interpreter that has ezkl and onnx, which fedproof never installs. CLASSES 1 is the logistic loss. The
scales are EZKL's own: its default ones, or calibrated for accuracy on the step that is proven. `error` is how far the
proven update is from that of float64, as a part of it, both in the Euclidean norm.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ezkl  # type: ignore[import-not-found]
import numpy as np
import onnx  # type: ignore[import-not-found]
from onnx import TensorProto, helper


def step(rows: int, columns: int, classes: int) -> Any:
    """`W - X^T (f(X W) - Y) / 3200`; the bias is a column of X."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["p"])
        if classes == 1
        else helper.make_node("Softmax", ["z"], ["p"], axis=1),
        helper.make_node("Sub", ["p", "y"], ["delta"]),
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["t", "delta"], ["gradient"]),
        helper.make_node("Mul", ["gradient", "rate"], ["change"]),
        helper.make_node("Sub", ["w", "change"], ["end"]),
    ]
    shapes = {"x": (rows, columns), "y": (rows, classes), "w": (columns, classes)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("end", TensorProto.FLOAT, (columns, classes))
    rate = helper.make_tensor("rate", TensorProto.FLOAT, [1], [1 / 3200])
    graph = helper.make_graph(nodes, "step", inputs, [output], [rate])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def output(logits: Any) -> Any:
    """Sigmoid of one column, softmax of more."""
    if logits.shape[1] == 1:
        return 1 / (1 + np.exp(-logits))
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def main() -> None:
    """Measure."""
    rows, features, classes, repeat = map(int, sys.argv[1:5])
    calibrated = sys.argv[5] == "calibrated"
    rng = np.random.default_rng(11)
    x = np.concatenate([rng.normal(size=(rows, features)), np.ones((rows, 1))], axis=1)
    chosen = rng.integers(0, max(classes, 2), rows)
    y = chosen[:, None] if classes == 1 else np.eye(classes)[chosen]
    w = rng.uniform(-0.001, 0.001, (features + 1, classes))
    found: dict[str, Any] = {"prove": [], "cpu": [], "verify": [], "seconds": {}}
    printed = os.dup(1)
    os.dup2(2, 1)  # what the library prints is no part of the answer
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        onnx.save(step(rows, features + 1, classes), "model.onnx")
        data = {"input_data": [part.astype(float).reshape(-1).tolist() for part in (x, y, w)]}
        Path("input.json").write_text(json.dumps(data))

        def timed(name: str, call: Any) -> None:
            started = time.perf_counter()
            call()
            found["seconds"][name] = time.perf_counter() - started

        arguments = ezkl.PyRunArgs()
        arguments.input_visibility, arguments.output_visibility = "private", "public"
        ezkl.gen_settings("model.onnx", "settings.json", py_run_args=arguments)
        if calibrated:
            timed(
                "calibrate",
                lambda: ezkl.calibrate_settings("input.json", "model.onnx", "settings.json", "accuracy"),
            )
        ezkl.compile_circuit("model.onnx", "model.compiled", "settings.json")
        settings = json.loads(Path("settings.json").read_text())
        found["logrows"] = settings["run_args"]["logrows"]
        timed("powers", lambda: ezkl.gen_srs("kzg.srs", found["logrows"]))
        ezkl.gen_witness("input.json", "model.compiled", "witness.json")
        shown = json.loads(Path("witness.json").read_text())["pretty_elements"]["rescaled_outputs"][0]
        update = np.array(shown, dtype=float).reshape(w.shape) - w
        wanted = -x.T @ (output(x @ w) - y) / 3200
        found["error"] = float(np.linalg.norm(update - wanted) / np.linalg.norm(wanted))
        timed("setup", lambda: ezkl.setup("model.compiled", "vk.key", "pk.key", "kzg.srs"))
        for _ in range(repeat):
            started, used = time.perf_counter(), time.process_time()
            ezkl.prove("witness.json", "model.compiled", "pk.key", "proof.json", "kzg.srs")
            found["prove"].append(time.perf_counter() - started)
            found["cpu"].append(time.process_time() - used)
            started = time.perf_counter()
            found["valid"] = bool(ezkl.verify("proof.json", "settings.json", "vk.key", "kzg.srs"))
            found["verify"].append(time.perf_counter() - started)
        found["proof bytes"] = len(bytes.fromhex(json.loads(Path("proof.json").read_text())["hex_proof"][2:]))
        found["key bytes"] = Path("pk.key").stat().st_size
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    os.write(printed, json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()
