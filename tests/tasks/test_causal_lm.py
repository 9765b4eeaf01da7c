from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset
from tasks.language import MARKED_TEMPLATE, TEMPLATE, make_decoder, make_word_tokenizer

from attndistill.capture.forward import run_model
from attndistill.errors import InputError
from attndistill.metrics import quality_of
from attndistill.tasks import CausalLM, ChatColumns, Data, PromptColumns, Split

WORDS = [*"abcdefghij", "user", "assistant", ":"]
RAW = CausalLM(max_length=8)
PROMPTS = CausalLM(columns=PromptColumns(prompt="question", completion="answer"), max_length=8)
CHATS = CausalLM(columns=ChatColumns(messages="chat"), max_length=32)


@pytest.fixture(scope="module")
def tokenizer():
    return make_word_tokenizer(WORDS, pad_token="<unk>")


def encode(task, rows, tokenizer, training=True):
    table = task.read({"train": Dataset.from_list(rows)})["train"]
    return task.encode(table, None, tokenizer, training=training)


def learnt(split, tokenizer, row=0):
    labels = [label for label in split.rows["labels"][row] if label != -100]
    return " ".join(tokenizer.convert_ids_to_tokens(labels))


def written(split, tokenizer, row=0):
    return " ".join(tokenizer.convert_ids_to_tokens(split.rows["input_ids"][row]))


def refused(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def test_of_raw_text_every_token_but_the_first_is_learnt_and_the_end_too(tokenizer):
    split = encode(RAW, [{"text": "a b c"}, {"text": "a b c d e f g h"}], tokenizer)
    assert written(split, tokenizer) == "a b c <end>"
    assert split.rows["labels"][0][0] == -100
    assert learnt(split, tokenizer) == "b c <end>"
    # Eight words and the end are nine tokens: cut, and no end is taught where the text goes on.
    assert written(split, tokenizer, 1) == "a b c d e f g h"
    assert split.truncated == 0.5


def test_of_a_prompt_only_the_completion_is_learnt(tokenizer):
    rows = [{"question": "a b", "answer": "c d"}, {"question": "a b c d e f g h", "answer": "i"}]
    split = encode(PROMPTS, rows, tokenizer)
    assert written(split, tokenizer) == "a b c d <end>"
    assert learnt(split, tokenizer) == "c d <end>"
    # The second prompt leaves no room for its completion.
    assert len(split.rows) == 1
    assert split.documents.tolist() == [0]
    assert "1 of the 2 rows of data.train are left out" in split.notes[0]
    assert "nothing is left to learn" in refused(encode, PROMPTS, rows[1:], tokenizer)


@pytest.mark.parametrize("template", [TEMPLATE, MARKED_TEMPLATE])
def test_of_a_chat_only_the_assistant_is_learnt(template):
    tokenizer = make_word_tokenizer(WORDS, pad_token="<unk>", chat_template=template)
    turns = [("user", "a"), ("assistant", "b c"), ("user", "d"), ("assistant", "e")]
    chat = [{"role": role, "content": content} for role, content in turns]
    split = encode(CHATS, [{"chat": chat}], tokenizer)
    assert written(split, tokenizer) == (
        "user : a <end> assistant : b c <end> user : d <end> assistant : e <end>"
    )
    assert learnt(split, tokenizer) == "b c <end> e <end>"


def test_a_template_that_rewrites_earlier_turns_is_refused():
    template = "{{ messages | length }} " + TEMPLATE
    tokenizer = make_word_tokenizer([*WORDS, *"1234"], pad_token="<unk>", chat_template=template)
    chat = [{"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant")]
    assert "{% generation %}" in refused(encode, CHATS, [{"chat": chat}], tokenizer)


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        (RAW, {"text": " "}, "'text' is empty in data row 1"),
        (RAW, {"txt": "a"}, "no column 'text'"),
        (PROMPTS, {"question": "a", "answer": ""}, "'answer' is empty"),
        (CHATS, {"chat": "hello"}, "lists of messages with role and content"),
        (CHATS, {"chat": [{"role": "user"}]}, "lists of messages with role and content"),
        (CHATS, {"chat": [{"role": "user", "content": "a"}]}, "no message of role assistant"),
    ],
)
def test_wrong_rows_are_named(tokenizer, task, row, expected):
    assert expected in refused(encode, task, [row], tokenizer)


def test_chats_need_a_template(tokenizer):
    assert "has no chat template" in refused(CHATS.fit_processor, tokenizer, "teacher.model")
    bare = make_word_tokenizer(WORDS)
    RAW.fit_processor(bare, "teacher.model")
    assert bare.pad_token == "<end>"


def test_padding_is_no_label_though_it_is_the_end_token():
    tokenizer = make_word_tokenizer(WORDS, pad_token="<end>")
    model = make_decoder("gpt2", len(tokenizer))
    split = encode(RAW, [{"text": "a b c"}, {"text": "d"}], tokenizer)
    batch = RAW.collator(tokenizer, model)(list(split.rows))
    assert batch["labels"].tolist()[1] == [-100, 1, -100, -100]
    assert batch["attention_mask"].tolist()[1] == [1, 1, 0, 0]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_packed_texts_do_not_see_each_other(tokenizer, family, implementation):
    model = make_decoder(family, len(tokenizer))
    model.set_attn_implementation(implementation)
    texts = ["a b c d", "e", "f g h i j a b"]
    task = replace(RAW, packing=True)
    split = encode(task, [{"text": text} for text in texts], tokenizer)
    batch = task.collator(tokenizer, model)(list(split.rows))
    assert batch["input_ids"].shape == (1, 5 + 2 + 8)
    assert "attention_mask" not in batch
    packed = run_model(model.train(), batch)
    start, losses = 0, []
    for row in split.rows:
        alone = run_model(model, {name: torch.tensor([values]) for name, values in row.items()})
        end = start + len(row["input_ids"])
        torch.testing.assert_close(packed.logits[:, start:end], alone.logits, rtol=0, atol=2e-5)
        losses.append(alone.loss * (end - start - 1))
        start = end
    # No text foretells the first token of the next.
    torch.testing.assert_close(packed.loss, sum(losses) / (batch["labels"] != -100).sum())


def test_packing_loses_nothing_of_raw_text(tokenizer):
    task = replace(RAW, packing=True)
    split = encode(task, [{"text": "a b c d e f g h i j"}], tokenizer)
    assert written(split, tokenizer, 0) == "a b c d e f g h"
    assert written(split, tokenizer, 1) == "i j <end>"
    assert split.truncated == 0.0
    measured = encode(task, [{"text": "a b c d e f g h i j"}], tokenizer, training=False)
    assert len(measured.rows) == 1
    assert "attention_mask" in measured.rows.column_names


def test_perplexity_is_that_of_plain_transformers(tokenizer):
    model = make_decoder("llama", len(tokenizer))
    texts = ["a b c d e f", "g", "h i j"]
    split = encode(RAW, [{"text": text} for text in texts], tokenizer, training=False)
    collator = RAW.collator(tokenizer, model)
    data = Data(
        train=split,
        validation=split,
        test=split,
        labels=None,
        processor=tokenizer,
        collator=collator,
    )
    assessed = RAW.assess(model, data)
    total, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([[*tokenizer(text)["input_ids"], 1]])
        total += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    quality = quality_of(assessed)
    assert quality.decisive.value == pytest.approx(np.exp(total / count), rel=1e-5)
    assert quality.rows == 3
    assert assessed.row_of_answer.tolist() == [0] * 6 + [1] + [2] * 3


def test_a_stream_is_encoded_on_the_way(tokenizer):
    asked = []

    def rows():
        for number in range(5000):
            asked.append(number)
            yield {"text": "a b c", "other": number}

    split = RAW.stream(IterableDataset.from_generator(rows), tokenizer)
    assert isinstance(split, Split)
    first = next(iter(split.rows))
    assert first["labels"][1:] == first["input_ids"][1:]
    assert sorted(first) == ["attention_mask", "input_ids", "labels"]
    assert len(asked) < 3000
    wrong = IterableDataset.from_generator(lambda: iter([{"txt": "a"}]))
    assert "no column 'text'" in refused(RAW.stream, wrong, tokenizer)
    empty = IterableDataset.from_generator(lambda: iter([]))
    assert "data.train is empty" in refused(RAW.stream, empty, tokenizer)
