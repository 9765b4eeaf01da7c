"""`attndistill bench step`: whole training steps of a 6-layer student of a 12-layer teacher."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification

from ..matching import resolve_layer_map
from ..objectives import AttentionTerm, LogitsTerm, Objective, TaskTerm, Term
from ..training import DistillationArguments, DistillationTrainer
from .cases import Case, Entry, Run, Setup

TEACHER_LAYERS, STUDENT_LAYERS = 12, 6
HEADS, HEAD_DIM = 12, 32
VOCABULARY = 30522
TEMPERATURE = 2.0
# Every case has as many tokens: a batch of short sentences, or one long document.
TOKENS, QUICK_TOKENS = 2048, 512
LENGTHS, QUICK_LENGTHS = (128, 512, 1024, 2048), (128, 512)

Batch = dict[str, Tensor]


def entries(
    device: str, *, quick: bool, only: Sequence[str], say: Callable[[str], None]
) -> list[Entry]:
    """The cases and contenders of a run, as for the losses; all that ``only`` allows."""
    tokens, lengths = (QUICK_TOKENS, QUICK_LENGTHS) if quick else (TOKENS, LENGTHS)
    found = []
    for length in lengths:
        case = Case(
            kind="kl",
            batch=tokens // length,
            heads=HEADS,
            length=length,
            head_dim=HEAD_DIM,
            device=device,
        )
        setups: dict[str, Setup] = {
            name: partial(step_run, case, name) for name in CONTENDERS if not only or name in only
        }
        found.append(Entry(case=case, setups=setups, products={}))
    return found


def step_run(case: Case, name: str) -> Run:
    """The training step of one contender on seeded models and one seeded batch."""
    return CONTENDERS[name](case)


def make_model(case: Case, layers: int, attention: str, seed: int) -> BertForSequenceClassification:
    """A BERT of the case's width with random weights.

    Without dropout on attention: with it SDPA has no flash kernel on a CPU, and eager maps are
    not those of the model.
    """
    torch.manual_seed(seed)
    hidden_size = case.heads * case.head_dim
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=case.heads,
        max_position_embeddings=case.length,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
    )
    model = BertForSequenceClassification(config)
    model.set_attn_implementation(attention)
    model.to(case.device)  # type: ignore[arg-type]
    return model


def make_batch(case: Case) -> Batch:
    """Random tokens of full length with labels."""
    generator = torch.Generator().manual_seed(2)
    shape = (case.batch, case.length)
    ids = torch.randint(VOCABULARY, shape, generator=generator)
    labels = torch.arange(case.batch) % 2
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return {name: tensor.to(case.device) for name, tensor in batch.items()}


def trainer_loss(
    case: Case, student: BertForSequenceClassification, objective: Objective
) -> Callable[[], Tensor]:
    """The loss of `DistillationTrainer` on the batch, SDPA staying on."""
    teacher = make_model(case, TEACHER_LAYERS, "sdpa", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = DistillationArguments(
            output_dir=folder, report_to="none", use_cpu=case.device == "cpu"
        )
        trainer = DistillationTrainer(student, teacher, arguments, objective=objective)
    batch = make_batch(case)
    student.train()

    def loss() -> Tensor:
        batches, items = trainer.get_batch_samples(iter([batch]), 1, student.device)
        return trainer.compute_loss(student, batches[0], num_items_in_batch=items)

    return loss


def textbook_loss(case: Case, student: BertForSequenceClassification) -> Callable[[], Tensor]:
    """Task, logits and attention, from the maps of eager attention with `output_attentions`."""
    teacher = make_model(case, TEACHER_LAYERS, "eager", seed=0).eval()
    pairs = resolve_layer_map("uniform", STUDENT_LAYERS, TEACHER_LAYERS).pairs
    batch = make_batch(case)
    unlabelled = {name: tensor for name, tensor in batch.items() if name != "labels"}
    student.train()

    def loss() -> Tensor:
        with torch.no_grad():
            taught = teacher(**unlabelled, output_attentions=True)
        output = student(**batch, output_attentions=True)
        logits = F.kl_div(
            F.log_softmax(output.logits / TEMPERATURE, -1),
            F.softmax(taught.logits / TEMPERATURE, -1),
            reduction="batchmean",
        )
        rows = case.batch * case.heads * case.length
        attention = [
            F.kl_div(
                output.attentions[learner].clamp_min(1e-12).log(),
                taught.attentions[guide],
                reduction="sum",
            )
            / rows
            for learner, guide in pairs
        ]
        return output.loss + TEMPERATURE**2 * logits + torch.stack(attention).mean()

    return loss


def _step(student: BertForSequenceClassification, loss: Callable[[], Tensor]) -> Run:
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5)

    def run() -> tuple[Tensor, ...]:
        value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return (value.detach(),)

    return run


def _with_trainer(case: Case, *, attention: bool) -> Run:
    student = make_model(case, STUDENT_LAYERS, "sdpa", seed=1)
    return _step(student, trainer_loss(case, student, make_objective(attention=attention)))


def make_objective(*, attention: bool) -> Objective:
    """Task and logits, and attention where wanted."""
    terms: dict[str, Term] = {"task": TaskTerm(), "logits": LogitsTerm(temperature=TEMPERATURE)}
    if attention:
        terms["attention"] = AttentionTerm(kind="kl")
    return Objective(terms)


def _textbook(case: Case) -> Run:
    student = make_model(case, STUDENT_LAYERS, "eager", seed=1)
    return _step(student, textbook_loss(case, student))


CONTENDERS: dict[str, Callable[[Case], Run]] = {
    "logits-only": partial(_with_trainer, attention=False),
    "attention": partial(_with_trainer, attention=True),
    "textbook-eager": _textbook,
}
