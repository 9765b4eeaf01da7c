"""Logits distillation (Hinton et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from ..capture.architectures import Item, predicted_item
from ..errors import InputError
from ..matching import LayerMapSpec
from .counting import count_examples
from .step import FittedTerm, Step, check_positive, check_same_shape
from .tokens import TokenTerm


@dataclass(frozen=True, kw_only=True)
class LogitsTerm:
    """T² · KL(softmax(teacher/T) ‖ softmax(student/T)) per example or predicted token, in nats.

    T² keeps the gradient's size independent of T (Hinton, Vinyals & Dean 2015, section 2.1). Tokens
    count where the label is not −100 or, without labels, where they are not padding. For language
    models the logits are formed some tokens at a time, see `objectives.tokens`.

    Attributes:
        weight: its factor in the objective.
        temperature: T, above 0; higher shows more of the teacher's ranking of wrong classes.
        item: what a row of logits predicts, see `predicted_item`; None: given by the models' class.
    """

    weight: float = 1.0
    temperature: float = 2.0
    item: str | None = None
    needs_teacher = True

    def __post_init__(self) -> None:
        check_positive("LogitsTerm.weight", self.weight)
        check_positive("LogitsTerm.temperature", self.temperature)
        if self.item is not None:
            Item(self.item)

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> FittedTerm:
        """The term for models that predict the same.

        Raises:
            InputError: they predict different things, or tokens of different vocabularies.
        """
        assert teacher is not None, "terms that need a teacher are fitted to one"
        item, other = predicted_item(student), predicted_item(teacher)
        if self.item is None and item is not other:
            raise InputError(
                f"the student, {type(student).__name__}, predicts one {item} at a time, the "
                f"teacher, {type(teacher).__name__}, one {other}; use models for the same task"
            )
        if item in (Item.NEXT_TOKEN, Item.TARGET_TOKEN):
            _check_vocabularies(student, teacher)
        item = Item(self.item or item)
        if item is Item.EXAMPLE:
            return ExampleLogits(self)
        return TokenTerm(
            weight=self.weight, item=item, needs_teacher=True, row_losses=self.row_losses
        )

    def row_losses(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """T² · KL(teacher ‖ student) of each row of logits."""
        assert teacher is not None, "the term needs a teacher"
        log_p_student = F.log_softmax(student / self.temperature, dim=-1)
        log_p_teacher = F.log_softmax(teacher / self.temperature, dim=-1)
        kl = F.kl_div(log_p_student, log_p_teacher, reduction="none", log_target=True)
        return self.temperature**2 * kl.sum(-1)


@dataclass(frozen=True)
class ExampleLogits:
    """A `LogitsTerm` on models with one row of logits per example."""

    settings: LogitsTerm
    needs_teacher = True

    @property
    def weight(self) -> float:
        """Factor of the term's mean in the objective."""
        return self.settings.weight

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Examples in the batch."""
        return count_examples(batch)

    def total(self, step: Step) -> Tensor:
        """Σ over examples of T² · KL(teacher ‖ student)."""
        student, teacher = step.student.logits, step.teacher.logits
        check_same_shape(student, teacher)
        return self.settings.row_losses(student.float(), teacher.float(), None).sum()


def _check_vocabularies(student: nn.Module, teacher: nn.Module) -> None:
    sizes = [
        model.config.get_text_config(decoder=True).vocab_size  # type: ignore[operator, union-attr]
        for model in (student, teacher)
    ]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"vocabularies differ: the student has {sizes[0]} tokens, the teacher {sizes[1]}; "
            "their probabilities of a next token cannot be compared: use models that share a "
            "tokenizer, or leave this term out (attention can still be distilled)"
        )
