"""What both estimators share: federated training in exact integers behind the conventions of scikit-learn.

They train as a task does: features become 12-bit fixed point, scales are
chosen from the data, batches are of 32 at learning rate 0.01, and each round averages the participants' updates by
their rows with the rounding of the aggregation statement. `run="simulate"` proves nothing, and says so; `run="prove"`
plays the whole task and leaves its run folder.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fedproof.errors import InputError
from fedproof.interop import validate
from fedproof.interop.chain import Imported
from fedproof.interop.inputs import Standardisation, unnamed
from fedproof.interop.onnx_out import PROVEN, SIMULATED, UNKNOWN, Origin, ServedModel, write_onnx
from fedproof.interop.precision import PrecisionWarning, compare
from fedproof.interop.runner import (
    MAX_ROUNDS,
    MIN_PARTICIPANTS,
    Federation,
    Part,
    Publicity,
    Runner,
    check_outcome,
    choose_runner,
)
from fedproof.interop.splitting import by_group, capacity, deal
from fedproof.interop.validate import DataError, Rows
from fedproof.learning.architecture import CROSS_ENTROPY, LINEAR, LOG, LOGISTIC, MAX_WIDTH, SOFTMAX, SQUARED, Model
from fedproof.learning.baseline import Float
from fedproof.learning.choose import choose_precision
from fedproof.learning.fixed import MAX_EPOCHS, MAX_ROWS, Int
from fedproof.learning.predicting import Predictor, quantise

_WHOLE = (
    ("rounds", 1, MAX_ROUNDS),
    ("epochs", 1, MAX_EPOCHS),
    ("participants", MIN_PARTICIPANTS, MAX_ROWS),
    ("seed", 0, 2**64 - 1),
)
_DEALT = 3
_KINDS = {SQUARED: LINEAR, LOG: LOGISTIC, CROSS_ENTROPY: SOFTMAX}


class Federated(BaseEstimator, ABC):  # type: ignore[misc]
    """What both estimators share.

    Args:
        hidden_layer_sizes: units of each hidden ReLU layer; none for a linear model.
        model: an architecture in their place: a `Model`, or an `Imported` whose weights round 1 starts from.
        rounds: of federated averaging.
        epochs: local epochs of each round.
        participants: how many X and y are dealt to, where `fit` is not given the parts.
        seed: of the dealing and of the start, 0 to 2^64 - 1.
        run: `"simulate"`, exact integers without proofs, or `"prove"`, which needs a folder or a runner.
        runner: who runs it (`fedproof.interop.runner.Runner`), in place of the built-in ones.
        folder: of a proven run; must not exist. `fedproof verify FOLDER` audits it.
        verbose: 1 has the built-in proven run say on standard error how far it is.

    Attributes:
        training_: `"simulated"` or `"proven"`.
        evidence_: where an auditor finds the proofs; None for a simulation.
        precision_report_: the integers against float training.
        plan_, weights_: scales, and the final integers at them.
        coefs_, intercepts_: the same as real numbers, on standardised features, a matrix and a vector for each layer.
        inputs_: centre and scale of each feature.
        history_: the integers after each round.
        n_features_in_, feature_names_in_: as in scikit-learn.
    """

    def __init__(
        self, hidden_layer_sizes: int | Sequence[int] = (), model: Model | Imported | None = None, rounds: int = 20,
        epochs: int = 5, participants: int = _DEALT, seed: int = 0, run: str = "simulate", runner: Runner | None = None,
        folder: str | Path | None = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.model = model
        self.rounds = rounds
        self.epochs = epochs
        self.participants = participants
        self.seed = seed
        self.run = run
        self.runner = runner
        self.folder = folder
        self.verbose = verbose

    def fit(
        self, X: Any = None, y: Any = None, groups: Any = None, *,
        participants: Sequence[tuple[Any, Any]] | None = None, public: tuple[Any, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Train.

        Args:
            X, y: rows `(n, f)` and labels `(n,)` that are dealt to `self.participants` participants.
            groups: `(n,)`, whose row each is; then nothing is dealt. Participants are in the order of sorted groups,
                and rows in their own.
            participants: in the place of all three, one `(X_i, y_i)` for each participant, in training order.
            public: `(X, y)` rows that everybody may see. Centre, scale and precision come from them, as in a real
                task; without them from all rows pooled, which only a simulation can see.

        Raises:
            InputError: wrong parameters or data, in one line; a `ValueError`, too.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # a fit that fails leaves nothing of the last one
        try:
            return self._fit(X, y, groups, participants, public)
        except InputError as error:
            if isinstance(error, ValueError):
                raise
            raise DataError(str(error)) from None  # users of scikit-learn expect a ValueError

    def _fit(
        self, X: Any, y: Any, groups: Any, participants: Sequence[tuple[Any, Any]] | None,
        public: tuple[Any, Any] | None,
    ) -> Any:  # fmt: skip
        runner = choose_runner(self.run, self.runner, self.folder, self.verbose)
        self._check_parameters()
        if runner.training == PROVEN and public is None:
            raise DataError("a proven run takes centre and scale from public rows: give fit(..., public=(X, y))")
        parts = self._parts(X, y, groups, participants)
        shown = Rows(np.vstack([p.X for p in parts]), parts[0].names, np.concatenate([p.y for p in parts]))
        if public is not None:
            shown = validate.public_rows(parts[0], public)
        self._learn_labels([*parts, shown])
        features, labels, federation = self._federation(parts, shown, public is not None)
        outcome = runner.run(federation)
        check_outcome(federation, runner, outcome)
        assert federation.public is not None
        plan, inputs = federation.plan, federation.public.inputs
        clipped = sum(inputs.clipped(part.X) for part in parts) + self._clipped_labels(parts)
        report = compare(federation, outcome, features, labels, clipped, runner.training, public is not None)
        for line in report.advice:
            warnings.warn(line, PrecisionWarning, stacklevel=3)
        self.n_features_in_ = len(inputs.names)
        if shown.names is not None:
            self.feature_names_in_ = np.array(shown.names, dtype=object)
        self.training_, self.evidence_, self.precision_report_ = runner.training, outcome.evidence, report
        self._origin = outcome.origin
        self.plan_, self.inputs_, self.history_, self.weights_ = plan, inputs, outcome.models, outcome.models[-1]
        self.predictor_ = Predictor.exact(plan, self.weights_)
        self.coefs_ = [matrix[:-1] for matrix in self.predictor_.weights]
        self.intercepts_ = [matrix[-1] for matrix in self.predictor_.weights]
        return self

    def _federation(
        self, parts: Sequence[Rows], shown: Rows, public: bool
    ) -> tuple[list[Float], list[Float], Federation]:
        """Standardised features and labels of each part, and the same in the integers of a task."""
        names = shown.names or unnamed(shown.X.shape[1])
        inputs = Standardisation.of_rows(shown.X, names)
        model, begun = self._architecture(len(names))
        features = [inputs.standardise(part.X) for part in parts]
        labels = [self._float_labels(part.y) for part in parts]
        seen, masks = quantise(inputs.standardise(shown.X)), int(self.rounds) + 1
        plan = choose_precision(model, seen, capacity(parts), int(self.epochs), masks)
        start = plan.start(int(self.seed)) if begun is None or begun.weights is None else begun.start(plan)
        whole = [
            Part(quantise(x), self._labels(label), (part.X, part.y))
            for x, label, part in zip(features, labels, parts, strict=True)
        ]
        classes, target = self._described()
        known = Publicity(inputs, classes, target)
        if public:
            numbered = self._labels(self._float_labels(shown.y))
            known = Publicity(inputs, classes, target, (shown.X, shown.y), numbered)
        return features, labels, Federation(plan, start, tuple(whole), int(self.rounds), known, int(self.seed))

    def to_onnx(self, double: bool = False, origin: Origin | None = None) -> bytes:
        """The model as an ONNX file that reads raw features; its metadata say how it was trained.

        Args:
            double: 64-bit weights in the place of 32-bit ones.
            origin: metadata; by default what the runner said of the model, with task and commitment of a proven one.

        Raises:
            InputError: an origin that calls a simulated run proven; the package `onnx` is missing.
        """
        check_is_fitted(self)
        simulated = self.training_ == SIMULATED
        origin = origin or getattr(self, "_origin", None) or Origin(SIMULATED if simulated else UNKNOWN)
        if simulated and origin.training == PROVEN:
            raise DataError("this model comes from a simulated run; nothing of it is proven")
        classes, target = self._described()
        return write_onnx(ServedModel(self.plan_, self.weights_, self.inputs_, classes, target, origin), double)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a model is there; scikit-learn asks."""
        return hasattr(self, "weights_")

    def _described(self) -> tuple[tuple[str, ...], tuple[float, float]]:
        """Names of the classes, and centre and scale of the target."""
        return tuple(map(str, getattr(self, "classes_", ()))), getattr(self, "target_", (0.0, 1.0))

    def _check_parameters(self) -> None:
        for name, least, most in _WHOLE:
            validate.whole(name, getattr(self, name), least, most)

    def _parts(self, X: Any, y: Any, groups: Any, given: Sequence[tuple[Any, Any]] | None) -> list[Rows]:
        if given is None:
            if X is None:
                raise DataError("give fit X and y, or participants=[(X_1, y_1), (X_2, y_2), ...]")
            if groups is not None:
                found = by_group(validate.rows(X, y), groups)
                if self.participants not in (len(found), _DEALT):
                    raise DataError(
                        f"participants: {self.participants}, and groups names {len(found)}; leave participants out"
                    )
                return found
            return deal(validate.rows(X, y), int(self.participants), int(self.seed), self._stratify)
        if X is not None or y is not None or groups is not None:
            raise DataError("give fit either X and y, or participants; rows that all may see go into public=(X, y)")
        if len(given) < MIN_PARTICIPANTS or not all(
            isinstance(part, tuple | list) and len(part) == 2 for part in given
        ):
            raise DataError(f"participants: a list of at least {MIN_PARTICIPANTS} pairs (X_i, y_i) is needed")
        parts = [validate.rows(*part, f"participant {number}") for number, part in enumerate(given, 1)]
        for number, part in enumerate(parts, 1):
            validate.alike(parts[0], part, f"participant {number}")
        return parts

    def _architecture(self, features: int) -> tuple[Model, Imported | None]:
        outputs, loss = self._head()
        if self.model is None:
            sizes: Any = self.hidden_layer_sizes
            hidden = list(sizes) if isinstance(sizes, Sequence | np.ndarray) else [sizes]
            for size in hidden:
                validate.whole("hidden_layer_sizes", size, 1, MAX_WIDTH)
            if hidden:
                return Model.perceptron(features, [int(size) for size in hidden], outputs, loss), None
            return Model(_KINDS[loss], (features, outputs), "none", loss), None
        begun = self.model if isinstance(self.model, Imported) else None
        model = begun.model if begun is not None else self.model
        if not isinstance(model, Model):
            raise DataError(
                f"model: a {type(self.model).__name__}; give a Model, or what from_layers or read_onnx gives"
            )
        if (model.widths[0], model.outputs, model.loss) != (features, outputs, loss):
            raise DataError(
                f"model: it reads {model.widths[0]} features for {model.outputs} outputs on the loss {model.loss!r}; "
                f"these data need {features} features, {outputs} outputs, {loss!r}"
            )
        return model, begun

    def _ready(self, X: Any) -> Float:
        """Standardised features of rows to predict."""
        check_is_fitted(self)
        array, names = validate.features(X)
        if array.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {array.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        known = getattr(self, "feature_names_in_", None)
        if names is not None and known is not None and list(names) != list(known):
            raise DataError("X: The feature names should match those that were passed during fit, in their order")
        return self.inputs_.standardise(array)

    # what the two kinds do differently

    _stratify = False

    @abstractmethod
    def _head(self) -> tuple[int, str]:
        """Outputs and loss of the last layer."""

    @abstractmethod
    def _learn_labels(self, tables: Sequence[Rows]) -> None:
        """What the labels of all parts are."""

    @abstractmethod
    def _float_labels(self, y: np.ndarray) -> Float:
        """Labels that float training takes."""

    @abstractmethod
    def _labels(self, labels: Float) -> Int:
        """Integers that training takes, from those that float training takes."""

    def _clipped_labels(self, parts: Sequence[Rows]) -> int:  # noqa: ARG002  # a classifier clips none
        return 0
