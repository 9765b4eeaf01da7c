"""Texts that a model generates."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ..errors import InputError
from .inference import batch_starts, inference


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    tokenizer: Any,
    *,
    max_new_tokens: int,
    batch_size: int,
    description: str = "",
) -> list[str]:
    """Generate one text per prompt, as the model's generation config says.

    Args:
        model: an encoder–decoder, which reads the prompt, or a decoder, which continues it.
        prompts: token ids.
        tokenizer: of the model.
        max_new_tokens: at most; a length in the model's generation config takes precedence.
        batch_size: texts at a time.
        description: shown beside a progress bar on stderr; no bar when empty.

    Raises:
        InputError: there are no prompts.
    """
    if not prompts:
        raise InputError("there are no rows to write for: the data set is empty")
    # The longest first, so that a batch has little padding and memory runs out at once or never.
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    written = [""] * len(prompts)
    with inference(model):
        for start in batch_starts(len(order), batch_size, description):
            rows = order[start : start + batch_size]
            texts = _write(model, [prompts[row] for row in rows], tokenizer, max_new_tokens)
            for row, text in zip(rows, texts, strict=True):
                written[row] = text
    return written


def _write(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], tokenizer: Any, max_new_tokens: int
) -> list[str]:
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        # A decoder continues after the last token, so its prompts are padded on the left.
        decoder = not model.config.is_encoder_decoder
        place = slice(width - len(prompt), width) if decoder else slice(0, len(prompt))
        ids[row, place] = torch.tensor(prompt)
        mask[row, place] = 1
    own = model.generation_config
    has_length = own is not None and (own.max_length or own.max_new_tokens)
    lengths = {} if has_length else {"max_new_tokens": max_new_tokens}
    output = model.generate(  # type: ignore[operator]
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        pad_token_id=tokenizer.pad_token_id,
        **lengths,
    )
    new = output if model.config.is_encoder_decoder else output[:, width:]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
