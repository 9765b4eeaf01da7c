"""What a model's files may not do when they are loaded: run code of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError

# A config file may name code to fetch and run as its attention (CVE-2026-4372).
FLASH_ATTENTION = ("flash_attention_2", "flash_attention_3")
SAFE_ATTENTION = ("sdpa", "eager", *FLASH_ATTENTION)


def check_attention(raw: Any, path: str) -> None:
    """Refuse a config that names an attention implementation other than the known ones.

    Args:
        raw: the config file as parsed, or a part of it.
        path: the model's dotted path in the recipe, for errors.

    Raises:
        InputError: naming the implementation and the key.
    """
    if isinstance(raw, list):
        for item in raw:
            check_attention(item, path)
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        if key.strip("_").removesuffix("_internal") == "attn_implementation":
            named = value.values() if isinstance(value, Mapping) else [value]
            if unsafe := [name for name in named if name not in (None, *SAFE_ATTENTION)]:
                raise InputError(
                    f"{path}: its config.json asks for the attention implementation "
                    f"{unsafe[0]!r}, which could run foreign code; remove {key!r} from it "
                    f"(allowed: {', '.join(SAFE_ATTENTION)})"
                )
        else:
            check_attention(value, path)


def check_safetensors(name: str, path: str) -> None:
    """Refuse a folder without weights as safetensors.

    Raises:
        InputError: it has none, or a pickle.
    """
    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickled = [file.name for file in folder.glob("*.bin")]
        raise InputError(
            f"{path}: {name!r} has no weights as safetensors"
            + (
                f", only {pickled[0]}, a pickle, which can run code when it is loaded; convert it "
                "where you trust it: load the model there and write it with save_pretrained"
                if pickled
                else "; give a folder that save_pretrained wrote"
            )
        )
