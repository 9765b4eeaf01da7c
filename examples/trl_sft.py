"""TRL's SFTTrainer with an objective as its loss; data, adapters and the rest stay TRL's.

python examples/trl_sft.py path/or/hub-name train.jsonl --keep_layers 0 2 4 7 --output_dir runs/sft
A line of the file is what SFTTrainer takes: text, or messages, or prompt and completion.
"""

from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.hf_argparser import HfArgumentParser
from trl import SFTConfig, SFTTrainer

import attndistill as ad


class DistillationSFTTrainer(SFTTrainer):
    loss_is_scaled_for_ga = True  # a batch's loss is its part of the optimizer step's

    def __init__(self, *args, teacher, objective, **kwargs):
        super().__init__(*args, **kwargs)
        self.distiller = ad.Distiller(self.model, teacher, objective=objective)

    def get_batch_samples(self, *args):
        batches, num_items = super().get_batch_samples(*args)
        if batches:
            self.counts = self.accelerator.reduce(self.distiller.counts(batches))
        return batches, num_items

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        counts = self.counts if model.training else None
        loss, terms = self.distiller.loss_and_terms(inputs, counts=counts, student=model)
        # Gradients are averaged over processes and logs over batches, but the parts add up.
        processes = self.accelerator.num_processes if model.training else 1
        batches = self.current_gradient_accumulation_steps if model.training else 1
        log = self._metrics["train" if model.training else "eval"]
        for name, value in self.accelerator.reduce(terms, "mean").items():
            log[f"loss_{name}"].append(value.item() * processes * batches)
        return (loss * processes, model(**inputs)) if return_outputs else loss * processes


def main(arguments=None):
    parser = HfArgumentParser(SFTConfig)  # SFTTrainer's arguments by their own names
    parser.add_argument("teacher", help="folder or hub name of a language model")
    parser.add_argument("train", help="file with a JSON object a line")
    parser.add_argument("--keep_layers", type=int, nargs="+", required=True)
    settings, options = parser.parse_args_into_dataclasses(arguments)
    teacher = AutoModelForCausalLM.from_pretrained(options.teacher).to(settings.device)
    student = ad.build_student(teacher, keep_layers=options.keep_layers)
    terms = {"task": ad.TaskTerm(), "logits": ad.LogitsTerm(), "attention": ad.AttentionTerm()}
    distillation = {"teacher": teacher, "objective": ad.Objective(terms)}
    tokenizer = AutoTokenizer.from_pretrained(options.teacher)
    data = load_dataset("json", data_files=options.train, split="train")
    inputs = {"train_dataset": data, "processing_class": tokenizer}
    trainer = DistillationSFTTrainer(student, settings, **distillation, **inputs)
    trainer.train()
    trainer.save_model(f"{settings.output_dir}/student")
    return trainer


if __name__ == "__main__":
    main()
