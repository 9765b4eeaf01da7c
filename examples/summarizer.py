"""A summarizer with fewer layers, from JSON lines with fields text and summary.

python examples/summarizer.py BART train.jsonl test.jsonl --keep_encoder 0 5 11 --keep_decoder 0 11
"""

from datasets import load_dataset
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, DataCollatorForSeq2Seq
from transformers.hf_argparser import HfArgumentParser

import attndistill as ad

OBJECTIVE = ad.Objective(
    {
        "task": ad.TaskTerm(),
        "logits": ad.LogitsTerm(),
        "encoder": ad.AttentionTerm(stack="encoder"),
        "decoder": ad.AttentionTerm(stack="decoder"),
        "cross": ad.AttentionTerm(stack="decoder", cross=True),
    }
)


def main(arguments=None):
    parser = HfArgumentParser(ad.DistillationArguments)  # Trainer's arguments by their own names
    parser.add_argument("teacher", help="folder or hub name of a fine-tuned summarizer")
    parser.add_argument("train", help="file to learn from")
    parser.add_argument("test", help="file to measure on")
    for name in ("--keep_encoder", "--keep_decoder"):
        parser.add_argument(name, type=int, nargs="+", required=True)
    parser.add_argument("--prefix", default="", help='T5 asks for "summarize: "')
    settings, options = parser.parse_args_into_dataclasses(arguments)
    settings.predict_with_generate = True
    teacher = AutoModelForSeq2SeqLM.from_pretrained(options.teacher)
    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    keep = {"encoder": options.keep_encoder, "decoder": options.keep_decoder}
    student = ad.build_student(teacher, keep_layers=keep)

    def encode(rows):
        texts = [options.prefix + text for text in rows["text"]]
        return tokenizer(texts, text_target=rows["summary"], truncation=True, max_length=512)

    data = load_dataset("json", data_files={"train": options.train, "test": options.test})
    encoded = data.map(encode, batched=True, remove_columns=data["train"].column_names)
    inputs = {"train_dataset": encoded["train"], "processing_class": tokenizer}
    inputs["data_collator"] = DataCollatorForSeq2Seq(tokenizer)  # pads labels with -100
    trainer = ad.DistillationTrainer(student, teacher, settings, objective=OBJECTIVE, **inputs)
    trainer.train()
    trainer.save_model(f"{settings.output_dir}/student")  # a plain Transformers model
    tokens = trainer.predict(encoded["test"]).predictions
    tokens[tokens < 0] = tokenizer.pad_token_id
    written = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    score = RougeScorer(["rougeL"], use_stemmer=True).score
    pairs = list(zip(data["test"]["summary"], written, strict=True))
    print("ROUGE-L:", sum(score(*pair)["rougeL"].fmeasure for pair in pairs) / len(pairs))
    return trainer


if __name__ == "__main__":
    main()
