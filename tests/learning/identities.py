"""The identities of `docs/training.md` in plain integers mod r: what the circuits will check, counted as they will be.

`commit` makes the values that a prover commits to before the challenges; `check` then reads nothing else. Each product
of two wires and each lookup counts one constraint, under the names that `learning/cost.py` gives them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedproof import _core
from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.cost import DATASET_BLINDING, UPDATE_BLINDING, tables
from fedproof.learning.exact import ModelTrace, SigmoidTrace, SoftmaxTrace, SquaredTrace, one_hot
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import BATCH, FEATURE_FRACTION_BITS, Int, sigmoid_values
from fedproof.learning.plan import Rounding, TrainingPlan

R = _core.MODULUS
Wires = dict[str, np.ndarray]


def limbs(values: Int, count: int, bits: int) -> Int:
    """Low limbs first, along a new last axis; what is beyond them is lost, as a range check would notice."""
    return (values[..., None] >> (np.arange(count) * bits)) & ((1 << bits) - 1)


def remainder_limbs(values: Int, rounding: Rounding) -> Int:
    """Low limbs of a remainder and its top limb."""
    low = limbs(values, rounding.limbs, rounding.limb_bits)
    top = values >> (rounding.limbs * rounding.limb_bits)
    return np.concatenate([low, top[..., None]], axis=-1)


def commit(trace: ModelTrace, seed: int = 3) -> Wires:
    """The committed segment of a run, as arrays by name."""
    plan, rng = trace.plan, np.random.default_rng(seed)
    width = plan.limb_bits
    x = trace.inputs.copy()
    x[:, -1] = trace.mask
    out: Wires = {
        "x": x,
        "labels": trace.labels,
        "dataset blinding": rng.integers(0, 2**60, DATASET_BLINDING + plan.mask_count),
        "update blinding": rng.integers(0, 2**60, UPDATE_BLINDING),
        "update": plan.model.flatten(trace.update),  # not committed: C_U, outside
    }
    for layer, weights in enumerate(trace.start):
        out[f"W{layer}"] = weights
    for layer, hidden in enumerate(trace.hidden):
        magnitude = np.where(hidden.positive == 1, hidden.index, -1 - hidden.index)
        out[f"relu remainder {layer}"] = remainder_limbs(hidden.remainder, plan.forward(layer))
        out[f"relu magnitude {layer}"] = limbs(magnitude, plan.activation_limbs, width)
        out[f"relu positive {layer}"] = hidden.positive
        out[f"delta remainder {layer}"] = remainder_limbs(hidden.back_remainder, plan.backward(layer + 1))
        out[f"delta rounded {layer}"] = limbs(hidden.rounded + plan.delta_range, plan.delta_limbs, width)
    head, last = trace.head, plan.forward(plan.depth - 1)
    out["logit remainder"] = remainder_limbs(head.remainder, last)
    half = plan.logit_range // 2
    if isinstance(head, SquaredTrace):
        out["output"] = limbs(head.index + half, plan.logit_limbs, width)
    elif isinstance(head, SigmoidTrace):
        out["index"], out["sigmoid"] = head.index, head.output
        out["edge"] = (head.index == plan.table_half - 1).astype(np.int64) - (head.index == -plan.table_half)
        out["overflow"] = limbs(head.overflow, plan.logit_limbs, width)
    elif isinstance(head, SoftmaxTrace):
        out["distance"], out["exponential"] = head.distance, head.exponential
        out["overflow"] = limbs(head.overflow, plan.logit_limbs, width)
        out["largest"] = limbs(head.largest + half, plan.logit_limbs, width)
        out["one-hot"] = np.stack([one_hot(plan, trace.labels)] * plan.epochs)
        out["probability"] = limbs(head.probability, plan.probability_limbs, width)
        out["division"] = limbs(head.division, plan.division_limbs, width)
        rest = 2 * head.total[..., None] - 1 - head.division
        out["division rest"] = limbs(rest, plan.division_limbs, width)
    return out


@dataclass
class Circuit:
    """Counts constraints by part and notes the rules that do not hold."""

    tables: dict[str, dict[int, tuple[int, ...]]]
    count: Counter[str] = field(default_factory=Counter)
    broken: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    def hold(self, rule: str, holds: bool) -> None:
        """Note that a rule was checked, and whether it held."""
        self.seen.add(rule)
        if not holds:
            self.broken.add(rule)

    def product(self, a: int, b: int, part: str) -> int:
        self.count[part] += 1
        return a * b % R

    def dot(self, a: Sequence[int], b: Sequence[int], part: str) -> int:
        """`a . b` where `b[0] = 1`, so that the first product is free."""
        assert b[0] == 1
        return (a[0] + sum(self.product(s, t, part) for s, t in zip(a[1:], b[1:], strict=True))) % R

    def constrain(self, a: int, b: int, c: int, part: str, rule: str) -> None:
        self.count[part] += 1
        self.hold(rule, (a * b - c) % R == 0)

    def dot_is(self, a: Sequence[int], b: Sequence[int], c: int, part: str, rule: str) -> None:
        """`a . b = c`: the last product is the check."""
        inner = sum(self.product(s, t, part) for s, t in zip(a[:-1], b[:-1], strict=True))
        self.constrain(a[-1], b[-1], c - inner, part, rule)

    def lookup(self, table: str, key: int, *columns: int, part: str, rule: str) -> None:
        self.count[part] += 1 + len(columns)
        self.hold(rule, self.tables[table].get(key) == columns)

    def powers(self, base: int, count: int) -> list[int]:
        self.count["powers of sigma"] += max(count - 2, 0)
        return [pow(base, k, R) for k in range(count)]

    def limbs(self, values: Sequence[int], bits: int, part: str, rule: str) -> int:
        for value in values:
            self.lookup("limb", value, part=part, rule=rule)
        return sum(value << (bits * place) for place, value in enumerate(values))

    def remainder(self, values: Sequence[int], rounding: Rounding, part: str, rule: str) -> int:
        low = self.limbs(values[:-1], rounding.limb_bits, part, rule)
        self.lookup(f"top limb below {rounding.top_size}", values[-1], part=part, rule=rule)
        return low + (values[-1] << (rounding.limbs * rounding.limb_bits))


def table_rows(plan: TrainingPlan) -> dict[str, dict[int, tuple[int, ...]]]:
    """The constants of each table."""
    out: dict[str, dict[int, tuple[int, ...]]] = {}
    for name, size in tables(plan).items():
        if name == "exponential":
            values = exponential_table(plan.logit_bits, plan.exponential_bits).tolist()
            out[name] = {d: (value,) for d, value in enumerate(values)}
        elif name == "sigmoid":
            half = plan.table_half
            sigmoid = sigmoid_values(plan.logit_bits, plan.scales[-1].delta_bits, half).tolist()
            edges = {-half: -1, half - 1: 1}
            out[name] = {q: (sigmoid[q + half], edges.get(q, 0)) for q in range(-half, half)}
        else:
            out[name] = dict.fromkeys(range(size), ())
    return out


def evaluate(coefficients: Sequence[tuple[int, int]], at: int) -> int:
    """A polynomial given as `(position, coefficient)`, independent of everything here."""
    return sum(value * pow(at, position, R) for position, value in coefficients) % R


def opened(plan: TrainingPlan, wires: Wires, sigma: int, lam: int) -> int:
    """What the three commitments open to: `X(sigma) + lambda W(sigma) + lambda^2 U(sigma)`, by the layouts alone."""
    n, a = plan.rows, plan.columns
    data = [int(v) for part in ("x", "labels", "dataset blinding") for v in wires[part].reshape(-1)]
    assert len(data) == n * (a + 1) + len(wires["dataset blinding"])
    places = plan.positions().tolist()
    start = plan.model.flatten([wires[f"W{layer}"] for layer in range(plan.depth)]).tolist()
    update = list(zip(places, wires["update"].tolist(), strict=True))
    update += [(plan.offset(plan.depth) + k, int(v)) for k, v in enumerate(wires["update blinding"])]
    x = evaluate(list(enumerate(data)), sigma)
    w = evaluate(list(zip(places, start, strict=True)), sigma)
    return (x + lam * w + lam * lam * evaluate(update, sigma)) % R


def check(plan: TrainingPlan, wires: Wires, sigma: int, lam: int, outside: Wires | None = None) -> Circuit:
    """All identities; `broken` of the result names those that fail.

    `outside` holds the vectors in the external commitments, where they are not those of the wires.
    """
    return _Check(plan, wires, sigma, lam, outside or wires).run()


class _Check:
    def __init__(self, plan: TrainingPlan, wires: Wires, sigma: int, lam: int, outside: Wires) -> None:
        self.plan, self.sigma, self.lam = plan, sigma, lam
        self.w = {name: array.astype(object) for name, array in wires.items()}
        self.outside = outside
        self.c = Circuit(table_rows(plan))
        n, a, g = plan.rows, plan.columns, plan.group
        c, layers = self.c, plan.model.layers
        self.groups = n // g
        run = max(n, a + UPDATE_BLINDING, *(inputs for inputs, _ in layers))
        self.pw = c.powers(sigma, run + 1)
        masks = len(wires["dataset blinding"])
        self.long = self.pw if masks <= run + 1 else c.powers(sigma, masks)
        self.in_group = c.powers(self.pw[a], g + 1)
        self.of_group = c.powers(self.in_group[g], max(self.groups, layers[0][1]) + 1)
        self.v = [self.of_group[: layers[0][1]]]
        self.v += [c.powers(self.pw[inputs], outputs) for inputs, outputs in layers[1:]]
        self.at = [1]  # sigma^O of each layer and of the blinding
        for layer, (inputs, outputs) in enumerate(layers):
            last = self.v[layer][outputs - 1]
            end = c.product(last, self.pw[inputs], "powers of sigma") if outputs > 1 else self.pw[inputs]
            self.at.append(c.product(self.at[-1], end, "powers of sigma") if layer else end)

    def run(self) -> Circuit:
        plan, c = self.plan, self.c
        n, g = plan.rows, plan.group
        x = self.w["x"].tolist()
        self.inputs = [[*row[:-1], row[-1] << FEATURE_FRACTION_BITS] for row in x]
        self.mask = [row[-1] for row in x]
        self.fold()
        self.G = [
            [c.dot(list(row), self.v[layer], f"layer {layer + 1}: initial weights") for row in self.w[f"W{layer}"]]
            for layer in range(plan.depth)
        ]
        self.G0 = [list(values) for values in self.G]
        self.h: list[list[int]] = [[]]
        for layer, (inputs, outputs) in enumerate(plan.model.layers[1:], start=1):
            p = self.pw[: inputs - 1]
            weights = self.w[f"W{layer}"][:-1].T
            part = f"layer {layer + 1}: initial weights"
            self.h.append([c.dot(list(row), p, part) for row in weights] if outputs > 1 else [])
        self.late = 0  # p . (A^T delta v) of the last batch at g = 1
        steps = plan.epochs * n // BATCH
        for step in range(steps):
            epoch, first = divmod(step * BATCH, n)
            self.batch(epoch, range(first, first + BATCH), step == steps - 1 and g == 1)
        self.link()
        return c

    def fold(self) -> None:
        """`w = sum_i' sigma^(a i') X_i'` of each group, and the dataset's evaluation."""
        c, g, a = self.c, self.plan.group, self.plan.columns
        x = self.w["x"].tolist()
        self.folded = []
        for first in range(0, self.plan.rows, g):
            group = x[first : first + g]
            self.folded.append([c.dot([row[j] for row in group], self.in_group[:g], "data: fold") for j in range(a)])
        part = "data: evaluation"
        p = self.pw[:a]
        self.last_products = [c.product(w[-1], p[-1], part) for w in self.folded]
        self.row_at = [
            (c.dot(w[:-1], p[:-1], part) + last) % R for w, last in zip(self.folded, self.last_products, strict=True)
        ]
        data = c.dot(self.row_at, self.of_group[: self.groups], part)
        labels = c.dot(self.w["labels"].tolist(), self.pw[: self.plan.rows], part)
        blinding = self.w["dataset blinding"].tolist()
        tail = c.dot(blinding, self.long[: len(blinding)], part)
        tail = labels + c.product(tail, self.pw[self.plan.rows], part)
        self.dataset_at = data + c.product(tail, self.of_group[self.groups], part)

    def batch(self, epoch: int, rows: range, last: bool) -> None:
        plan, depth = self.plan, self.plan.depth
        acts: list[list[list[int]]] = [[self.inputs[i] for i in rows]]
        logits = []
        for layer in range(depth - 1):
            z, act = zip(*(self.relu(layer, epoch, i) for i in rows), strict=True)
            logits.append(list(z))
            bits = plan.scales[layer + 1].input_bits
            acts.append([[*a, self.mask[i] << bits] for a, i in zip(act, rows, strict=True)])
        z, delta = zip(*(self.head(epoch, i) for i in rows), strict=True)
        logits.append(list(z))
        deltas = [list(delta)]
        for layer in range(depth - 1):
            self.forward(layer, rows, acts[layer], logits[layer])
        self.forward(depth - 1, rows, acts[-1], logits[-1])
        for layer in range(depth - 1, 0, -1):
            below = [self.back(layer, epoch, i, deltas[0][place], acts[layer][place]) for place, i in enumerate(rows)]
            deltas.insert(0, below)
        for layer in range(depth):
            self.step(layer, rows, acts[layer], deltas[layer], last and layer == 0)

    def forward(self, layer: int, rows: range, acts: list[list[int]], z: list[list[int]]) -> None:
        """`sum_i' sigma^(a i') (Z_i' . v) = w . G`, once per group; hidden layers have groups of one."""
        c, v, name = self.c, self.v[layer], f"layer {layer + 1}"
        sums = [c.dot(row, v, f"{name}: sums by challenge") for row in z]
        if layer:
            for act, total in zip(acts, sums, strict=True):
                c.dot_is(act, self.G[layer], total, f"{name}: forward", f"forward {layer}")
            return
        g = self.plan.group
        for place in range(0, BATCH, g):
            w = self.folded[(rows.start + place) // g]
            read = [*w[:-1], w[-1] << FEATURE_FRACTION_BITS]
            total = c.dot(sums[place : place + g], self.in_group[:g], f"{name}: sums by challenge")
            c.dot_is(read, self.G[0], total, f"{name}: forward", "forward 0")

    def step(self, layer: int, rows: range, acts: list[list[int]], deltas: list[list[int]], late: bool) -> None:
        """`G -= A^T (delta v)` and `h -= delta^T (A p)`."""
        c, name = self.c, f"layer {layer + 1}"
        part = f"{name}: steps"
        moves = [c.dot(delta, self.v[layer], f"{name}: sums by challenge") for delta in deltas]
        if late:
            for i, move in zip(rows, moves, strict=True):
                at = self.row_at[i] + (2**FEATURE_FRACTION_BITS - 1) * self.last_products[i]
                self.late = (self.late + c.product(at, move, part)) % R
            return
        for act, move in zip(acts, moves, strict=True):
            for j, value in enumerate(act):
                self.G[layer][j] = (self.G[layer][j] - c.product(value, move, part)) % R
        if self.h[layer]:
            p = self.pw[: len(acts[0]) - 1]
            for act, delta in zip(acts, deltas, strict=True):
                at = c.dot(act[:-1], p, f"{name}: back")
                for k, value in enumerate(delta):
                    self.h[layer][k] = (self.h[layer][k] - c.product(value, at, f"{name}: back")) % R

    def relu(self, layer: int, epoch: int, i: int) -> tuple[list[int], list[int]]:
        """Z and activations of one row: `q = 2 act + positive - 1 - u`, `act = positive u`."""
        plan, c, part = self.plan, self.c, f"layer {layer + 1}: relu"
        rounding = plan.forward(layer)
        z, out = [], []
        for k in range(plan.model.widths[layer + 1]):
            rest = c.remainder(
                self.w[f"relu remainder {layer}"][epoch, i, k].tolist(), rounding, part, "relu remainder"
            )
            u = c.limbs(self.w[f"relu magnitude {layer}"][epoch, i, k].tolist(), plan.limb_bits, part, "relu range")
            positive = int(self.w[f"relu positive {layer}"][epoch, i, k])
            c.constrain(positive, positive - 1, 0, part, "relu sign")
            act = c.product(positive, u, part)
            z.append(rounding.divisor * (2 * act + positive - 1 - u) + rest - rounding.offset)
            out.append(act)
        return z, out

    def back(self, layer: int, epoch: int, i: int, delta: list[int], act: list[int]) -> list[int]:
        """Delta of the layer below for one row."""
        plan, c = self.plan, self.c
        below, name, rounding = layer - 1, f"layer {layer + 1}", plan.backward(layer)
        back, out = [], []
        part = f"layer {layer}: delta"
        for j in range(plan.model.widths[layer]):
            low = self.w[f"delta remainder {below}"][epoch, i, j].tolist()
            rest = c.remainder(low, rounding, part, "delta remainder")
            values = self.w[f"delta rounded {below}"][epoch, i, j].tolist()
            rounded = c.limbs(values, plan.limb_bits, part, "delta range") - plan.delta_range
            positive = int(self.w[f"relu positive {below}"][epoch, i, j])
            out.append(c.product(positive, rounded, part))
            back.append(rounding.divisor * rounded + rest - rounding.offset)
        if len(delta) == 1:
            for value, weight in zip(back, self.G[layer][:-1], strict=True):
                c.constrain(delta[0], weight, value, f"{name}: back", f"back {layer}")
        else:
            at = c.dot(back, self.pw[: len(back)], f"{name}: back")
            c.dot_is(delta, self.h[layer], at, f"{name}: back", f"back {layer}")
        return out

    def head(self, epoch: int, i: int) -> tuple[list[int], list[int]]:
        """Z and output deltas of one row."""
        plan, c, w = self.plan, self.c, self.w
        part, unit = f"loss: {plan.model.loss}", 1 << plan.scales[-1].delta_bits
        rounding, label, bits = plan.forward(plan.depth - 1), int(w["labels"][i]), plan.limb_bits
        rest = [
            c.remainder(w["logit remainder"][epoch, i, k].tolist(), rounding, part, "logit remainder")
            for k in range(plan.model.outputs)
        ]
        if plan.model.loss == LOG:
            q, output, edge = (int(w[name][epoch, i, 0]) for name in ("index", "sigmoid", "edge"))
            c.lookup("sigmoid", q, output, edge, part=part, rule="sigmoid")
            over = c.limbs(w["overflow"][epoch, i, 0].tolist(), bits, part, "overflow range")
            beyond = c.product(over, edge, part)
            return [rounding.divisor * (q + beyond) + rest[0]], [output - unit * label]
        if plan.model.loss != CROSS_ENTROPY:
            q = c.limbs(w["output"][epoch, i, 0].tolist(), bits, part, "output range") - plan.logit_range // 2
            z = rounding.divisor * q + rest[0] - rounding.offset
            return [z], [q - (label << (plan.scales[-1].delta_bits - FEATURE_FRACTION_BITS))]
        return self.softmax(epoch, i, rest)

    def softmax(self, epoch: int, i: int, rest: list[int]) -> tuple[list[int], list[int]]:
        plan, c, w = self.plan, self.c, self.w
        part, unit = f"loss: {plan.model.loss}", 1 << plan.scales[-1].delta_bits
        rounding, bits = plan.forward(plan.depth - 1), plan.limb_bits
        end = max(c.tables["exponential"])
        m = c.limbs(w["largest"][epoch, i].tolist(), bits, part, "largest range") - plan.logit_range // 2
        total = int(sum(w["exponential"][epoch, i]))
        z, delta, none, hot_label = [], [], 1, 0
        classes = range(plan.model.outputs)
        hot = [int(w["one-hot"][epoch, i, k]) for k in classes]
        c.hold("one-hot", sum(hot) == 1)  # in a circuit, the first is 1 minus the others: no constraint
        for k in classes:
            distance, value = int(w["distance"][epoch, i, k]), int(w["exponential"][epoch, i, k])
            c.lookup("exponential", distance, value, part=part, rule="exponential")
            over = c.limbs(w["overflow"][epoch, i, k].tolist(), bits, part, "overflow range")
            c.constrain(end - distance, over, 0, part, "overflow inside the table")
            z.append(rounding.divisor * (m - distance - over) + rest[k])
            if k < plan.model.outputs - 1:
                none = c.product(none, distance + over, part) if k else distance + over
            else:
                c.constrain(none, distance + over, 0, part, "largest")
            c.constrain(hot[k], hot[k] - 1, 0, part, "one-hot")
            hot_label += k * hot[k]
            p = c.limbs(w["probability"][epoch, i, k].tolist(), bits, part, "probability range")
            left = c.limbs(w["division"][epoch, i, k].tolist(), bits, part, "division range")
            spare = c.limbs(w["division rest"][epoch, i, k].tolist(), bits, part, "division range")
            # its complement is a linear combination of committed limbs: no wire of its own in the circuit
            c.hold("division range", (left + spare - 2 * total + 1) % R == 0)
            c.constrain(p, 2 * total, 2 * unit * value + total - left, part, "division")
            delta.append(p - unit * hot[k])
        c.constrain(hot_label - int(w["labels"][i]), 1, 0, part, "one-hot label")
        return z, delta

    def link(self) -> None:
        """`y = X(sigma) + lambda W(sigma) + lambda^2 U(sigma)`."""
        plan, c, part = self.plan, self.c, "evaluation of W and U"
        sums = []
        for values in (
            self.G0,
            [[e - s for e, s in zip(x, y, strict=True)] for x, y in zip(self.G, self.G0, strict=True)],
        ):
            total = 0
            for layer, (inputs, _) in enumerate(plan.model.layers):
                at = c.dot(values[layer], self.pw[:inputs], part)
                if layer == 0 and values is not self.G0:
                    at = (at - self.late) % R
                total += c.product(at, self.at[layer], part) if layer else at
            sums.append(total)
        blinding = self.w["update blinding"].tolist()
        tail = c.dot(blinding, self.pw[:UPDATE_BLINDING], part)
        update = sums[1] + c.product(tail, self.at[-1], part)
        inner = sums[0] + c.product(update, self.lam, part)
        y = self.dataset_at + c.product(inner, self.lam, part)
        c.constrain(y - opened(plan, self.outside, self.sigma, self.lam), 1, 0, part, "link")
        widest = max(1 + len(next(iter(rows.values()))) for rows in c.tables.values())
        c.count["tables"] += sum(len(rows) for rows in c.tables.values()) + widest - 1 + 1
        c.count["blinding of D"] += 1
