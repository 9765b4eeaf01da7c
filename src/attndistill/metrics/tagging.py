"""A class per token or word: entities where the labels are BIO, else classes token by token."""

from collections.abc import Sequence

import numpy as np

from .scores import Assessment, Baseline, Score, check_any_rows, f1_score, ratio_score, sum_by_row

Entity = tuple[str, int, int]


def assess_tags(
    predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray], names: Sequence[str]
) -> Assessment:
    """Tags of every word of every row.

    Entity F1 decides where the class names are BIO tags, else the macro-F1 over token classes.

    Args:
        predicted: per row the class of each labelled word, int [words].
        truth: likewise.
        names: the class names by number.
    """
    check_any_rows(len(truth))
    row_of_tag = np.repeat(np.arange(len(truth)), [len(row) for row in truth])
    labels, classes = np.concatenate(truth), np.concatenate(predicted)
    is_class = np.arange(len(names))
    hits, mentions = (
        np.stack([sum_by_row(column, row_of_tag, len(truth)) for column in table.T], axis=1)
        for table in (
            (labels[:, None] == is_class) & (classes[:, None] == is_class),
            (labels[:, None] == is_class).astype(int) + (classes[:, None] == is_class),
        )
    )
    tokens = sum_by_row(np.ones(len(labels)), row_of_tag, len(truth))
    scores = {
        "token macro-F1": f1_score(hits, mentions),
        "token accuracy": ratio_score(hits.sum(1), tokens),
    }
    baseline = None
    if is_bio(names):
        scores = {"entity F1": _entity_f1(predicted, truth, names), **scores}
        baseline = Baseline(name="no entity anywhere", value=0.0)
    return Assessment(
        scores=scores,
        truth=labels,
        answers=classes,
        row_of_answer=row_of_tag,
        baseline=baseline,
    )


def is_bio(names: Sequence[str]) -> bool:
    """Whether the classes are BIO tags: O, and others that begin with B- or I-."""
    return "O" in names and len(names) > 1 and all(n == "O" or n[:2] in ("B-", "I-") for n in names)


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities (type, first word, word after the last) of BIO tags.

    As in the CoNLL evaluation, an I- that continues nothing of its type begins an entity.
    """
    found, start, kind = set(), 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, of_kind = tag.partition("-")
        if kind and (prefix != "I" or of_kind != kind):
            found.add((kind, start, place))
            kind = ""
        if prefix != "O" and not kind:
            start, kind = place, of_kind
    return found


def _entity_f1(
    predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray], names: Sequence[str]
) -> Score:
    """2·TP / (predicted + true) over all entities of all rows."""
    counts = []
    for row, true_row in zip(predicted, truth, strict=True):
        ours, theirs = (entities([names[tag] for tag in tags]) for tags in (row, true_row))
        counts.append((len(ours & theirs), len(ours) + len(theirs)))
    hits, mentions = np.array(counts).T
    return f1_score(hits[:, None], mentions[:, None])
