"""The embedded models: they load as timm's own do, they really learned something, and their recipe runs."""

import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed

from experiments import distil_nano
from experiments.benchmark import nano
from helpers import backbones

VIT, DEIT, CONVNET = NANOS = [nano.VIT, nano.DEIT, nano.CONVNET]


def stored(name):
    return load_file(backbones.NANO / f"{name}.safetensors")


def pretrained(name, **arguments):
    return timm.create_model(name, pretrained=True, **arguments).eval()


# ------------------------------------------------------------------------------------------------ they load as any other
@pytest.mark.parametrize("name", NANOS)
def test_files_are_small_and_hold_every_tensor_in_float16(name):
    tensors = stored(name)
    assert (backbones.NANO / f"{name}.safetensors").stat().st_size <= 6e6
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    state = pretrained(name).state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[key], tensor.float()) for key, tensor in tensors.items())
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("name", NANOS)
def test_models_are_small(name):
    assert sum(parameter.numel() for parameter in timm.create_model(name).parameters()) <= 2.5e6


@pytest.mark.parametrize("name", NANOS)
def test_one_channel_gives_the_logits_of_three_copies(name):
    x = torch.randn(2, 1, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            pretrained(name, in_chans=1)(x), pretrained(name)(x.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(("name", "prefix"), [(VIT, 1), (DEIT, 2)])
@pytest.mark.parametrize("img_size", [(128, 256), (112, 448)])  # the second has as many patches as 224 x 224
def test_positions_are_resampled_to_a_spectrogram(name, prefix, img_size):
    model = pretrained(name, img_size=img_size, in_chans=1, num_classes=10)
    grid = [img_size[0] // 16, img_size[1] // 16]
    expected = resample_abs_pos_embed(stored(name)["pos_embed"].float(), grid, num_prefix_tokens=prefix)
    assert model.num_prefix_tokens == prefix
    torch.testing.assert_close(model.pos_embed.detach(), expected)
    assert model(torch.zeros(1, 1, *img_size)).shape == (1, 10)


def test_both_heads_of_the_deit_are_replaced_and_the_trunk_is_kept():
    model = pretrained(DEIT, num_classes=7)
    assert model.head.weight.shape == model.head_dist.weight.shape == (7, 192)
    torch.testing.assert_close(model.blocks[3].mlp.fc2.weight.detach(), stored(DEIT)["blocks.3.mlp.fc2.weight"].float())


@pytest.mark.parametrize(("name", "dim"), [(VIT, 192), (DEIT, 192), (CONVNET, 256)])
def test_features_come_without_a_head_and_layer_by_layer(name, dim):
    assert pretrained(name, num_classes=0)(torch.zeros(1, 3, 224, 224)).shape == (1, dim)
    maps = timm.create_model(name, pretrained=True, features_only=True)(torch.zeros(1, 3, 224, 224))
    assert maps[-1].shape[1] == dim


# --------------------------------------------------------------------------------------------- they learned what they say
@pytest.mark.parametrize("name", [VIT, DEIT])
def test_positions_have_two_dimensional_structure(name):
    assert nano.neighbours_above_far(pretrained(name)) >= 0.4
    assert abs(nano.neighbours_above_far(timm.create_model(name))) < 0.1  # and the measure tells a random table from it


@pytest.mark.parametrize("name", [VIT, DEIT])
def test_colour_filters_are_not_noise(name):
    assert nano.low_frequency_share(nano.stem_weight(pretrained(name))) >= 0.6
    assert nano.low_frequency_share(nano.stem_weight(timm.create_model(name))) < 0.3


@pytest.mark.parametrize("name", [VIT, DEIT])
def test_the_colour_planes_are_related_so_that_their_sum_keeps_more_than_a_third(name):
    assert nano.energy_kept(nano.stem_weight(pretrained(name))) > 0.5  # the real ViT-Tiny: 0.65
    assert nano.energy_kept(nano.stem_weight(timm.create_model(name))) == pytest.approx(1 / 3, abs=0.02)


def test_the_heads_of_the_deit_learned_from_two_teachers():
    tensors = stored(DEIT)
    assert (
        torch.nn.functional.cosine_similarity(
            tensors["head.weight"].float(), tensors["head_dist.weight"].float()
        ).mean()
        < 0.9
    )


@pytest.mark.skipif("VISION_WEIGHTS" not in os.environ, reason="the teachers' weights are not here")
@pytest.mark.parametrize("name", NANOS)
def test_no_tensor_is_a_teachers(name):
    teachers = [load_file(file) for file in Path(os.environ["VISION_WEIGHTS"]).glob("*.safetensors")]
    for key, tensor in stored(name).items():
        for other in (
            other
            for teacher in teachers
            for other in teacher.values()
            if other.shape == tensor.shape and other.numel() > 1
        ):
            assert not torch.allclose(tensor.float(), other.float(), atol=1e-2), key


def test_vit_and_deit_have_one_body():
    vit, deit = stored(VIT), stored(DEIT)
    shared = [name for name in vit if name.startswith(("blocks", "patch_embed", "norm"))]
    assert len(shared) > 40
    assert all(torch.equal(vit[name], deit[name]) for name in shared)
    assert deit.keys() - vit.keys() == {"dist_token", "head_dist.weight", "head_dist.bias"}


# ------------------------------------------------------------------------------------------------------ the measures hold
def test_low_frequency_share_is_a_quarter_for_noise_and_almost_all_for_a_slow_wave():
    noise = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert nano.low_frequency_share(noise) == pytest.approx(0.25, abs=0.02)
    slow = torch.cos(2 * torch.pi * torch.arange(16) / 16).expand(1, 3, 16, 16)
    fast = torch.cos(2 * torch.pi * 7 * torch.arange(16) / 16).expand(1, 3, 16, 16)
    assert nano.low_frequency_share(slow) > 0.9 and nano.low_frequency_share(fast) < 0.1


# --------------------------------------------------------------------------------------------------------- the recipe runs
@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with made-up outputs of both teachers for 40 made-up photographs."""
    monkeypatch.setattr(distil_nano, "WORK", tmp_path)
    monkeypatch.setattr(distil_nano, "TUNING", 8)
    draw = np.random.default_rng(0)
    np.save(tmp_path / "vit_tokens_0.npy", draw.normal(size=(40, 50, 192)).astype(np.float16))
    np.save(tmp_path / "vit_attention.npy", np.full((3, 196, 196), 1 / 196, dtype=np.float32))
    for teacher in ("vit", "convnet"):
        np.save(tmp_path / f"{teacher}_logits_0.npy", draw.normal(size=(40, 1000)).astype(np.float16))
        (tmp_path / f"{teacher}_0.done").touch()
    return tmp_path


def test_the_attention_to_learn_is_the_same_whichever_view_is_taught(tmp_path, monkeypatch):
    monkeypatch.setattr(distil_nano, "WORK", tmp_path)
    monkeypatch.setattr(distil_nano, "load_teacher", lambda *_: pretrained(VIT))
    attention = []
    for view in (1, 0):
        distil_nano.teach("vit", view, photographs(4), tmp_path)
        attention.append(np.load(tmp_path / "vit_attention.npy"))
    assert attention[0].shape == (3, 196, 196)
    assert np.array_equal(*attention)


def photographs(count=40):
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NANOS)
def test_training_learns_stops_and_goes_on(name, work, capsys):
    settings = dict(img_size=112, peak=1e-3, start="", run="student", batch=16, optimizer="muon")
    distil_nano.train(name, photographs(), epochs=1, **settings)
    first = torch.load(work / "student.pt", weights_only=True)
    distil_nano.train(name, photographs(), epochs=2, **settings)
    second = torch.load(work / "student.pt", weights_only=True)
    assert (first["step"], second["step"]) == (2, 4)
    assert "2/2" in (log := capsys.readouterr().out) and "4/4" in log and "1/4" not in log
    assert any(not torch.equal(first["model"][key], second["model"][key]) for key in first["model"])


def test_a_plain_vit_starts_from_the_deits_trunk_without_its_second_token(work):
    deit, vit = distil_nano.new_student(DEIT, 112), distil_nano.new_student(VIT, 224)
    state = distil_nano.fit_positions(deit.state_dict(), vit)
    vit.load_state_dict(state)
    assert torch.equal(vit.pos_embed[:, 0], deit.pos_embed[:, 0])
    expected = resample_abs_pos_embed(deit.pos_embed[:, 2:], [14, 14], num_prefix_tokens=0)
    torch.testing.assert_close(vit.pos_embed[:, 1:], expected)


def test_a_student_that_reads_some_patches_gives_those_tokens():
    model = distil_nano.new_student(DEIT, 224)
    heads, matched, shown, attention = distil_nano.student_outputs(model, torch.zeros(1, 3, 224, 224), keep=0.25)
    assert [tuple(head.shape) for head in heads] == [(1, 1000)] * 2
    assert matched.shape == (1, 1 + 49, 192) and len(set(shown.tolist())) == 49 and attention.shape == (3, 49, 49)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(3, 49))


def test_a_crop_takes_its_part_of_the_teachers_regions_and_a_mirror_image_mirrors_them():
    tokens = torch.zeros(1, 50, 192)
    tokens[0, 1:, 0] = torch.arange(7.0).repeat(7)  # the column of each region
    tokens[0, 1:, 1] = torch.arange(7.0).repeat_interleave(7)  # and its row

    class Draw:  # no blending; mirrored or not
        def __init__(self, mirrored):
            self.mirrored = mirrored

        def random(self, size=None):
            return np.array([0.0 if self.mirrored else 1.0]) if size else 1.0

    for mirrored in (False, True):
        x = torch.arange(64.0).expand(1, 3, 64, 64)
        found, target, _ = distil_nano.augment(x, tokens, [], np.array([[0, 32, 64, 64]]), Draw(mirrored))
        columns = target[0, 1:, 0].reshape(7, 7)[3]
        assert torch.equal(found, x.flip(-1) if mirrored else x)
        assert (
            (columns.diff() < 0.01).all() if mirrored else (columns.diff() > -0.01).all()
        )  # rising to the right unless mirrored
        assert columns.mean() == pytest.approx(4.72, abs=0.1)  # the right half
        torch.testing.assert_close(target[0, 1:, 1].reshape(7, 7)[:, 0], torch.arange(7.0))  # all rows


def test_views_are_the_same_in_every_run_and_inside_the_photograph():
    boxes = distil_nano.view_boxes(500, view=1)
    assert (boxes == distil_nano.view_boxes(500, view=1)).all() and (boxes != distil_nano.view_boxes(500, view=2)).any()
    top, left, bottom, right = boxes.T
    assert top.min() >= 0 and left.min() >= 0 and bottom.max() <= 64 and right.max() <= 64
    assert ((bottom - top) * (right - left)).min() > 0.2 * 64 * 64
    assert (distil_nano.view_boxes(3, view=0) == (0, 0, 64, 64)).all()


def test_a_crop_is_what_its_box_says():
    images = photographs(2)
    whole = distil_nano.crop(images, distil_nano.view_boxes(2, 0), 64)
    torch.testing.assert_close(whole, images.float() / 127.5 - 1)
    part = distil_nano.crop(images, np.array([[0, 0, 32, 32], [32, 32, 64, 64]]), 32)
    torch.testing.assert_close(part[1], images[1, :, 32:, 32:].float() / 127.5 - 1)


def test_regions_are_means_of_two_by_two_patches():
    tokens = torch.arange(14 * 14.0).reshape(1, 14 * 14, 1)
    assert distil_nano.regions(tokens)[0, 0, 0] == torch.tensor([0.0, 1, 14, 15]).mean()
    assert torch.equal(distil_nano.regions(tokens[:, :49]), tokens[:, :49])


def test_the_pull_to_a_teacher_is_zero_only_where_both_agree():
    logits = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    assert distil_nano.kl(logits, (logits + 3).softmax(dim=-1)).item() == pytest.approx(
        0, abs=1e-5
    )  # a constant changes no probability
    assert distil_nano.kl(logits, logits.roll(1, dims=1).softmax(dim=-1)).item() > 0.1
