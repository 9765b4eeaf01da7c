import pytest
from tiny import make_bert, make_llama, make_seq2seq

from attndistill.errors import InputError
from attndistill.matching import Queries, match_layers


def test_the_only_group_needs_no_name():
    match = match_layers(make_bert(2), make_bert(4))
    assert match.student == match.teacher == ("encoder", "self")
    assert match.layer_map.pairs == ((0, 1), (1, 3))
    assert (match.queries, match.causal) == (Queries.INPUT, False)
    decoder = match_layers(make_llama(1), make_llama(2))
    assert decoder.student == ("decoder", "self")
    assert (decoder.queries, decoder.causal) == (Queries.INPUT, True)


@pytest.mark.parametrize("family", ["bart", "t5"])
@pytest.mark.parametrize(
    ("stack", "cross", "pairs", "queries", "causal"),
    [
        ("encoder", False, ((0, 2),), Queries.INPUT, False),
        ("decoder", False, ((0, 1), (1, 3)), Queries.TARGET, True),
        ("decoder", True, ((0, 1), (1, 3)), Queries.TARGET, False),
        (None, True, ((0, 1), (1, 3)), Queries.TARGET, False),
    ],
)
def test_groups_of_seq2seq_models(family, stack, cross, pairs, queries, causal):
    student, teacher = make_seq2seq(family, 2), make_seq2seq(family, 4)
    match = match_layers(student, teacher, stack=stack, cross=cross)
    assert match.layer_map.pairs == pairs
    assert match.student.kind == ("cross" if cross else "self")
    assert (match.queries, match.causal) == (queries, causal)


def test_what_a_model_has_not_is_refused():
    bart, bert = make_seq2seq("bart"), make_bert(2)
    with pytest.raises(InputError, match=r"set stack to the one .* \(encoder, decoder\)"):
        match_layers(bart, bart)
    with pytest.raises(InputError, match="the student, Bert.* but no cross-attention"):
        match_layers(bert, bart, cross=True)
    with pytest.raises(InputError, match="the teacher, Bert.* but no decoder self-attention"):
        match_layers(bart, bert, stack="decoder")
