"""Task and logits terms of language models against whole logits; nothing tokens × vocabulary."""

import copy

import pytest
import torch
from tiny import make_bert, make_llama, make_seq2seq, make_seq2seq_batch, make_text_batch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaForCausalLM,
)

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective, TaskTerm
from attndistill.capture.architectures import Item, predicted_item
from attndistill.errors import InputError
from attndistill.objectives import tokens
from attndistill.objectives.output_head import output_head

TEMPERATURE = 2.0
OBJECTIVE = Objective({"task": TaskTerm(weight=0.7), "logits": LogitsTerm(weight=0.4)})
SIZES = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "intermediate_size": 33,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def make(family, seed):
    torch.manual_seed(seed)
    match family:
        case "llama":
            return make_llama(2, seed)
        case "gpt2":
            sizes = {"n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 64}
            return GPT2LMHeadModel(GPT2Config(vocab_size=97, **sizes, initializer_range=0.4))
        case "gemma2":
            config = Gemma2Config(**SIZES, final_logit_softcapping=3.0, query_pre_attn_scalar=6)
            return Gemma2ForCausalLM(config)
        case "cohere":
            return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.3))
        case "granite":
            return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0))
        case "bart":
            model = make_seq2seq("bart", seed=seed)
            model.final_logits_bias.copy_(torch.randn(1, 97))
            return model
        case "t5":
            return make_seq2seq("t5", seed=seed)


def make_token_batch(family):
    if family in ("bart", "t5"):
        return make_seq2seq_batch([9, 4, 6], [5, 8, 3])
    return make_text_batch([9, 4, 6])


def dense_means(student, teacher, batch):
    """Both terms from whole logits, as the models form them."""
    seq2seq = student.config.is_encoder_decoder
    logits = []
    for model in (student, teacher):
        given = dict(batch)
        if seq2seq:
            shifted = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
            given["decoder_input_ids"] = shifted
        labels = given.pop("labels")
        logits.append(model.eval()(**given).logits)
    if not seq2seq:
        logits, labels = [side[:, :-1] for side in logits], labels[:, 1:]
    rows = labels != -100
    ours, theirs = (side[rows] for side in logits)
    task = F.cross_entropy(ours, labels[rows])
    log_s, log_t = ((side / TEMPERATURE).log_softmax(-1) for side in (ours, theirs.detach()))
    kl = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    return {"task": task, "logits": TEMPERATURE**2 * kl}


def gradients(model):
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [7, 97 * 1000])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "cohere", "granite", "bart", "t5"])
def test_values_and_gradients_are_those_of_whole_logits(family, chunk, monkeypatch):
    monkeypatch.setattr(tokens, "CHUNK_ELEMENTS", chunk)
    student, teacher = make(family, 1), make(family, 2)
    twin = copy.deepcopy(student)
    batch = make_token_batch(family)
    distiller = Distiller(student.eval(), teacher.eval(), objective=OBJECTIVE)
    step = distiller.step(batch)
    assert step.student.logits.numel() == step.teacher.logits.numel() == 0
    loss, means = distiller.plan.loss(step, distiller.plan.counts(batch))
    loss.backward()
    dense = dense_means(twin, teacher, batch)
    (0.7 * dense["task"] + 0.4 * dense["logits"]).backward()
    for name, mean in means.items():
        assert float(mean) == pytest.approx(float(dense[name]), rel=1e-5)
    ours, theirs = gradients(student), gradients(twin)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_terms_alone_have_gradients_of_their_own():
    student, teacher = make("llama", 1), make("llama", 2)
    batch = make_token_batch("llama")
    readings = Distiller(student, teacher, objective=OBJECTIVE).read_terms(batch)
    weights = list(student.parameters())
    for name, mean in dense_means(student, teacher, batch).items():
        weight = OBJECTIVE.terms[name].weight
        grads = torch.autograd.grad(weight * mean, weights, retain_graph=True)
        norm = torch.stack([gradient.norm() for gradient in grads]).norm()
        assert readings[name].value == pytest.approx(float(mean), rel=1e-5)
        assert readings[name].gradient_norm == pytest.approx(float(norm), rel=1e-4)


class Largest(TorchDispatchMode):
    """The largest tensor any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_tokens_times_vocabulary_is_never_held(monkeypatch):
    monkeypatch.setattr(tokens, "CHUNK_ELEMENTS", 2**14)
    sizes = {"vocab_size": 1999, "max_position_embeddings": 256}
    student, teacher = make_llama(1, 1, **sizes), make_llama(1, 2, **sizes)
    batch = make_text_batch([211, 97, 150])
    whole = batch["input_ids"].numel() * 1999
    with Largest() as seen:
        Distiller(student, teacher, objective=OBJECTIVE).loss(batch).backward()
    # The head's own weights and what attention takes are the largest that remain.
    assert seen.elements <= 1999 * 24 * 3 < whole / 8
    with Largest() as dense:
        student(**batch).loss.backward()
    assert dense.elements >= whole


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_nothing(side):
    student, teacher = make("llama", 1), make("llama", 2)
    distiller = Distiller(student, teacher, objective=OBJECTIVE)
    plain = distiller.read_terms(make_text_batch([9, 4]))
    padded = distiller.read_terms(make_text_batch([9, 4], pad_to=14, side=side))
    for name, reading in plain.items():
        assert padded[name].value == pytest.approx(reading.value, rel=1e-5)
        assert padded[name].gradient_norm == pytest.approx(reading.gradient_norm, rel=1e-4)


def test_without_labels_all_real_tokens_count():
    student, teacher = make("llama", 1), make("llama", 2)
    batch = make_text_batch([9, 4])
    del batch["labels"]
    distiller = Distiller(student, teacher, objective=Objective({"logits": LogitsTerm()}))
    assert distiller.counts([batch])["logits"] == 13
    with torch.no_grad():
        logits = [
            m.eval()(**batch).logits[batch["attention_mask"].bool()] for m in (student, teacher)
        ]
    log_s, log_t = ((side / TEMPERATURE).log_softmax(-1) for side in logits)
    kl = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
    assert float(distiller.loss(batch)) == pytest.approx(4 * float(kl), rel=1e-5)


def test_adapters_of_the_head_are_reached():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    student = peft.get_peft_model(make("llama", 1), config)
    distiller = Distiller(student, make("llama", 2), objective=OBJECTIVE)
    distiller.loss(make_token_batch("llama")).backward()
    reached = gradients(student)
    assert {name.split(".")[-3] for name in reached} == {"lora_A", "lora_B"}
    assert all(gradient.any() for gradient in reached.values())


def test_a_head_of_another_kind_is_not_taken_apart():
    class SinhForCausalLM(LlamaForCausalLM):
        def forward(self, input_ids=None, attention_mask=None, use_cache=None):
            output = super().forward(input_ids, attention_mask, use_cache=use_cache)
            output.logits = output.logits.sinh()
            return output

    student = SinhForCausalLM(make("llama", 1).config)
    assert output_head(student) is None
    batch = make_token_batch("llama")
    distiller = Distiller(student, make("llama", 2), objective=OBJECTIVE)
    assert distiller.step(batch).student.logits.shape == (3, 9, 97)
    dense = dense_means(student, make("llama", 2), batch)
    expected = 0.7 * dense["task"] + 0.4 * dense["logits"]
    assert float(distiller.loss(batch)) == pytest.approx(float(expected), rel=1e-5)


def test_classes_of_tokens_and_masked_words_count_per_token():
    sizes = {name: SIZES[name] for name in ("vocab_size", "hidden_size", "intermediate_size")}
    config = BertConfig(**sizes, num_hidden_layers=1, num_attention_heads=3, num_labels=5)
    batch = make_text_batch([9, 4])
    batch["labels"] = batch["labels"].where(batch["labels"] < 0, batch["labels"] % 5)
    for kind in (BertForTokenClassification, BertForMaskedLM):
        student, teacher = kind(config).eval(), kind(config).eval()
        assert predicted_item(student) is Item.TOKEN
        distiller = Distiller(student, teacher, objective=OBJECTIVE)
        assert distiller.counts([batch]) == {"task": 13, "logits": 13}
        means = distiller.plan.means(distiller.step(batch), distiller.counts([batch]))
        with torch.no_grad():
            outputs = [model(**batch) for model in (student, teacher)]
        rows = batch["labels"] != -100
        log_s, log_t = ((out.logits[rows] / TEMPERATURE).log_softmax(-1) for out in outputs)
        kl = F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)
        assert float(means["task"]) == pytest.approx(float(outputs[0].loss), rel=1e-5)
        assert float(means["logits"]) == pytest.approx(4 * float(kl), rel=1e-5)


def test_models_that_predict_different_things_are_refused():
    with pytest.raises(InputError, match="vocabularies differ: the student has 97 tokens, the"):
        Distiller(make_llama(1), make_llama(1, vocab_size=101), objective=OBJECTIVE)
    with pytest.raises(InputError, match=r"predicts one next_token at a time.* one example"):
        Distiller(make_llama(1), make_bert(1), objective=OBJECTIVE)
    attention = Objective({"attention": AttentionTerm()})
    distiller = Distiller(make_llama(1), make_llama(1, vocab_size=101), objective=attention)
    assert distiller.read_terms(make_text_batch([5]))["attention"].value > 0
    with pytest.raises(InputError, match="item is 'word'; choose example, token"):
        TaskTerm(item="word")
