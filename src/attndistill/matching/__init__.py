"""Which teacher layer teaches which student layer."""

from .layers import LayerMap, LayerMapSpec, resolve_layer_map

__all__ = ["LayerMap", "LayerMapSpec", "resolve_layer_map"]
