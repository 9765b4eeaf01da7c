import json
import shutil

import pytest
import torch
from recipes.workplace import NEGATIVE, NEUTRAL, POSITIVE, make_config, make_tokenizer, write_csv
from safetensors.torch import load_file, save_file
from transformers import (
    BertForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
)

from attndistill.errors import InputError
from attndistill.recipes.build import new_student
from attndistill.recipes.config.recipe import load_recipe
from attndistill.recipes.models.loading import load_config, load_model, load_processor
from attndistill.recipes.models.tokenizers import check_same_tokenizer
from attndistill.recipes.setup import prepare
from attndistill.tasks import LabelMap, TextClassification

LABELS = LabelMap(names=("negative", "positive"), numbers={"negative": 0, "positive": 1})


def classifier(name, fresh_head=False):
    return load_model(
        str(name),
        "teacher.model",
        task=TextClassification(),
        labels=LABELS,
        fresh_head=fresh_head,
        trust_remote_code=False,
    )


def processor(name):
    return load_processor(name, "teacher.model", task=TextClassification(), trust_remote_code=False)


def refused(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def copied(workplace, name="classifier"):
    folder = workplace.own / "model"
    shutil.copytree(workplace.shared / name, folder)
    return folder


def with_config(folder, **fields):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return folder


def test_a_fine_tuned_classifier_loads_with_its_labels(workplace):
    model = classifier(workplace.shared / "classifier")
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.dtype == torch.float32


def test_a_head_is_made_only_where_it_will_be_trained(workplace):
    message = refused(classifier, workplace.shared / "encoder")
    assert "not a model fine-tuned for classification" in message
    assert "classifier.bias" in message
    assert "teacher.train" in message
    assert classifier(workplace.shared / "encoder", fresh_head=True).config.num_labels == 2
    three = with_config(copied(workplace), id2label={"0": "a", "1": "b", "2": "c"})
    assert "cannot load" in refused(classifier, workplace.own / "nothing")
    assert classifier(three, fresh_head=True).config.num_labels == 2


def test_a_folder_without_its_tokenizer_is_refused(workplace):
    folder = copied(workplace)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "has no tokenizer: every word would be unknown" in refused(processor, folder)
    T5Config(num_layers=1, d_model=8).save_pretrained(workplace.own / "t5")
    assert "has no tokenizer" in refused(processor, workplace.own / "t5")


def test_weights_that_are_not_finite_are_refused(workplace):
    folder = copied(workplace)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][1, 3] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "not finite (classifier.weight)" in refused(classifier, folder)


def test_weights_that_are_cut_off_are_refused(workplace):
    folder = copied(workplace)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert f"cannot load '{folder}' (the folder): SafetensorError" in refused(classifier, folder)


@pytest.mark.parametrize(
    "fields", [{"num_attention_heads": "three"}, {"num_attention_heads": 0}, {"id2label": ["a"]}]
)
def test_a_garbled_config_is_refused(workplace, fields):
    assert "teacher.model: cannot load" in refused(
        classifier, with_config(copied(workplace), **fields)
    )


def test_pickled_weights_are_refused(workplace):
    folder = copied(workplace)
    (folder / "model.safetensors").unlink()
    assert "no weights as safetensors" in refused(classifier, folder)
    torch.save({}, folder / "pytorch_model.bin")
    assert "a pickle, which can run code" in refused(classifier, folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_implementation": "evil/kernel"},
        {"_attn_implementation": "evil/kernel"},
        {"_attn_implementation_internal": "evil/kernel"},
        {"text_config": {"_attn_implementation": {"": "sdpa", "vision": "evil/kernel"}}},
    ],
)
def test_an_attention_implementation_that_could_run_code_is_refused(workplace, fields):
    folder = with_config(copied(workplace), **fields)
    message = refused(load_config, str(folder), "teacher.model", trust_remote_code=False)
    assert "'evil/kernel'" in message
    assert "sdpa, eager" in message


def test_a_known_attention_implementation_is_kept(workplace):
    folder = with_config(copied(workplace), attn_implementation="eager")
    assert classifier(folder).config._attn_implementation == "eager"


def test_a_flash_kernel_named_in_the_config_is_replaced_by_the_default(workplace):
    folder = with_config(copied(workplace), attn_implementation="flash_attention_2")
    assert classifier(folder).config._attn_implementation == "sdpa"


def test_other_kinds_of_classifier_are_refused(workplace):
    folder = with_config(copied(workplace), problem_type="multi_label_classification")
    assert "multi_label_classification" in refused(classifier, folder)


def test_folders_that_are_no_models_are_named(workplace):
    assert "no config.json" in refused(
        load_config, str(workplace.own), "teacher.model", trust_remote_code=False
    )
    message = refused(processor, "no-such/model")
    assert "as a hub name" in message


def test_a_tokenizer_without_padding_is_refused(workplace):
    tokenizer = make_tokenizer(POSITIVE)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(workplace.own)
    message = refused(processor, str(workplace.own))
    assert "no padding token" in message


def test_tokenizers_that_differ_are_refused_by_what_differs():
    words = [*POSITIVE, *NEGATIVE]
    teacher = make_tokenizer(words)
    check_same_tokenizer(make_tokenizer(words), teacher)
    more = refused(check_same_tokenizer, make_tokenizer([*words, *NEUTRAL]), teacher)
    assert "vocabularies of 22 and 12 tokens" in more
    assert "only in the student" in more
    moved = refused(check_same_tokenizer, make_tokenizer([*words, "warm"]), teacher)
    assert "numbered differently" in moved
    special = make_tokenizer(words)
    special.sep_token = "[CLS]"
    assert "sep_token is '[CLS]'" in refused(check_same_tokenizer, special, teacher)
    cut = make_tokenizer(words)
    cut.backend_tokenizer.post_processor = None
    assert "split into other tokens" in refused(check_same_tokenizer, cut, teacher)


def prepared_with(workplace, *settings):
    recipe = load_recipe(workplace.write(workplace.recipe), settings=settings)
    return recipe, prepare(recipe)


def test_a_teacher_whose_weights_have_other_classes_than_its_config_is_refused(workplace):
    names = {str(number): name for number, name in enumerate(["negative", "neutral", "positive"])}
    folder = with_config(copied(workplace), id2label=names)
    message = refused(prepared_with, workplace, f"teacher.model={folder}")
    assert "classifier.bias is [2] in its weights, but [3] is needed" in message


def test_each_kind_of_student_is_made_the_same_for_the_same_seed(workplace):
    folder = str(workplace.shared / "classifier")
    for student, layers in (
        ("{keep_layers: [0, 3]}", 2),
        ("{config: {num_hidden_layers: 1, hidden_size: 12}}", 1),
        (f"{{model: {folder}}}", 4),
    ):
        recipe, prepared = prepared_with(workplace, f"student={student}")
        one, two = new_student(recipe, prepared).model, new_student(recipe, prepared).model
        assert one.config.num_hidden_layers == layers
        assert one.config.id2label == prepared.teacher.config.id2label
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, two.state_dict()[name]), name


def test_a_student_model_with_another_vocabulary_is_refused(workplace):
    tokenizer = make_tokenizer([*POSITIVE, "other"])
    BertForSequenceClassification(make_config(tokenizer)).save_pretrained(workplace.own / "student")
    tokenizer.save_pretrained(workplace.own / "student")
    message = refused(prepared_with, workplace, f"student={{model: {workplace.own}/student}}")
    assert "student.model's tokenizer differs from the teacher's" in message


def test_layers_out_of_range_are_refused_before_the_teacher_is_trained(workplace):
    train = (
        f"teacher.model={workplace.shared}/encoder",
        "teacher.train={num_train_epochs: 1}",
    )
    layers = "objective.attention.layers=[[0, 1], [1, 4]]"
    message = refused(prepared_with, workplace, layers, *train)
    assert "objective.attention: " in message
    assert "the teacher has layers 0 to 3, not 4" in message
    kept = refused(prepared_with, workplace, "student.keep_layers=[1, 4]", *train)
    assert "from 0 to 3" in kept
    heads = refused(prepared_with, workplace, "student={config: {num_attention_heads: 4}}", *train)
    assert "heads differ" in heads
    assert not (workplace.own / "teachers").exists()


def test_an_unsupported_architecture_is_refused(workplace):
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    config = FNetConfig(
        vocab_size=len(tokenizer),
        hidden_size=12,
        num_hidden_layers=2,
        intermediate_size=8,
        max_position_embeddings=40,
        id2label={0: "negative", 1: "positive"},
    )
    FNetForSequenceClassification(config).save_pretrained(workplace.own / "fnet")
    tokenizer.save_pretrained(workplace.own / "fnet")
    message = refused(
        prepared_with,
        workplace,
        f"teacher.model={workplace.own}/fnet",
        "student={config: {num_hidden_layers: 1}}",
    )
    assert "AttentionInterface" in message


def test_texts_longer_than_the_model_takes_are_refused(workplace):
    assert "at most 40 tokens" in refused(prepared_with, workplace, "data.max_length=41")


def test_texts_that_do_not_fit_are_found_before_training(workplace):
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    own = workplace.own / "roberta"
    # RoBERTa's positions start after the padding's, so 40 of them take 38 tokens.
    sizes = make_config(tokenizer).to_dict() | {"pad_token_id": 1}
    RobertaForSequenceClassification(RobertaConfig(**sizes)).save_pretrained(own)
    tokenizer.save_pretrained(own)
    rows = [{"review": " ".join(["good"] * n), "label": "positive"} for n in (3, 60)]
    teacher = (f"teacher.model={own}", f"data.test={write_csv(workplace.own / 'test.csv', rows)}")
    message = refused(prepared_with, workplace, *teacher, "data.max_length=40")
    assert "a first step with the longest rows fails" in message
    assert "data.max_length" in message
    prepared_with(workplace, *teacher, "data.max_length=38")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(workplace):
    folder = copied(workplace)
    make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL, "more"]).save_pretrained(folder)
    message = refused(prepared_with, workplace, f"teacher.model={folder}")
    assert "teacher.model has 22 token embeddings" in message
    assert "up to 22" in message


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.optim=adamw_bnb_8bit", "bitsandbytes"),
        ("training.lr_scheduler_kwargs={nonsense: 1}", "nonsense"),
        ("training.report_to=nonsense", "nonsense is not supported"),
        ("training.accelerator_config=nonsense", "training: "),
        ("training={dataloader_drop_last: true, per_device_train_batch_size: 97}", "one batch"),
        ("student={config: {chunk_size_feed_forward: 7}}", "chunk size 7"),
    ],
)
def test_what_only_a_step_shows_is_refused_before_training(workplace, setting, expected):
    assert expected in refused(prepared_with, workplace, setting)


def test_a_causal_student_of_an_encoder_needs_masks_that_may_differ(workplace):
    causal = "student={config: {is_decoder: true}}"
    equal = "objective.attention.masks=equal"
    assert 'set masks="intersect"' in refused(prepared_with, workplace, causal, equal)
    prepared_with(workplace, causal)


def test_a_teacher_is_fine_tuned_once(workplace, capsys):
    settings = (
        f"teacher.model={workplace.shared}/encoder",
        "teacher.train={num_train_epochs: 1, learning_rate: 1e-2, per_device_train_batch_size: 8}",
    )
    _, first = prepared_with(workplace, *settings)
    assert "fine-tuning on 96 rows" in capsys.readouterr().out
    _, second = prepared_with(workplace, *settings, "seed=7", "teacher.train.seed=42")
    assert "reused" in capsys.readouterr().out
    for name, tensor in first.teacher.state_dict().items():
        assert torch.equal(tensor, second.teacher.state_dict()[name]), name
    assert not first.teacher.training
    kept = list((workplace.own / "teachers").iterdir())
    assert [path.name for path in kept if path.name.startswith(".")] == []
    for change in ("data.max_length=8", "teacher.train.learning_rate=2e-2"):
        prepared_with(workplace, *settings, change)
        assert "fine-tuning on 96 rows" in capsys.readouterr().out
    assert len(list((workplace.own / "teachers").iterdir())) == 3
