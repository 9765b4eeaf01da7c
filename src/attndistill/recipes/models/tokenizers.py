"""Teacher and student must have the same tokenizer: both are given the same batches."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...errors import InputError

PROBE = "Probe: the same TEXT, naïvely cut into tokens (12,345)?"
# SentencePiece's mark for a space: T5's tokenizer has it even without files.
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"


def check_same_tokenizer(
    student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase
) -> None:
    """Refuse a student whose tokenizer differs from the teacher's.

    Vocabularies, special tokens and the encoding of a probe text are compared.

    Raises:
        InputError: naming what differs.
    """
    difference = (
        _vocabulary_difference(student.get_vocab(), teacher.get_vocab())
        or _special_tokens_difference(student, teacher)
        or _encoding_difference(student, teacher)
    )
    if difference:
        raise InputError(
            f"student.model's tokenizer differs from the teacher's: {difference}; token-wise "
            "distillation needs the same one: start from a student with the teacher's tokenizer, "
            "or use student.keep_layers or student.config"
        )


def check_knows_words(processor: Any, name: str, path: str) -> None:
    """Refuse the tokenizer that Transformers makes up for a folder without one.

    Raises:
        InputError: it knows only special tokens, so every word is unknown.
    """
    if not isinstance(processor, PreTrainedTokenizerBase):
        return
    if set(processor.get_vocab()) <= {*processor.all_special_tokens, WORD_START}:
        raise InputError(
            f"{path}: {name!r} has no tokenizer: every word would be unknown; save the model's own "
            "tokenizer there (tokenizer.save_pretrained)"
        )


def check_vocabulary(processor: Any, model: PreTrainedModel, path: str) -> None:
    """Refuse a text model that has no embedding for some of its tokenizer's tokens.

    Raises:
        InputError: naming both sizes.
    """
    if not isinstance(processor, PreTrainedTokenizerBase):
        return
    highest = max(processor.get_vocab().values())
    embeddings = len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    if highest >= embeddings:
        raise InputError(
            f"{path} has {embeddings} token embeddings, but its tokenizer numbers its tokens up "
            f"to {highest}: give the tokenizer that belongs to the model"
        )


def _vocabulary_difference(student: Mapping[str, int], teacher: Mapping[str, int]) -> str | None:
    if student == teacher:
        return None
    only_student, only_teacher = student.keys() - teacher.keys(), teacher.keys() - student.keys()
    if not only_student and not only_teacher:
        moved = min(token for token in student if student[token] != teacher[token])
        return (
            f"the same vocabulary is numbered differently ({moved!r} is {student[moved]} in the "
            f"student, {teacher[moved]} in the teacher)"
        )
    sides = (("student", only_student), ("teacher", only_teacher))
    examples = ", ".join(f"{min(tokens)!r} only in the {side}" for side, tokens in sides if tokens)
    return f"vocabularies of {len(student)} and {len(teacher)} tokens ({examples})"


def _special_tokens_difference(
    student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase
) -> str | None:
    ours, theirs = student.special_tokens_map, teacher.special_tokens_map
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            return (
                f"{name} is {ours.get(name)!r} in the student, {theirs.get(name)!r} in the teacher"
            )
    return None


def _encoding_difference(
    student: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase
) -> str | None:
    if student(PROBE)["input_ids"] == teacher(PROBE)["input_ids"]:
        return None
    return f"the same vocabulary, but {PROBE!r} is split into other tokens (lower-casing, accents?)"
