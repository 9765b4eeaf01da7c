"""A student at work in a process of its own, which cannot import attndistill.

Usage: python plain_use.py KIND STUDENT TEST_DATA; prints the metric that decides, by plain
Transformers: through ``pipeline`` where it has one for the kind.
"""

import json
import sys
from pathlib import Path

sys.modules["attndistill"] = None

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    pipeline,
)

AFTER = " =>"


def rows(file):
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def rouge(written, test):
    """The mean ROUGE-L F1 of stemmed words."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    found = [
        scorer.score(row["summary"], text)["rougeL"].fmeasure
        for row, text in zip(test, written, strict=True)
    ]
    return sum(found) / len(found)


def decoder(student, test):
    """Perplexity of the completions, and a text through the pipeline."""
    model, tokenizer = (
        kind.from_pretrained(student) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    total, count = 0.0, 0
    for row in rows(test):
        given, learnt = (tokenizer(row[name])["input_ids"] for name in ("given", "wanted"))
        learnt = [*learnt, tokenizer.eos_token_id]
        ids = torch.tensor([given + learnt])
        labels = torch.tensor([[-100] * len(given) + learnt])
        with torch.no_grad():
            total += model(input_ids=ids, labels=labels).loss.item() * len(learnt)
        count += len(learnt)
    write = pipeline("text-generation", model=student)
    (answer,) = write("a b", max_new_tokens=3, do_sample=False)
    return {
        "perplexity": torch.tensor(total / count).exp().item(),
        "text": answer["generated_text"].replace(" ", ""),
    }


def decoder_summaries(student, test):
    """ROUGE-L of what the pipeline writes after the text."""
    write = pipeline("text-generation", model=student)
    test = rows(test)
    written = [
        write(row["text"] + AFTER, max_new_tokens=4, return_full_text=False)[0]["generated_text"]
        for row in test
    ]
    beams = write.model.generation_config.num_beams
    return {"ROUGE-L": rouge(written, test), "num_beams": beams}


def encoder_decoder(student, test):
    """ROUGE-L of what ``generate`` writes: Transformers 5 has no pipeline for it."""
    model, tokenizer = (
        kind.from_pretrained(student) for kind in (AutoModelForSeq2SeqLM, AutoTokenizer)
    )
    test = rows(test)
    written = []
    for row in test:
        ids = model.generate(**tokenizer(row["text"], return_tensors="pt"))
        written.append(tokenizer.decode(ids[0], skip_special_tokens=True))
    beams = model.generation_config.num_beams
    return {"ROUGE-L": rouge(written, test), "num_beams": beams}


def images(student, test):
    """Accuracy of the pipeline on a folder of pictures by class."""
    classify = pipeline("image-classification", model=student)
    files = sorted(Path(test).glob("*/*.png"))
    right = [classify(str(file))[0]["label"] == file.parent.name for file in files]
    return {"accuracy": sum(right) / len(right)}


if __name__ == "__main__":
    USES = {use.__name__: use for use in (decoder, decoder_summaries, encoder_decoder, images)}
    sys.stdout.write(json.dumps(USES[sys.argv[1]](*sys.argv[2:])) + "\n")
