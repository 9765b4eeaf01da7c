"""The Triton backend for CUDA devices. Loaded on use: needs triton, which comes with torch there."""

from .launch import triton_divergence

__all__ = ["triton_divergence"]
