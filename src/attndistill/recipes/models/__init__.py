"""The models of a run: loaded, checked, fine-tuned, adapted."""
