from types import SimpleNamespace

import pytest
import torch

from attndistill.errors import InputError
from attndistill.objectives.label_set_and_value_terms import LabelSetTerm, ValueTerm


def step(student, teacher):
    """All that these terms look at in a step."""
    ours, theirs = (SimpleNamespace(logits=logits) for logits in (student, teacher))
    return SimpleNamespace(student=ours, teacher=theirs)


def test_label_sets_are_bernoulli_divergences_per_label():
    student = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(5, 7, dtype=torch.float64)
    term = LabelSetTerm(temperature=3.0)
    q, p = (torch.distributions.Bernoulli(logits=z / 3.0) for z in (student, teacher))
    expected = 9.0 * torch.distributions.kl_divergence(p, q).sum()
    total = term.total(step(student, teacher))
    torch.testing.assert_close(total.double(), expected, rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(total, student)
    # ∂KL/∂z = q − p for each label; T² · (1/T) = T.
    torch.testing.assert_close(
        gradient, 3.0 * ((student / 3).sigmoid() - (teacher / 3).sigmoid()), rtol=1e-5, atol=1e-6
    )
    assert term.count({"input_ids": torch.zeros(5, 3)}) == 5
    assert term.total(step(teacher, teacher)) == 0.0


def test_sure_labels_stay_finite():
    student = torch.tensor([[200.0, -200.0]], requires_grad=True)
    total = LabelSetTerm(temperature=1.0).total(step(student, -student.detach()))
    total.backward()
    assert total.item() == pytest.approx(400.0)
    assert student.grad.isfinite().all()


def test_values_are_squared_differences_per_example():
    total = ValueTerm().total(step(torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [6.0]])))
    assert total == 5.0
    with pytest.raises(InputError, match="logits differ in shape"):
        ValueTerm().total(step(torch.zeros(2, 1), torch.zeros(2, 2)))
