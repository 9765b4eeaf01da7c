"""A language model that learns texts through LoRA adapters, from files with one text a line.

With --keep_layers a shallower copy of the model is the student, and the whole model its teacher.
Without, the model learns from its own weights with the adapters off, and so stays near them.

python examples/llama_lora.py path/or/hub-name train.txt test.txt --keep_layers 0 2 4 7 \
    --learning_rate 2e-4 --output_dir runs/llama
"""

from math import exp

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq
from transformers.hf_argparser import HfArgumentParser

import attndistill as ad


def main(arguments=None):
    parser = HfArgumentParser(ad.DistillationArguments)  # Trainer's arguments by their own names
    parser.add_argument("model", help="folder or hub name of a language model")
    for name in ("train", "test"):
        parser.add_argument(name, help="text file")
    parser.add_argument("--keep_layers", type=int, nargs="+")
    parser.add_argument("--rank", type=int, default=16)
    settings, options = parser.parse_args_into_dataclasses(arguments)
    student, teacher = AutoModelForCausalLM.from_pretrained(options.model), None
    if options.keep_layers:
        student, teacher = ad.build_student(student, keep_layers=options.keep_layers), student
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token

    def encode(row):
        ids = tokenizer(row["text"] + tokenizer.eos_token, truncation=True, max_length=512)
        return {**ids, "labels": ids["input_ids"]}

    data = load_dataset("text", data_files={"train": options.train, "test": options.test})
    data = data.filter(lambda row: row["text"].strip()).map(encode, remove_columns="text")
    terms = {"task": ad.TaskTerm(), "logits": ad.LogitsTerm(), "attention": ad.AttentionTerm()}
    trainer = ad.DistillationTrainer(
        student,
        teacher,
        settings,
        objective=ad.Objective(terms),
        peft_config=LoraConfig(r=options.rank, target_modules="all-linear"),
        train_dataset=data["train"],
        eval_dataset=data["test"],
        data_collator=DataCollatorForSeq2Seq(tokenizer),  # pads labels with -100
    )
    trainer.model.print_trainable_parameters()
    trainer.train()
    print(f"perplexity: {exp(trainer.evaluate()['eval_loss_task']):.2f}")
    for part in (trainer.model.merge_and_unload(), tokenizer):  # a plain Transformers model
        part.save_pretrained(f"{settings.output_dir}/student")
    return trainer


if __name__ == "__main__":
    main()
