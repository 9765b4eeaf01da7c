"""A text classifier at a fraction of its depth, from CSV files with columns text and label.

python examples/bert_classifier.py path/to/fine-tuned-bert train.csv test.csv \
    --keep_layers 1 3 5 --num_train_epochs 3 --learning_rate 1e-4 --output_dir runs/classifier
"""

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer
from transformers.hf_argparser import HfArgumentParser

import attndistill as ad


def main(arguments=None):
    parser = HfArgumentParser(ad.DistillationArguments)  # Trainer's arguments by their own names
    parser.add_argument("teacher", help="folder or hub name of a fine-tuned classifier")
    parser.add_argument("train", help="CSV file to learn from")
    parser.add_argument("test", help="CSV file to measure on")
    parser.add_argument("--keep_layers", type=int, nargs="+", default=[1, 3, 5])
    settings, options = parser.parse_args_into_dataclasses(arguments)

    teacher = AutoModelForSequenceClassification.from_pretrained(options.teacher)
    tokenizer = AutoTokenizer.from_pretrained(options.teacher)

    numbers = {name: number for number, name in teacher.config.id2label.items()}

    def encode(rows):  # a label is the number of a class, or its name in the teacher's config
        labels = [numbers.get(label, label) for label in rows["label"]]
        return {**tokenizer(rows["text"], truncation=True, max_length=128), "labels": labels}

    data = load_dataset("csv", data_files={"train": options.train, "test": options.test})
    data = data.map(encode, batched=True, remove_columns=data["train"].column_names)

    student = ad.build_student(teacher, keep_layers=options.keep_layers)
    trainer = ad.DistillationTrainer(
        student,
        teacher,
        settings,
        objective=ad.Objective(
            {"task": ad.TaskTerm(), "logits": ad.LogitsTerm(), "attention": ad.AttentionTerm()}
        ),
        train_dataset=data["train"],
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model(f"{settings.output_dir}/student")  # a plain Transformers model

    for name, model in (("teacher", teacher), ("student", student)):
        answers = Trainer(model, settings, processing_class=tokenizer).predict(data["test"])
        right = (answers.predictions.argmax(-1) == answers.label_ids).mean()
        print(f"{name}: accuracy {right:.3f}")
    return trainer


if __name__ == "__main__":
    main()
