"""All that is specific to architectures: where things are in a model, and what they are called."""

from .language_head import logits_bias, logits_scale, logits_softcap, output_embeddings
from .layer_config import check_head_width, fit_layer_types, keep_config_layers
from .layer_lists import LayerList, first_layers_own, kept_weights, layer_lists, layer_path
from .modules import attention_forward, uses_attention_interface
from .numbering import AttentionLayer, attention_config, attention_layers
from .outside_interface import PartCall, rebuilding
from .predictions import Item, predicted_item
from .skipped import skipped_parts
from .wrappers import base_model, transformers_model

__all__ = [
    "AttentionLayer",
    "Item",
    "LayerList",
    "PartCall",
    "attention_config",
    "attention_forward",
    "attention_layers",
    "base_model",
    "check_head_width",
    "first_layers_own",
    "fit_layer_types",
    "keep_config_layers",
    "kept_weights",
    "layer_lists",
    "layer_path",
    "logits_bias",
    "logits_scale",
    "logits_softcap",
    "output_embeddings",
    "predicted_item",
    "rebuilding",
    "skipped_parts",
    "transformers_model",
    "uses_attention_interface",
]
