"""The estimators: scikit-learn's conventions, real data, and one line for everything that is wrong."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fedproof.errors import FedproofError, InputError
from fedproof.interop import (
    FederatedClassifier,
    FederatedRegressor,
    Origin,
    PrecisionWarning,
    check_onnx,
    from_layers,
    validate,
)
from fedproof.interop.onnx_out import ServedModel
from fedproof.interop.splitting import deal
from fedproof.learning.architecture import Model
from tests.interop.test_runner import Prover

CANCER, IRIS, DIABETES = (load(return_X_y=True) for load in (load_breast_cancer, load_iris, load_diabetes))
TYPE_ERROR = "wrong data are an InputError, which is a ValueError and no TypeError"


@pytest.mark.parametrize("estimator", [FederatedClassifier(rounds=10), FederatedRegressor(rounds=10)])
def test_scikit_learn_takes_it_for_one_of_its_own(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        results = check_estimator(estimator, expected_failed_checks={"check_dtype_object": TYPE_ERROR}, on_skip=None)
    assert sum(result["status"] == "passed" for result in results) > 45


@pytest.mark.parametrize(
    ("data", "estimator", "least"),
    [
        (CANCER, FederatedClassifier(), 0.93),
        (CANCER, FederatedClassifier(hidden_layer_sizes=(8,)), 0.9),
        (IRIS, FederatedClassifier(rounds=40, epochs=20), 0.8),
        (DIABETES, FederatedRegressor(), 0.35),
        (DIABETES, FederatedRegressor(hidden_layer_sizes=(6,), rounds=40, epochs=20), 0.25),
    ],
)
def test_learns_real_records_within_half_a_percent_of_float_training(data: Any, estimator: Any, least: float) -> None:
    X, held, y, expected = train_test_split(*data, random_state=0)
    fitted = clone(estimator).fit(X, y)
    report = fitted.precision_report_
    assert fitted.score(held, expected) >= least
    assert report.weight_error < 0.005
    assert report.prediction_max_error < 0.01
    assert report.disagreeing <= 2
    assert report.lines()[0] == "simulated: exact integers without proofs; nothing is proven"
    assert (fitted.training_, fitted.evidence_) == ("simulated", None)
    assert len(fitted.history_) == estimator.rounds
    assert fitted.n_features_in_ == X.shape[1]


def test_groups_say_whose_rows_are_whose() -> None:
    X, y = CANCER
    X, y = X[:120], y[:120]
    groups = np.array(["late", "early", "often"])[np.arange(120) % 3]
    by_group = FederatedClassifier(rounds=2).fit(X, y, groups)
    parts = [(X[groups == name], y[groups == name]) for name in ("early", "late", "often")]
    by_hand = FederatedClassifier(rounds=2).fit(participants=parts)
    assert all(np.array_equal(a, b) for a, b in zip(by_group.weights_, by_hand.weights_, strict=True))
    for wrong, said in (
        (groups[1:], "one group a row"),
        (np.zeros(120), "names 1 participant"),
        (np.where(np.arange(120) == 3, np.nan, 1.0), "NaN or None"),
        (np.array([1, "a"] * 60, dtype=object), "several types"),
    ):
        with pytest.raises(InputError, match=said):
            FederatedClassifier(rounds=1).fit(X, y, wrong)
    with pytest.raises(InputError, match="either X and y, or participants"):
        FederatedClassifier(rounds=1).fit(groups=groups, participants=parts)


def test_labels_come_back_as_they_were_given() -> None:
    X, y = IRIS
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    named = FederatedClassifier(rounds=3).fit(X, names)
    plain = FederatedClassifier(rounds=3).fit(X, y * 10 - 5)
    assert named.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert plain.classes_.tolist() == [-5, 5, 15]
    assert np.array_equal(plain.predict_proba(X), named.predict_proba(X))
    assert np.array_equal(named.predict(X), named.classes_[named.predict_proba(X).argmax(axis=1)])
    assert named.decision_function(X).shape == (150, 3)
    assert FederatedClassifier(rounds=1).fit(X[:100], y[:100]).decision_function(X).shape == (150,)


def test_is_cloned_searched_piped_and_cross_validated() -> None:
    X, y = CANCER
    estimator = FederatedClassifier(rounds=3, epochs=2, seed=5)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(rounds=2).rounds == 2
    assert is_classifier(estimator)
    assert is_regressor(FederatedRegressor())
    pipe = make_pipeline(StandardScaler(), estimator)
    assert cross_val_score(pipe, X, y, cv=3).min() > 0.85
    search = GridSearchCV(estimator, {"epochs": [1, 8]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.85


def test_equal_seeds_give_equal_integers() -> None:
    one, other, third = (FederatedClassifier(rounds=2, seed=seed).fit(*CANCER) for seed in (1, 1, 2))
    assert np.array_equal(one.weights_[0], other.weights_[0])
    assert not np.array_equal(one.weights_[0], third.weights_[0])


def test_rows_are_dealt_evenly_class_by_class_and_all_of_them() -> None:
    y = np.repeat([0, 1, 2], [90, 31, 9])
    X = np.arange(130.0)[:, None]
    parts = deal(validate.rows(X, y), 4, 7, stratify=True)
    assert sorted(np.concatenate([part.X[:, 0] for part in parts]).tolist()) == X[:, 0].tolist()
    assert all(np.array_equal(part.y, y[part.X[:, 0].astype(int)]) for part in parts)
    assert sorted(len(part.y) for part in parts) == [32, 32, 33, 33]
    counts = np.array([np.bincount(part.y, minlength=3) for part in parts])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()
    assert (np.diff(parts[0].y) < 0).any()  # mixed again within a part


def test_participants_bring_rows_of_their_own() -> None:
    X, y = CANCER
    parts = [(X[:100], y[:100]), (X[100:180], y[100:180]), (X[180:400], y[180:400])]
    fitted = FederatedClassifier().fit(participants=parts, public=(X[400:], y[400:]))
    assert fitted.plan_.rows == 256
    assert fitted.precision_report_.public
    assert "centre and scale from public rows" in fitted.precision_report_.lines()
    assert np.allclose(fitted.inputs_.centre, X[400:].mean(axis=0))
    assert fitted.score(X[400:], y[400:]) > 0.93
    pooled = FederatedClassifier().fit(participants=parts)
    assert "centre and scale from all rows pooled" in pooled.precision_report_.lines()
    assert np.allclose(pooled.inputs_.centre, X[:400].mean(axis=0))


def test_is_near_scikit_learn_s_own_where_both_have_converged() -> None:
    X, held, y, expected = train_test_split(*CANCER, random_state=3)
    ours = FederatedClassifier(rounds=60, epochs=10).fit(X, y)
    theirs = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    assert abs(ours.score(held, expected) - theirs.score(held, expected)) <= 0.03


def test_an_imported_model_starts_where_its_weights_are() -> None:
    X, y = CANCER
    begun = FederatedClassifier(rounds=10).fit(X, y)
    weights = begun.coefs_[0].T.tolist()
    found = from_layers([("Linear", 30, 1, weights, begun.intercepts_[0].tolist()), "Sigmoid"])
    on = FederatedClassifier(model=found, rounds=1, epochs=1).fit(X, y)
    assert np.abs(on.coefs_[0] - begun.coefs_[0]).max() < 0.05
    assert on.score(X, y) > 0.93
    assert clone(on).fit(X, y).score(X, y) == on.score(X, y)
    wider = FederatedClassifier(model=Model.perceptron(30, [4], 1), rounds=1).fit(X, y)
    assert wider.plan_.model.widths == (30, 4, 1)
    with pytest.raises(InputError, match="it reads 4 features for 1 outputs"):
        FederatedClassifier(model=Model.logistic(4)).fit(X, y)
    with pytest.raises(InputError, match="give a Model, or"):
        FederatedClassifier(model="mlp").fit(X, y)


@pytest.mark.parametrize("estimator", [FederatedClassifier(rounds=3), FederatedRegressor(rounds=3)])
def test_goes_out_as_an_onnx_file_that_says_simulated(estimator: Any) -> None:
    import onnx

    X, y = IRIS if is_classifier(estimator) else DIABETES
    fitted = clone(estimator).fit(X, y)
    blob = fitted.to_onnx()
    served = ServedModel(fitted.plan_, fitted.weights_, fitted.inputs_, target=getattr(fitted, "target_", (0.0, 1.0)))
    assert check_onnx(blob, served, X).real < 1e-4
    said = {entry.key: entry.value for entry in onnx.load_from_string(blob).metadata_props}
    assert said["fedproof.training"] == "simulated"
    with pytest.raises(InputError, match="simulated run; nothing of it is proven"):
        fitted.to_onnx(origin=Origin("proven", "7", b"\x01" * 64))


def test_a_proving_runner_gets_all_that_it_needs_and_is_named() -> None:
    X, y = CANCER
    proven = FederatedClassifier(rounds=2, run="prove", runner=Prover())
    with pytest.raises(InputError, match="takes centre and scale from public rows"):
        proven.fit(X, y)
    proven.fit(X[:400], y[:400], public=(X[400:], y[400:]))
    assert (proven.training_, proven.evidence_) == ("proven", "fedproof-run-1")
    assert proven.precision_report_.lines()[0] == "proven: each update was proven"
    simulated = FederatedClassifier(rounds=2).fit(X[:400], y[:400], public=(X[400:], y[400:]))
    assert np.array_equal(simulated.weights_[0], proven.weights_[0])
    with pytest.raises(InputError, match=r"needs folder=.*nothing was trained"):
        FederatedClassifier(run="prove").fit(X, y)
    with pytest.raises(InputError, match="without evidence"):
        clone(proven).set_params(runner=Prover(None)).fit(X[:400], y[:400], public=(X[400:], y[400:]))


def test_what_is_coarse_is_a_warning() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (200, 3))
    X[:10, 0] = 1e4
    public = (rng.normal(0, 0.01, (50, 3)), rng.integers(0, 2, 50))
    y = (X[:, 1] > 0).astype(int)
    with pytest.warns(PrecisionWarning, match="values are clipped at 8 scales"):
        FederatedClassifier(rounds=1).fit(X, y, public=public)
    with pytest.warns(PrecisionWarning, match="participants 1, 2 have fewer than 32 rows"):
        FederatedClassifier(rounds=1, participants=2).fit(X[10:40], y[10:40])


def test_before_fit_it_says_so() -> None:
    for estimator in (FederatedClassifier(), FederatedRegressor()):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            estimator.predict(CANCER[0])
        with pytest.raises(NotFittedError):
            estimator.to_onnx()


def test_a_fit_that_fails_leaves_nothing_of_the_last_one() -> None:
    fitted = FederatedClassifier(rounds=1).fit(*CANCER)
    with pytest.raises(ValueError, match="1 class"):
        fitted.fit(CANCER[0], np.zeros(569))
    with pytest.raises(NotFittedError):
        fitted.predict(CANCER[0])


X4, Y4 = np.arange(480.0).reshape(120, 4) % 17, np.arange(120) % 2


def spoilt(value: float) -> np.ndarray:
    out = X4.copy()
    out[3, 2] = value
    return out


@pytest.mark.parametrize(
    ("X", "y", "line"),
    [
        (spoilt(np.nan), Y4, "X holds NaN or infinity"),
        (spoilt(np.inf), Y4, "X holds NaN or infinity"),
        (spoilt(1e200), Y4, "beyond 1e+100"),
        (X4, np.where(Y4 > 0, np.nan, 0.0), "y holds NaN or infinity"),
        (X4, np.array([None, "a"] * 60, dtype=object), "y holds NaN or None"),
        (X4, np.array([1, "a"] * 60, dtype=object), "mixes labels of several types"),
        (X4, np.zeros(120), "y holds 1 class"),
        (X4, Y4[:-1], "y has shape (119,), and X has 120 rows"),
        (X4, np.stack([Y4, Y4], axis=1), "one label a row"),
        (X4, Y4 + 0.5, "Unknown label type: continuous"),
        (X4, None, "requires y to be passed"),
        (None, Y4, "give fit X and y, or participants"),
        (X4[0], Y4, "Reshape your data"),
        (X4[None], Y4, "X has shape (1, 120, 4)"),
        (X4[:, :0], Y4, "0 feature(s)"),
        (X4[:0], Y4[:0], "0 sample(s)"),
        (X4[:2], Y4[:2], "2 rows (n_samples=2) for 3 participants"),
        ([["a"] * 4] * 120, Y4, "holds what is no number"),
        ([[10**400] * 4] * 120, Y4, "holds what is no number"),
        ([[1.0] * 4] * 119 + [[1.0] * 3], Y4, "rows of different lengths"),
        (X4 + 1j, Y4, "Complex data not supported"),
    ],
)
def test_wrong_data_are_refused_in_one_line(X: Any, y: Any, line: str) -> None:
    with pytest.raises(InputError) as refused:
        FederatedClassifier(rounds=1).fit(X, y)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, FedproofError)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"participants": [(X4, Y4)]}, "at least 2 pairs"),
        ({"participants": [(X4, Y4), (X4,)]}, "at least 2 pairs"),
        ({"participants": [(X4, Y4), (X4[:, :3], Y4)]}, "participant 2: 3 columns; the first participant has 4"),
        ({"participants": [(X4, Y4), (spoilt(np.nan), Y4)]}, "participant 2: X holds NaN"),
        ({"participants": [(X4, Y4), (X4, Y4.astype(str))]}, "some participants name their classes"),
        ({"X": X4, "y": Y4, "participants": [(X4, Y4), (X4, Y4)]}, "either X and y, or participants"),
        ({"X": X4, "y": Y4, "public": X4}, "public: a pair (X, y) is needed"),
        ({"X": X4, "y": Y4, "public": (X4[:, :2], Y4)}, "public: 2 columns"),
    ],
)
def test_wrong_participants_are_refused_in_one_line(given: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refused:
        FederatedClassifier(rounds=1).fit(**given)
    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("rounds", 0), ("rounds", 2.0), ("rounds", 4096), ("epochs", 65), ("participants", 1), ("seed", -1),
     ("seed", None), ("seed", True), ("hidden_layer_sizes", (4, 0)), ("hidden_layer_sizes", "16"),
     ("hidden_layer_sizes", 10**6), ("run", "proved")],
)  # fmt: skip
def test_wrong_parameters_are_refused_by_name(parameter: str, value: Any) -> None:
    with pytest.raises(InputError, match=parameter):
        FederatedClassifier(**{parameter: value}).fit(X4, Y4)


def test_a_data_frame_brings_names_that_are_held_to() -> None:
    class Frame:
        def __init__(self, array: np.ndarray, columns: list[str]) -> None:
            self.array, self.columns = array, columns

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            return self.array

    fitted = FederatedClassifier(rounds=1).fit(Frame(X4, ["a", "b", "c", "d"]), Y4)
    assert fitted.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert fitted.inputs_.names == ("a", "b", "c", "d")
    fitted.predict(X4)
    with pytest.raises(InputError, match="feature names should match"):
        fitted.predict(Frame(X4, ["b", "a", "c", "d"]))
    with pytest.raises(InputError, match="X has 3 features, but FederatedClassifier is expecting 4 features"):
        fitted.predict(X4[:, :3])
    with pytest.raises(InputError, match="other names or another order"):
        FederatedClassifier().fit(participants=[(Frame(X4, list("abcd")), Y4), (Frame(X4, list("abdc")), Y4)])


def test_a_regression_keeps_the_target_s_unit() -> None:
    X, y = DIABETES
    small, large = FederatedRegressor(rounds=5).fit(X, y), FederatedRegressor(rounds=5).fit(X, y * 1000 + 1e6)
    assert np.allclose(large.predict(X), small.predict(X) * 1000 + 1e6, rtol=1e-3)
    constant = FederatedRegressor(rounds=2).fit(X, np.full(len(y), 7.5))
    assert np.abs(constant.predict(X) - 7.5).max() < 0.05
