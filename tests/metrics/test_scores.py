import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, root_mean_squared_error

from attndistill.errors import InputError
from attndistill.metrics import (
    Assessment,
    assess_label_sets,
    assess_language,
    assess_unlabelled,
    assess_values,
    mean_score,
    quality_of,
    values_of,
)

GENERATOR = np.random.default_rng(0)


def test_numbers_are_scipys_and_scikit_learns():
    truth = GENERATOR.normal(1e4, 1.0, 203)
    predicted = (truth + GENERATOR.normal(0, 0.7, 203)).astype(np.float32)
    quality = quality_of(assess_values(predicted, truth))
    assert quality.deciding == "RMSE"
    assert not quality.decisive.higher_is_better
    values = {name: metric.value for name, metric in quality.metrics.items()}
    assert values["RMSE"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert values["Pearson correlation"] == pytest.approx(pearsonr(truth, predicted)[0], abs=1e-6)
    assert values["Spearman correlation"] == pytest.approx(spearmanr(truth, predicted)[0])
    assert quality.baseline.value == pytest.approx(truth.std())
    spread = quality.metrics["Pearson correlation"].interval
    # Fisher: s.e. of r is about (1 − r²)/√N.
    r = values["Pearson correlation"]
    assert spread.high - spread.low == pytest.approx(
        2 * 1.96 * (1 - r * r) / np.sqrt(203), rel=0.25
    )


def test_a_correlation_with_a_constant_is_undefined_and_says_so():
    quality = quality_of(assess_values(np.zeros(9, np.float32), np.arange(9.0)))
    assert np.isnan(quality.metrics["Pearson correlation"].value)
    assert quality.metrics["Pearson correlation"].interval is None


def test_label_sets_are_scikit_learns():
    truth = GENERATOR.integers(0, 2, (97, 5))
    logits = GENERATOR.normal(size=(97, 5)).astype(np.float32)
    quality = quality_of(assess_label_sets(logits, truth))
    predicted = logits > 0
    assert quality.decisive.value == pytest.approx(f1_score(truth, predicted, average="micro"))
    assert quality.metrics["macro-F1"].value == pytest.approx(
        f1_score(truth, predicted, average="macro")
    )
    assert quality.metrics["all labels right"].value == (truth == predicted).all(1).mean()


def test_perplexity_weighs_tokens_and_resamples_documents():
    row_of_token = np.repeat(np.arange(50), GENERATOR.integers(1, 40, 50))
    losses = GENERATOR.exponential(2.0, len(row_of_token))
    labels = GENERATOR.integers(0, 9, len(row_of_token))
    assessed = assess_language(losses, labels, labels, row_of_token)
    quality = quality_of(assessed)
    assert quality.decisive.value == pytest.approx(np.exp(losses.mean()))
    assert quality.decisive.interval.low < quality.decisive.value < quality.decisive.interval.high
    assert quality.metrics["next-token accuracy"].value == 1.0
    assert quality.rows == 50
    twice = assess_language(losses + np.log(2), labels, labels, row_of_token)
    against = quality_of(twice, teacher=assessed)
    # The same resamples of both: exactly twice the teacher's, whatever the documents.
    assert (against.ratio.value, against.ratio.low, against.ratio.high) == pytest.approx((2, 2, 2))


def test_without_labels_the_teachers_classes_are_the_truth():
    of_teacher = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    teacher = assess_unlabelled(of_teacher, None)
    student = assess_unlabelled(np.eye(3, dtype=np.float32)[[0, 1, 1, 0]], teacher)
    quality = quality_of(student, teacher=teacher)
    assert quality.decisive.value == 0.75
    assert quality.ratio.value == 0.75
    assert quality_of(teacher).decisive.value == 1.0


def test_a_users_metric_is_a_score_like_any_other():
    mine = Assessment(scores={"Hits, all": mean_score(np.array([1.0, 0.0]))}, truth=np.arange(2))
    assert values_of(mine) == {"hits_all": 0.5}
    with pytest.raises(InputError, match="same rows"):
        quality_of(mine, teacher=Assessment(scores=mine.scores, truth=np.arange(1, 3)))


def test_a_share_that_is_none_is_refused_at_once():
    errors = np.array([2.0, 3.0])
    with pytest.raises(InputError, match=r"'rmse' is 2\.5, but a share is from 0 to 1.*number"):
        Assessment(scores={"rmse": mean_score(errors)}, truth=np.zeros(2))
    Assessment(scores={"rmse": mean_score(errors, unit="number")}, truth=np.zeros(2))
    with pytest.raises(InputError, match="unit is 'numbers'; did you mean 'number'"):
        Assessment(scores={"rmse": mean_score(errors, unit="numbers")}, truth=np.zeros(2))
