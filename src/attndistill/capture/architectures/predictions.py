"""What a model predicts, as the name of its class tells."""

from torch import nn

from ...choices import Option
from .language_head import output_embeddings
from .wrappers import transformers_model


class Item(Option):
    """What one row of a model's logits is a prediction of."""

    EXAMPLE = "example"
    TOKEN = "token"
    NEXT_TOKEN = "next_token"
    TARGET_TOKEN = "target_token"


def predicted_item(model: nn.Module) -> Item:
    """What a model predicts, by the names Transformers gives its classes.

    ``TOKEN``: the label of the token itself (token classification, masked language models);
    ``NEXT_TOKEN``: the label of the token after it (causal language models); ``TARGET_TOKEN``: the
    label at the same place of a seq2seq model's target; else ``EXAMPLE``.
    """
    model = transformers_model(model)
    name = type(model).__name__
    if any(kind in name for kind in ("ForTokenClassification", "ForMaskedLM")):
        return Item.TOKEN
    if output_embeddings(model) is None:
        return Item.EXAMPLE
    if getattr(model.config, "is_encoder_decoder", False):
        return Item.TARGET_TOKEN
    kinds = ("ForCausalLM", "LMHead", "ForConditionalGeneration")
    return Item.NEXT_TOKEN if any(kind in name for kind in kinds) else Item.EXAMPLE
