"""Predictions made by hand, and the layer map of the tiny teacher and student."""

import numpy as np

from attndistill.matching import GroupMatch, LayerGroup, LayerMap
from attndistill.metrics import assess_classes

SELF = LayerGroup("encoder", "self")
MATCHES = [GroupMatch(student=SELF, teacher=SELF, layer_map=LayerMap(((0, 1), (1, 3))))]


def answers(labels, right, margin=2.0):
    """Two-class answers, right where ``right`` says so, by this margin of logits."""
    labels, right = np.asarray(labels), np.asarray(right, bool)
    logits = np.zeros((len(labels), 2), np.float32)
    logits[np.arange(len(labels)), np.where(right, labels, 1 - labels)] = margin
    return assess_classes(logits, labels)


def logits_of(*rows):
    """Logits whose softmax is these rows."""
    return np.log(np.array(rows, np.float32))
