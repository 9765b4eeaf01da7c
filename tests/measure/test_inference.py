import pytest
import torch
from datasets import Dataset
from tiny import make_bert, make_encoder
from torch.utils.data import default_collate

from attndistill.errors import InputError
from attndistill.measure import predict


def test_logits_are_the_models_whatever_the_batch(student, dataset, collator):
    in_fives, at_once = (predict(student, dataset, collator, batch_size=n) for n in (5, 64))
    assert in_fives.shape == (37, 2)
    torch.testing.assert_close(torch.tensor(in_fives), torch.tensor(at_once), rtol=1e-5, atol=1e-5)
    alone = {name: torch.tensor([dataset[7][name]]) for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = student.eval()(**alone).logits[0]
    torch.testing.assert_close(torch.tensor(at_once[7]), logits, rtol=1e-5, atol=1e-5)


def test_dropout_is_off_and_every_flag_comes_back(dataset, collator):
    model = make_bert(layers=2, dropout=0.5).train()
    frozen = model.bert.encoder.layer[0].eval()
    first, again = (predict(model, dataset, collator) for _ in range(2))
    assert (first == again).all()
    assert model.training
    assert not frozen.training


def test_columns_of_another_model_are_left_out(dataset, collator):
    types = [[0] * len(tokens) for tokens in dataset["input_ids"]]
    for_bert = dataset.add_column("token_type_ids", types)
    assert len(predict(make_encoder("distilbert"), for_bert, collator)) == 37


def test_logits_that_are_not_finite_are_refused():
    rows = Dataset.from_dict({"input_ids": [[2, 5, 3], [2, 6, 3]], "labels": [0, 1]}).with_format(
        "torch"
    )
    broken = make_bert(layers=1)
    with torch.no_grad():
        broken.bert.embeddings.word_embeddings.weight[6] = float("nan")
    with pytest.raises(InputError, match=r"1 of 2 rows \(first: row 1\)"):
        predict(broken, rows, default_collate)


def test_an_empty_data_set_is_refused(student, dataset, collator):
    with pytest.raises(InputError, match="no rows to predict"):
        predict(student, dataset.select([]), collator)
