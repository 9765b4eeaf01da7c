"""Language models: how well each token is predicted, over documents."""

import numpy as np

from .scores import Assessment, Score, Unit, ratio_score, sum_by_row


def assess_language(
    losses: np.ndarray, answers: np.ndarray, labels: np.ndarray, row_of_token: np.ndarray
) -> Assessment:
    """Perplexity decides, exp(Σ loss / Σ tokens), with the next token's accuracy beside it.

    Args:
        losses: float [M], −log P(label) of every labelled token, in nats.
        answers: int [M], the likeliest token.
        labels: int [M], the true token.
        row_of_token: int [M], the document of each, from 0.
    """
    rows = int(row_of_token.max()) + 1
    tokens = sum_by_row(np.ones(len(labels)), row_of_token, rows)
    return Assessment(
        scores={
            "perplexity": _perplexity(sum_by_row(losses, row_of_token, rows), tokens),
            "next-token accuracy": ratio_score(
                sum_by_row(answers == labels, row_of_token, rows), tokens
            ),
        },
        truth=labels,
        answers=answers,
        row_of_answer=row_of_token,
    )


def _perplexity(losses: np.ndarray, tokens: np.ndarray) -> Score:
    mean_loss = ratio_score(losses, tokens)
    return Score(
        rows=mean_loss.rows,
        statistic=lambda sums: np.exp(mean_loss.statistic(sums)),
        unit=Unit.NUMBER,
        higher_is_better=False,
    )
