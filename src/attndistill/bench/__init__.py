"""Benchmarks: time and memory of the losses and of whole training steps, beside their rivals."""
