"""Which query rows of a batch count: padding of queries is in no attention mask.

A padded query of BERT still sees every real key, and a seq2seq decoder fed with ``labels`` gets no
mask at all; so rows are taken from the batch, and can be counted before any forward.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ..capture.architectures import Item
from ..errors import InputError
from ..matching import Queries

IGNORED_LABEL = -100


def query_rows(batch: Mapping[str, Tensor], queries: Queries) -> Tensor | None:
    """Queries that are not padding, bool [B, Q]; None where a batch has no tokens (pixels, sound).

    Args:
        batch: the collated batch.
        queries: ``INPUT``: the attention mask's ones. ``TARGET``: those of the decoder's mask, else
            the labels that are not −100.
    """
    if queries is Queries.TARGET:
        if (mask := batch.get("decoder_attention_mask")) is not None:
            return mask.bool()
        if (labels := batch.get("labels")) is not None:
            return labels != IGNORED_LABEL
        ids = batch.get("decoder_input_ids")
        return None if ids is None else torch.ones_like(ids, dtype=torch.bool)
    return valid_keys(batch, queries)


def valid_keys(batch: Mapping[str, Tensor], owner: Queries) -> Tensor | None:
    """Keys that are not padding, bool [B, K]; None where a batch has no tokens (pixels, sound)."""
    prefix = "decoder_" if owner is Queries.TARGET else ""
    tokens = batch.get(f"{prefix}input_ids", batch.get(f"{prefix}inputs_embeds"))
    if tokens is None and owner is Queries.TARGET:
        tokens = batch.get("labels")
    if tokens is None:
        return None
    mask = batch.get(f"{prefix}attention_mask")
    if mask is None or mask.dim() > 2:
        return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return mask.bool()


def count_examples(batch: Mapping[str, Tensor]) -> Tensor:
    """Examples in a batch, a scalar."""
    first = next(iter(batch.values()))
    return torch.tensor(first.shape[0], device=first.device)


def required_labels(batch: Mapping[str, Tensor]) -> Tensor:
    """The batch's labels.

    Raises:
        InputError: it has none.
    """
    labels = batch.get("labels")
    if labels is None:
        raise InputError(
            "the task term needs labels, but the batch has only "
            f"{', '.join(sorted(batch))}; add labels or remove the task term"
        )
    return labels


def count_pairs(
    batch: Mapping[str, Tensor], queries: Queries, *, cross: bool, causal: bool
) -> Tensor:
    """Number of pairs of a query and a key left by padding and causality, a scalar.

    A sliding window is not taken into account.

    Args:
        batch: the collated batch.
        queries: whose tokens are the queries.
        cross: the keys are the input's tokens, not the queries' own.
        causal: a query sees no key after itself.
    """
    rows = query_rows(batch, queries)
    if rows is None:
        return count_examples(batch)
    keys = valid_keys(batch, Queries.INPUT if cross else queries)
    if keys is None:
        raise InputError(
            "score_mse counts pairs of a query and a key, but this batch does not say which of "
            f"its keys are padding (it has {', '.join(sorted(batch))}); compare probabilities, "
            "for example with kind kl"
        )
    if causal:
        return (rows * keys.cumsum(-1)).sum()
    return (rows.sum(-1) * keys.sum(-1)).sum()


def token_targets(batch: Mapping[str, Tensor], item: Item) -> tuple[Tensor | None, Tensor]:
    """What a model's rows of logits are to predict, and which of them count.

    Args:
        batch: the collated batch.
        item: what the rows predict; not ``EXAMPLE``.

    Returns:
        The label of each row, [B, N], or None without labels; and bool [B, N]: where there is a
        label other than −100 or, without labels, a token that is not padding.

    Raises:
        InputError: the batch has neither labels nor tokens.
    """
    labels = batch.get("labels")
    mask = batch.get("attention_mask")
    if labels is None:
        valid = query_rows(batch, Queries.TARGET if item is Item.TARGET_TOKEN else Queries.INPUT)
        if valid is None:
            raise InputError(
                "the batch has neither labels nor tokens to tell which predictions count, only "
                f"{', '.join(sorted(batch))}; add labels or input_ids"
            )
        return None, valid
    if item is not Item.NEXT_TOKEN:
        return labels, labels != IGNORED_LABEL
    labels = F.pad(labels[:, 1:], (0, 1), value=IGNORED_LABEL)
    valid = labels != IGNORED_LABEL
    if mask is not None and mask.shape == labels.shape:  # padding on the left predicts nothing
        valid = valid & mask.bool()
    return labels, valid
