"""Recipes: YAML in, a trained, saved and measured student out."""
