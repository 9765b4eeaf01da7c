"""The Triton backend for CUDA devices. Loaded on use: it needs triton."""

from .launch import triton_divergence

__all__ = ["triton_divergence"]
