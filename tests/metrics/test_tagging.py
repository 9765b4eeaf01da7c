import numpy as np
import pytest
from sklearn.metrics import f1_score

from attndistill.errors import InputError
from attndistill.metrics import assess_tags, quality_of
from attndistill.metrics.tagging import entities, is_bio

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-PER I-PER O B-LOC", {("PER", 1, 3), ("LOC", 4, 5)}),
        ("B-PER B-PER I-PER", {("PER", 0, 1), ("PER", 1, 3)}),
        ("B-PER I-LOC I-LOC", {("PER", 0, 1), ("LOC", 1, 3)}),
        ("I-LOC O I-LOC", {("LOC", 0, 1), ("LOC", 2, 3)}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_entities_are_those_of_the_conll_evaluation(tags, expected):
    assert entities(tags.split()) == expected


def test_bio_is_told_by_every_name():
    assert is_bio(BIO)
    assert not is_bio(("O", "B-PER", "NOUN"))
    assert not is_bio(("B-PER", "I-PER"))
    assert not is_bio(("O",))


def rows(*tags):
    return [np.array([BIO.index(tag) for tag in row.split()], dtype=int) for row in tags]


def test_entity_f1_by_hand():
    truth = rows("B-PER I-PER O B-LOC", "O B-LOC", "O")
    predicted = rows("B-PER I-PER O O", "B-PER B-LOC", "O")
    # 2 of 3 predicted are true, 2 of 3 true are found.
    quality = quality_of(assess_tags(predicted, truth, BIO))
    assert quality.deciding == "entity F1"
    assert quality.decisive.value == pytest.approx(2 / 3)
    assert quality.metrics["token accuracy"].value == pytest.approx(5 / 7)
    assert quality.baseline.value == 0.0
    assert quality.rows == 3


def test_other_classes_go_by_the_macro_f1_over_tokens():
    generator = np.random.default_rng(2)
    lengths = generator.integers(1, 9, 31)
    truth = [generator.integers(0, 4, n) for n in lengths]
    predicted = [generator.integers(0, 4, n) for n in lengths]
    quality = quality_of(assess_tags(predicted, truth, ("noun", "verb", "adverb", "rest")))
    assert quality.deciding == "token macro-F1"
    expected = f1_score(np.concatenate(truth), np.concatenate(predicted), average="macro")
    assert quality.decisive.value == pytest.approx(expected)


def test_agreement_counts_words_over_rows():
    truth = rows("O O O", "O")
    teacher = assess_tags(rows("O B-PER O", "O"), truth, BIO)
    student = assess_tags(rows("B-PER B-PER O", "O"), truth, BIO)
    assert quality_of(student, teacher=teacher).agreement.value == pytest.approx(3 / 4)
    with pytest.raises(InputError, match="same rows"):
        quality_of(student, teacher=assess_tags(rows("O", "O O O"), rows("O", "O O O"), BIO))
