"""Settings of every test: no network, no threads from the tokenizers, fresh random state."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def bert():
    from tiny import make_bert

    return make_bert().eval()
