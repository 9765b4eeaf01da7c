"""Which teacher layer teaches which student layer, and which head which head."""

from .groups import GroupMatch, LayerGroup, Queries, match_layers
from .heads import averaged_heads, resplit
from .layers import LayerMap, LayerMapSpec, resolve_layer_map

__all__ = [
    "GroupMatch",
    "LayerGroup",
    "LayerMap",
    "LayerMapSpec",
    "Queries",
    "averaged_heads",
    "match_layers",
    "resolve_layer_map",
    "resplit",
]
