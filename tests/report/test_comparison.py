import numpy as np
import pytest
from metrics.answers import answers

from attndistill.errors import InputError
from attndistill.metrics import assess_values, quality_of
from attndistill.report import ArmRun, compare_arms
from attndistill.report.claims import arm_claim, comparison_caveats

ROWS = 600
LABELS = np.arange(ROWS) % 2
QUALITY = quality_of(answers(LABELS, LABELS >= 0))


def make_run(name, seed, first_right):
    return ArmRun(
        name=name,
        seed=seed,
        terms=(name,),
        training_seconds=1.0,
        assessed=answers(LABELS, np.arange(ROWS) < first_right),
    )


def test_a_clear_difference_is_claimed_and_a_small_one_is_not():
    runs = [make_run("full", 0, 480), make_run("task", 0, 420), make_run("logits", 0, 478)]
    comparison = compare_arms(runs)
    assert comparison.reference == "full"
    against_task, against_logits = comparison.differences
    assert against_task.difference.value == pytest.approx(0.1)
    assert "“full” is better in accuracy than “task”: +10.0 points" in arm_claim(
        against_task, QUALITY
    )
    assert "no difference is claimed" in arm_claim(against_logits, QUALITY)
    worse = compare_arms(runs, reference="task").differences[0]
    assert "“task” is worse in accuracy than “full”" in arm_claim(worse, QUALITY)


def test_a_lower_error_is_better_in_the_comparison_of_arms():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=300)
    near = assess_values(truth + 0.1, truth)
    far = assess_values(truth + generator.normal(0, 1, 300), truth)
    runs = [
        ArmRun(name=name, seed=0, terms=(name,), training_seconds=1.0, assessed=assessed)
        for name, assessed in (("near", near), ("far", far))
    ]
    (difference,) = compare_arms(runs).differences
    claim = arm_claim(difference, quality_of(near))
    assert claim.startswith("“near” is better in RMSE than “far”: −0.")


def test_one_seed_and_many_intervals_are_owned_up_to():
    one_seed = compare_arms([make_run("a", 0, 9), make_run("b", 0, 8), make_run("c", 0, 7)])
    assert len(comparison_caveats(one_seed)) == 2
    runs = [make_run(name, seed, 9) for name in "ab" for seed in (0, 1)]
    assert comparison_caveats(compare_arms(runs)) == []


def test_seeds_are_paired_and_their_spread_is_in_the_interval():
    # Every seed gains 0.05, but accuracy swings by 0.3 between seeds.
    runs = [make_run("a", s, n + 30) for s, n in enumerate((300, 390, 480))]
    runs += [make_run("b", s, n) for s, n in enumerate((300, 390, 480))]
    comparison = compare_arms(runs)
    (difference,) = comparison.differences
    assert difference.seeds == (0, 1, 2)
    assert difference.difference.value == pytest.approx(0.05)
    # Other 30 rows of 600 in each seed. The weights w of 3 resampled seeds have E Σ(w − ⅓)² = 2/9,
    # widened by (3/2)·(4.303/1.960)² = 7.23: 2·1.96·√((0.05·(⅓ + 7.23·2/9) − 0.05²)/600) = 0.0492.
    # Rows that are not paired give several times more.
    assert difference.difference.high - difference.difference.low == pytest.approx(0.0492, rel=0.1)
    score = comparison.summaries[0].score
    assert score.value == pytest.approx((330 + 420 + 510) / 3 / ROWS)
    assert score.high - score.low > 0.2


def test_arms_without_a_shared_seed_are_refused():
    with pytest.raises(InputError, match="share no seed"):
        compare_arms([make_run("a", 0, 5), make_run("b", 1, 5)])


def test_two_runs_of_one_arm_and_seed_are_refused():
    with pytest.raises(InputError, match="two runs of arm 'a' have seed 0"):
        compare_arms([make_run("a", 0, 5), make_run("a", 0, 6)])


def test_an_unknown_reference_is_refused():
    with pytest.raises(InputError, match="'c' is not one of a, b"):
        compare_arms([make_run("a", 0, 5), make_run("b", 0, 5)], reference="c")


def test_no_runs_compare_to_nothing():
    assert compare_arms([]).arms == ()
