import numpy as np
import pytest
from metrics.answers import answers, logits_of
from sklearn.metrics import f1_score

from attndistill.errors import InputError
from attndistill.metrics import assess_classes, classification, paired_difference, quality_of
from attndistill.metrics.classification import expected_calibration_error


def test_calibration_error_by_hand():
    # Confidences .92 and .95 share bin 14 (.9333 is its lower end for .95 only), .61 has its own:
    # bins of width 1/15 end at .6 .6667 and .8667 .9333 1.
    logits = logits_of([0.92, 0.08], [0.95, 0.05], [0.39, 0.61])
    by_hand = (abs(1 - 0.92) + abs(0 - 0.95) + abs(1 - 0.61)) / 3
    assert expected_calibration_error(logits, np.array([0, 1, 1])) == pytest.approx(
        by_hand, abs=1e-6
    )


def test_calibration_gaps_of_one_bin_cancel():
    # Both confidences are .9, in one bin, with one hit: |0.5 − 0.9|.
    logits = logits_of([0.9, 0.1], [0.9, 0.1])
    assert expected_calibration_error(logits, np.array([0, 1])) == pytest.approx(0.4, abs=1e-6)


def test_the_bins_of_the_calibration_error_are_named(monkeypatch):
    monkeypatch.setattr(classification, "CALIBRATION_BINS", 1)
    # Over and under confidence by .4 cancel in the one bin.
    assessed = assess_classes(logits_of([0.6, 0.4], [0.6, 0.4], [0.2, 0.8]), np.array([0, 0, 0]))
    error = assessed.figures["calibration error (ECE, 1 bins)"]
    assert error.value == pytest.approx(abs(2 * 0.4 - 0.8) / 3, abs=1e-6)


def test_full_confidence_is_in_the_last_bin():
    certain = np.array([[1000.0, 0.0]], np.float32)
    assert expected_calibration_error(certain, np.array([0])) == 0.0


def test_macro_f1_and_majority_by_hand():
    # Class 0: TP 2, FP 1, FN 0: 4/5. Class 1: TP 1, FP 0, FN 1: 2/3. Class 2: TP 1: 1.
    logits = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2]]
    quality = quality_of(assess_classes(logits, np.array([0, 0, 1, 1, 2])))
    assert quality.metrics["macro-F1"].value == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    assert quality.decisive.value == pytest.approx(4 / 5)
    assert quality.baseline.value == pytest.approx(2 / 5)
    assert quality.agreement is None
    assert quality.ratio is None


def test_macro_f1_equals_scikit_learns():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 5, 203)
    logits = generator.normal(size=(203, 5)).astype(np.float32)
    expected = f1_score(labels, logits.argmax(1), average="macro")
    assert quality_of(assess_classes(logits, labels)).metrics["macro-F1"].value == pytest.approx(
        expected
    )


def test_accuracy_interval_is_the_binomials():
    right = np.arange(1000) < 800
    accuracy = quality_of(answers(np.arange(1000) % 2, right)).decisive.interval
    # 1.96·√(0.8·0.2/1000) = 0.0248
    assert accuracy.low == pytest.approx(0.8 - 0.0248, abs=0.003)
    assert accuracy.high == pytest.approx(0.8 + 0.0248, abs=0.003)


def test_paired_difference_has_mcnemars_spread():
    """Its variance is that of the rows where the models differ, not of two independent samples."""
    labels = np.arange(1000) % 2
    right_a, right_b = np.ones(1000, bool), np.ones(1000, bool)
    right_a[:100] = right_b[:100] = False
    right_a[100:110] = False
    right_b[110:140] = False
    difference = paired_difference(answers(labels, right_a), answers(labels, right_b))
    assert difference.value == pytest.approx(0.02)
    spread = 1.96 * np.sqrt((40 / 1000 - 0.02**2) / 1000)
    assert difference.high - difference.value == pytest.approx(spread, rel=0.15)
    assert difference.excludes(0.0)


def test_models_that_differ_on_few_rows_are_not_told_apart():
    labels = np.arange(200) % 2
    right_a = np.arange(200) % 5 > 0
    right_b = right_a.copy()
    right_b[[1, 2, 3]] = False
    right_b[[0, 5]] = True
    assert not paired_difference(answers(labels, right_a), answers(labels, right_b)).excludes(0.0)


def test_a_copy_keeps_all_of_the_teacher():
    predictions = answers(np.arange(50) % 2, np.arange(50) % 3 > 0)
    quality = quality_of(predictions, teacher=predictions)
    for exact, value in ((quality.ratio, 1.0), (quality.difference, 0.0)):
        assert (exact.value, exact.low, exact.high) == (value, value, value)
    assert quality.agreement.value == quality.agreement.high == 1.0


def test_a_share_of_all_rows_or_none_has_the_binomials_interval():
    labels = np.arange(30) % 2
    all_right = quality_of(answers(labels, np.ones(30, bool))).decisive.interval
    # A model that is right with probability 0.8843 is right 30 times in a row in 2.5 % of cases.
    assert all_right.low == pytest.approx(0.8843, abs=1e-4)
    assert (all_right.value, all_right.high) == (1.0, 1.0)
    none_right = quality_of(answers(labels, np.zeros(30, bool))).decisive.interval
    assert (none_right.low, none_right.high) == (0.0, pytest.approx(1 - 0.8843, abs=1e-4))


def test_ratio_is_a_ratio_of_accuracies_resampled_together():
    labels = np.arange(400) % 2
    teacher = answers(labels, np.arange(400) < 360)
    student = answers(labels, np.arange(400) < 324)
    share = quality_of(student, teacher=teacher).ratio
    assert share.value == pytest.approx(0.9)
    # Ratio of a subset: s.e. √(0.9·0.1/360) = 0.0158.
    assert share.high - share.low == pytest.approx(2 * 1.96 * 0.0158, rel=0.15)


def test_a_teacher_that_knows_nothing_has_no_share_to_retain():
    labels = np.arange(10) % 2
    quality = quality_of(answers(labels, labels >= 0), teacher=answers(labels, labels < 0))
    assert quality.ratio is None
    assert quality.difference.value == 1.0


def test_other_rows_are_refused():
    a, b = answers([0, 1, 1], [1, 1, 1]), answers([1, 1, 1], [1, 1, 1])
    with pytest.raises(InputError, match="same rows"):
        paired_difference(a, b)
    with pytest.raises(InputError, match="same rows"):
        quality_of(a, teacher=answers([0, 1], [1, 1]))


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="at least one test row"):
        quality_of(answers(np.empty(0, int), np.empty(0, bool)))
