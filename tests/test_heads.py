"""New heads, DeiT's pair, frozen features and their two probes."""

import math
import re

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from helpers import heads
from tools import notebooks

TINY = {"embed_dim": 12, "depth": 2, "num_heads": 3, "img_size": (32, 48), "in_chans": 1, "num_classes": 7}


def vit(**arguments):
    return timm.create_model("vit_tiny_patch16_224", **(TINY | arguments))


def deit(**arguments):
    return timm.create_model("deit_tiny_distilled_patch16_224", **(TINY | arguments))


def convnet(name="test_convnext"):
    return timm.create_model(name, in_chans=1, num_classes=7)


@pytest.fixture
def x():
    return torch.randn(5, 1, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def clouds():
    """Three well separated classes, four folds: 60 clips of 8 features."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 20)
    folds = np.repeat(np.arange(1, 5), 15)
    return generator.normal(size=(60, 8)) + 3 * np.eye(8)[labels], labels, folds


# replace_head

FAMILIES = {
    "vit": (vit, 2),
    "deit": (deit, 4),
    "convnext": (convnet, 2),
    "efficientnet": (lambda: convnet("test_efficientnet"), 2),
    "resnet": (lambda: convnet("test_resnet"), 2),
    "mobilenetv2": (lambda: convnet("mobilenetv2_035"), 2),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_replacing_the_head_changes_the_head_and_nothing_else(family):
    build, new_tensors = FAMILIES[family]
    model = build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert heads.replace_head(model, 4) is model
    after = model.state_dict()
    assert before.keys() == after.keys()
    changed = [
        key for key in after if before[key].shape != after[key].shape or not torch.equal(before[key], after[key])
    ]
    assert len(changed) == new_tensors
    assert all(after[key].shape[0] == 4 and not after[key].any() for key in changed)
    assert model.num_classes == 4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_classes", [1, 10, 1000])
def test_the_first_loss_is_ln_classes_for_features_of_any_size(family, num_classes, x):
    model = heads.replace_head(FAMILIES[family][0](), num_classes).eval()
    loss = F.cross_entropy(model(100 * x), torch.zeros(len(x), dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(num_classes), abs=1e-5)


def test_a_new_head_can_learn_keeps_the_mode_and_draws_no_visible_randomness(x):
    model = vit().eval()
    heads.replace_head(model, 4)
    assert not model.head.training
    assert all(parameter.requires_grad for parameter in model.head.parameters())
    F.cross_entropy(model(x), torch.tensor([0, 1, 2, 3, 0])).backward()
    assert model.head.weight.grad.any()
    assert not model.blocks[
        0
    ].mlp.fc1.weight.grad.any()  # no gradient passes a zero matrix: the first step moves the head alone


def test_a_new_head_has_the_precision_of_the_model():
    assert heads.replace_head(vit().double(), 4).head.weight.dtype == torch.float64


@pytest.mark.parametrize("num_classes", [0, -1, 2.5, "10", True, None])
def test_a_number_of_classes_that_is_none_is_refused(num_classes):
    with pytest.raises(ValueError, match="num_classes must be a whole number from 1, got"):
        heads.replace_head(vit(), num_classes)


def test_a_model_that_is_not_timms_is_refused():
    with pytest.raises(TypeError, match="reset_classifier, got Linear"):
        heads.replace_head(nn.Linear(3, 2), 4)


# both_logits


@pytest.mark.parametrize("mode", ["evaluation", "training", "distilled training"])
def test_both_logits_are_the_pair_in_every_mode_and_their_mean_is_the_models_output(mode, x):
    model = deit().train(mode != "evaluation")
    model.set_distilled_training(mode == "distilled training")
    class_logits, dist_logits = heads.both_logits(model, x)
    assert class_logits.shape == dist_logits.shape == (5, 7)
    output = model(x)
    if mode == "distilled training":
        torch.testing.assert_close((class_logits, dist_logits), output)
    else:
        torch.testing.assert_close((class_logits + dist_logits) / 2, output)


def test_both_logits_pass_through_the_dropout_of_the_heads(x):
    torch.manual_seed(0)
    model = deit(drop_rate=0.5).train()
    assert not torch.equal(heads.both_logits(model, x)[0], heads.both_logits(model, x)[0])


@pytest.mark.parametrize("build", [vit, convnet])
def test_one_head_where_two_are_expected_is_refused(build, x):
    with pytest.raises(ValueError, match="two heads, as distilled DeiT, got .* with one"):
        heads.both_logits(build(), x)


# embed


@pytest.mark.parametrize("build", [vit, deit, convnet])
def test_features_are_what_the_head_reads_whatever_the_batch_size(build, x):
    model = build()
    features = heads.embed(model, x, batch_size=2)
    assert model.training  # the mode is put back
    model.eval()
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(x), pre_logits=True)
    torch.testing.assert_close(features, expected)
    assert not features.requires_grad
    assert not features.is_inference()


def test_features_do_not_depend_on_the_head(x):
    model = vit().eval()
    torch.testing.assert_close(heads.embed(model, x), heads.embed(heads.replace_head(model, 3), x))


def test_features_of_half_precision_inputs_are_float32(x):
    features = heads.embed(vit(), x.half())
    assert features.dtype == torch.float32
    assert features.shape == (5, 12)


def test_pooling_by_name(x):
    model = deit().eval()
    with torch.no_grad():
        tokens = model.forward_features(x)
    torch.testing.assert_close(heads.embed(model, x, pool="avg"), tokens[:, 2:].mean(dim=1))
    torch.testing.assert_close(heads.embed(model, x), tokens[:, :2].mean(dim=1))
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1), num_heads=(2, 2), img_size=56, in_chans=1
    )
    assert heads.embed(swin, x[:, :, :, :32].repeat(1, 1, 2, 2)[..., :56, :56], pool="avg").shape == (5, 24)


@pytest.mark.parametrize(
    "name", ["pit_ti_224", "coat_tiny", "crossvit_tiny_240", "efficientvim_m1", "volo_d1_224", "coat_lite_tiny"]
)
def test_a_model_without_one_map_to_average_is_refused_and_has_its_own_pooling(name):
    model = timm.create_model(name, num_classes=0)
    pictures = torch.randn(1, *model.pretrained_cfg["input_size"])
    assert heads.embed(model, pictures).ndim == 2
    with pytest.raises(ValueError, match="gives no single map to average; take the model's own pooling"):
        heads.embed(model, pictures, pool="avg")


def test_an_unknown_pooling_is_refused(x):
    with pytest.raises(ValueError, match="pool must be None or 'avg', got 'max'"):
        heads.embed(vit(), x, pool="max")


@pytest.mark.parametrize("shape", [(32, 48), (1, 32, 48), (0, 1, 32, 48)])
def test_inputs_that_are_no_batch_of_pictures_are_refused(shape):
    with pytest.raises(ValueError, match="x must be"):
        heads.embed(vit(), torch.zeros(shape))


def test_the_mode_is_put_back_after_an_error():
    model = vit()
    with pytest.raises(AssertionError):
        heads.embed(model, torch.zeros(2, 1, 16, 16))
    assert model.training


# probes

PROBES = [heads.linear_probe, heads.nearest_neighbours]


@pytest.mark.parametrize("probe", PROBES)
def test_separated_classes_are_found_and_noise_is_not(probe, clouds):
    features, labels, folds = clouds
    accuracies = probe(torch.from_numpy(features), torch.from_numpy(labels), torch.from_numpy(folds))
    assert accuracies.shape == (4,)
    assert accuracies.mean() > 0.9
    noise = np.random.default_rng(1).normal(size=(60, 8))
    assert probe(noise, labels, folds).mean() < 0.6


def test_the_linear_probe_sees_the_test_fold_neither_in_its_statistics_nor_in_its_fit(clouds):
    features, labels, folds = clouds
    features = features + 50 * (folds == 2)[:, None]  # a fold from another world
    expected = []
    for fold in range(1, 5):
        train, test = folds != fold, folds == fold
        mean, std = features[train].mean(axis=0), features[train].std(axis=0)
        model = LogisticRegression(max_iter=1000).fit((features[train] - mean) / std, labels[train])
        expected.append(model.score((features[test] - mean) / std, labels[test]))
    np.testing.assert_allclose(heads.linear_probe(features, labels, folds), expected)


def test_the_order_of_accuracies_is_that_of_the_folds(clouds):
    features, labels, folds = clouds
    features[folds == 3] = 0  # nothing to be known in fold 3
    accuracies = heads.linear_probe(features, labels, folds)
    assert accuracies.argmin() == 2


def test_nearest_neighbours_equal_a_vote_by_hand(clouds):
    features, labels, folds = clouds
    train, test = folds != 1, folds == 1
    mean, std = features[train].mean(axis=0), features[train].std(axis=0)
    rows = torch.from_numpy((features - mean) / std)
    cosine = F.normalize(rows[test], dim=1) @ F.normalize(rows[train], dim=1).T
    vote = torch.from_numpy(labels[train])[cosine.topk(5).indices].mode(dim=1).values
    assert heads.nearest_neighbours(features, labels, folds)[0] == (vote.numpy() == labels[test]).mean()


@pytest.mark.parametrize("probe", PROBES)
def test_bad_probe_inputs_are_refused(probe, clouds):
    features, labels, folds = clouds
    with pytest.raises(ValueError, match="one row per clip, got shapes"):
        probe(features, labels[:-1], folds)
    with pytest.raises(ValueError, match="one row per clip, got shapes"):
        probe(features, labels, folds[:-1])
    with pytest.raises(ValueError, match="one row per clip, got shapes"):
        probe(features[:, 0], labels, folds)
    with pytest.raises(ValueError, match="at least two folds, got"):
        probe(features, labels, np.ones(60))
    with pytest.raises(ValueError, match="features must be finite, got 1 values"):
        probe(np.where(np.arange(480).reshape(60, 8) == 7, np.nan, features), labels, folds)
    lacking = ~((folds == 2) & (labels == 1))
    with pytest.raises(ValueError, match="fold 2 has no clip of class 1"):
        probe(features[lacking], labels[lacking], folds[lacking])


def test_no_neighbours_are_refused(clouds):
    with pytest.raises(ValueError, match="'n_neighbors' .* must be an int in the range .* Got 0"):
        heads.nearest_neighbours(*clouds, n_neighbors=0)


def test_more_neighbours_than_clips_are_refused(clouds):
    with pytest.raises(ValueError, match="n_neighbors = 46"):
        heads.nearest_neighbours(*clouds, n_neighbors=46)


# the installed timm


def test_patch_dropout_of_the_installed_timm_takes_the_distillation_token_for_a_patch():
    """Fails on the day on which timm mends it: then lesson 04 and its cure can go."""
    assert deit(patch_drop_rate=0.5).patch_drop.num_prefix_tokens == 1


def test_the_articles_two_lines_run_as_lesson_04_quotes_them(monkeypatch):
    """With weights of the right names and shapes in place of the hub's; what each line does to them is the lesson's claim."""
    text = "\n".join(cell.source for cell in notebooks.read(notebooks.FOLDER / "04_heads.ipynb").cells)
    lines = re.findall(r"^m = timm\.create_model\('.*\)$", text, re.MULTILINE)
    assert len(lines) == 2
    for line, new in zip(lines, ("head.", "head.fc."), strict=True):
        old = timm.create_model(line.split("'")[1]).state_dict()
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, hub=old, **__: dict(hub))
        scope = {"timm": timm, "size": (128, 256), "num_classes": 10}
        exec(line, scope)
        found = scope["m"].state_dict()
        changed = {name for name in found if not torch.equal(found[name], old[name])}
        (stem,) = (name for name in changed if found[name].ndim == 4)
        torch.testing.assert_close(found[stem], old[stem].sum(dim=1, keepdim=True))
        assert changed - {stem} - {"pos_embed"} == {f"{new}weight", f"{new}bias"}
        assert ("pos_embed" in changed) == ("img_size" in line)
