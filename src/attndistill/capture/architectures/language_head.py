"""What Transformers calls the parts that turn a language model's hidden states into logits."""

from typing import Any

from torch import Tensor, nn


def output_embeddings(model: nn.Module) -> nn.Module | None:
    """The linear layer from hidden states to the vocabulary, or None."""
    find: Any = getattr(model, "get_output_embeddings", None)
    return None if find is None else find()


def logits_scale(model: nn.Module) -> float:
    """The factor on that layer's output: Cohere names it, Granite a divisor."""
    config = _decoder_config(model)
    factor = getattr(config, "logit_scale", None) or 1.0
    return factor / (getattr(config, "logits_scaling", None) or 1.0)


def logits_softcap(model: nn.Module) -> float | None:
    """Logits are bounded to ± this by tanh (Gemma), or None."""
    return getattr(_decoder_config(model), "final_logit_softcapping", None)


def logits_bias(model: nn.Module) -> Tensor | None:
    """What is added to the logits, [V], outside the linear layer (BART), or None."""
    return getattr(model, "final_logits_bias", None)


def _decoder_config(model: nn.Module) -> Any:
    whole: Any = model.config
    return whole.get_text_config(decoder=True)
