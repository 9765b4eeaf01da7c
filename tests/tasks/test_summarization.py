from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer

from attndistill.errors import InputError
from attndistill.measure import generate
from attndistill.metrics import assess_summaries, quality_of
from attndistill.tasks.summarization import DecoderSummarization, Summarization

WORDS = [*"abcdefghij", "TL;DR:", "sum:"]
BOTH = Summarization(max_length=6, max_target_length=3)
ALONE = DecoderSummarization(max_length=6, max_target_length=3)
ROWS = [{"text": "a b c", "summary": "b"}, {"text": "a b c d e f g h", "summary": "a b c d"}]


@pytest.fixture(scope="module")
def tokenizer():
    return make_word_tokenizer(WORDS, pad_token="<unk>")


def encode(task, rows, tokenizer):
    table = task.read({"train": Dataset.from_list(rows)})["train"]
    return task.encode(table, None, tokenizer, training=True)


def words(ids, tokenizer):
    return " ".join(tokenizer.convert_ids_to_tokens([id_ for id_ in ids if id_ != -100]))


def refused(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def test_the_models_config_says_which_way():
    settings = Summarization(max_length=9, template="sum: {text}")
    both = settings.fitted(make_seq2seq("t5", 8).config)
    assert both == settings
    assert both.positions == 64
    alone = settings.fitted(make_decoder("gpt2", 8).config)
    assert alone == DecoderSummarization(max_length=9, template="sum: {text}")
    assert alone.positions == 9 + 64
    assert settings.longest == alone.longest == 9


def test_an_encoder_decoder_reads_the_text_and_writes_the_summary(tokenizer):
    split = encode(replace(BOTH, template="sum: {text}"), ROWS, tokenizer)
    assert words(split.rows["input_ids"][0], tokenizer) == "sum: a b c"
    assert words(split.rows["input_ids"][1], tokenizer) == "sum: a b c d e"
    assert words(split.rows["labels"][1], tokenizer) == "a b c"
    assert split.truncated == 0.5
    model = make_seq2seq("bart", len(tokenizer))
    batch = BOTH.collator(tokenizer, model)(list(split.rows))
    # The teacher gets no labels: what its decoder reads comes with the batch.
    starts = [row[:2] for row in batch["decoder_input_ids"].tolist()]
    assert starts == [[1, row[0]] for row in batch["labels"].tolist()]


def test_a_decoder_goes_on_after_the_text_which_alone_is_cut(tokenizer):
    split = encode(ALONE, ROWS, tokenizer)
    assert words(split.rows["input_ids"][0], tokenizer) == "a b c TL;DR: b <end>"
    assert words(split.rows["labels"][0], tokenizer) == "b <end>"
    assert words(split.rows["input_ids"][1], tokenizer) == "a b c d e TL;DR: a b c"
    assert split.truncated == 0.5
    prompt = ALONE._prompt(split.rows["input_ids"][0], split.rows["labels"][0])
    assert words(prompt, tokenizer) == "a b c TL;DR:"
    narrow = replace(ALONE, template="a b c {text} d e f")
    assert "leaves no room" in refused(encode, replace(narrow, max_length=3), ROWS, tokenizer)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"template": "no place"}, "template must hold {text} once"),
        ({"template": "{text} {text}"}, "template must hold {text} once"),
        ({"max_target_length": 1}, "max_target_length must be at least 2"),
        ({"max_length": 0}, "max_length must be at least 2"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, expected):
    assert expected in refused(Summarization, **settings)


def test_rows_without_a_summary_are_named(tokenizer):
    row = {"text": "a", "summary": ""}
    assert "column 'summary' is empty in data row 1" in refused(encode, BOTH, [row], tokenizer)
    assert "no column 'summary'" in refused(encode, BOTH, [{"text": "a"}], tokenizer)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart", "t5"])
def test_what_is_written_depends_on_no_other_row(tokenizer, family):
    make = make_decoder if family in ("gpt2", "llama") else make_seq2seq
    model = make(family, len(tokenizer)).train()
    prompts = [tokenizer(text)["input_ids"] for text in ("a b", "c d e f g", "h", "i j a")]
    options = {"max_new_tokens": 4, "batch_size": 3}
    together = generate(model, prompts, tokenizer, **options)
    alone = [generate(model, [prompt], tokenizer, **options)[0] for prompt in prompts]
    assert together == alone
    assert model.training
    with torch.no_grad():
        expected = model.eval().generate(
            torch.tensor([prompts[1]]), max_new_tokens=4, pad_token_id=0
        )[0]
    skipped = 0 if model.config.is_encoder_decoder else 5
    assert together[1] == tokenizer.decode(expected[skipped:], skip_special_tokens=True).strip()


def test_the_models_own_generation_config_goes_first(tokenizer):
    model = make_seq2seq("bart", len(tokenizer))
    model.generation_config.max_new_tokens = 2
    model.generation_config.min_new_tokens = 2
    (text,) = generate(model, [[3, 4]], tokenizer, max_new_tokens=30, batch_size=1)
    assert len(text.split()) <= 2


def test_rouge_by_hand():
    quality = quality_of(assess_summaries(["the cats sat"], ["the cat sat down"]))
    # Words: 3 of 3 found, 3 of 4 wanted (stemmed): 2·1·¾ / (1 + ¾). Pairs: 2 of 2 and 2 of 3.
    assert quality.deciding == "ROUGE-L"
    values = {name: metric.value for name, metric in quality.metrics.items()}
    assert values["ROUGE-1"] == values["ROUGE-L"] == pytest.approx(6 / 7)
    assert values["ROUGE-2"] == pytest.approx(4 / 5)
    assert values["words per summary (references: 4.0)"] == 3.0
    with pytest.raises(InputError, match="at least one test row"):
        assess_summaries([], [])
