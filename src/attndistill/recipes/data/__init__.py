"""The examples of a run: read, split and encoded."""
