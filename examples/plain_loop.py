"""A student in a plain PyTorch loop, from CSV files with columns text and label (class numbers).

python examples/plain_loop.py path/to/fine-tuned-bert train.csv --keep-layers 1 3 5 --epochs 3
"""

import argparse

import torch
from datasets import load_dataset
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
)

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective, TaskTerm, build_student


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("teacher", help="folder or hub name of a fine-tuned classifier")
    parser.add_argument("train", help="CSV file to learn from")
    parser.add_argument("--keep-layers", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--output", default="runs/plain_loop")
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    teacher = AutoModelForSequenceClassification.from_pretrained(options.teacher).to(device)
    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    data = load_dataset("csv", data_files=options.train, split="train")
    data = data.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128))
    data = data.remove_columns("text")
    collate = DataCollatorWithPadding(tokenizer)  # renames label to labels
    loader = DataLoader(data, batch_size=16, shuffle=True, collate_fn=collate)

    student = build_student(teacher, keep_layers=options.keep_layers).to(device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=options.learning_rate)
    terms = {"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm()}
    distiller = Distiller(student, teacher, objective=Objective(terms))
    for epoch in range(options.epochs):
        for batch in loader:
            loss, parts = distiller.loss_and_terms(batch.to(device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        shown = ", ".join(f"{name} {part:.4f}" for name, part in parts.items())
        print(f"epoch {epoch + 1}: loss {loss:.4f} ({shown})")
    student.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)


if __name__ == "__main__":
    main()
