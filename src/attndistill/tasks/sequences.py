"""How a row of text becomes the tokens of a language model and their labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import InputError
from ..objectives import IGNORED_LABEL

# In a chat template, this block says which tokens are the assistant's.
GENERATION_BLOCK = "{% generation %}"


class Tokens(NamedTuple):
    """A text as tokens; labels are the tokens to be learnt, IGNORED_LABEL elsewhere."""

    input_ids: list[int]
    labels: list[int]


def of_text(text: str, tokenizer: Any) -> Tokens:
    """Every token is learnt from those before it, and the end of the text."""
    ids = ended(tokenizer(text)["input_ids"], tokenizer)
    return Tokens(ids, list(ids))


def of_completion(prompt: str, completion: str, tokenizer: Any) -> Tokens:
    """The completion and its end are learnt, the prompt is given.

    Both are cut into tokens apart, as they are where the prompt is alone.
    """
    given = opening(tokenizer(prompt)["input_ids"], tokenizer)
    learnt = ended(tokenizer(completion, add_special_tokens=False)["input_ids"], tokenizer)
    return Tokens(given + learnt, [IGNORED_LABEL] * len(given) + learnt)


def of_messages(messages: Sequence[dict[str, str]], tokenizer: Any) -> Tokens:
    """What the assistant says is learnt, everything else is given.

    Raises:
        InputError: the tokenizer's chat template does not say which tokens are the assistant's.
    """
    if GENERATION_BLOCK in tokenizer.chat_template:
        encoded = tokenizer.apply_chat_template(
            messages, return_dict=True, return_assistant_tokens_mask=True
        )
        ids, learnt = encoded["input_ids"], encoded["assistant_masks"]
        labels = [token if mask else IGNORED_LABEL for token, mask in zip(ids, learnt, strict=True)]
        return Tokens(ids, labels)
    ids = _chat(messages, tokenizer)
    labels = [IGNORED_LABEL] * len(ids)
    for turn, message in enumerate(messages):
        if message["role"] == "assistant":
            start = _chat(messages[:turn], tokenizer, add_generation_prompt=True)
            end = _chat(messages[: turn + 1], tokenizer)
            if ids[: len(start)] != start or ids[: len(end)] != end:
                raise InputError(
                    "the chat template of the teacher's tokenizer writes earlier turns differently "
                    "once there are later ones, so the assistant's tokens cannot be told; mark "
                    "them in the template with {% generation %} … {% endgeneration %}"
                )
            labels[len(start) : len(end)] = ids[len(start) : len(end)]
    return Tokens(ids, labels)


def ended(ids: list[int], tokenizer: Any) -> list[int]:
    """The tokens with the end of the text, where the tokenizer has such a token."""
    end = tokenizer.eos_token_id
    return ids if end is None or (ids and ids[-1] == end) else [*ids, end]


def opening(ids: list[int], tokenizer: Any) -> list[int]:
    """The tokens without an end of the text: more is to follow."""
    end = tokenizer.eos_token_id
    return ids[:-1] if end is not None and ids and ids[-1] == end else ids


def cut(tokens: Tokens, length: int) -> Tokens:
    """The first tokens; the very first is learnt from nothing, so it is no label."""
    ids, labels = tokens.input_ids[:length], tokens.labels[:length]
    return Tokens(ids, [IGNORED_LABEL, *labels[1:]])


def pieces(tokens: Tokens, length: int) -> list[Tokens]:
    """All tokens in pieces of at most ``length``; a single token at the end teaches nothing."""
    starts = range(0, len(tokens.input_ids), length)
    parts = [
        Tokens(tokens.input_ids[start : start + length], tokens.labels[start : start + length])
        for start in starts
    ]
    return [cut(part, length) for part in parts if len(part.input_ids) > 1]


def _chat(messages: Sequence[dict[str, str]], tokenizer: Any, **options: Any) -> list[int]:
    return tokenizer.apply_chat_template(messages, return_dict=True, **options)["input_ids"]
