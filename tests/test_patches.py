"""Patches, channels and overlap: against timm, torch and whole models."""

import functools
import os
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from safetensors.torch import load_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import resample_abs_pos_embed
from torch import nn

from helpers import explorers, figures
from helpers.patches import (
    STANDARDIZING,
    absorb_normalization,
    effective_weight,
    energy_kept,
    extract_patches,
    left_over,
    overlap,
    sum_input_channels,
    token_grid,
)

STEMS = {"test_vit": "patch_embed.proj", "test_convnext": "stem.0", "mobilenetv3_small_050": "conv_stem"}
CHANNELS = [1, 2, 3, 4, 5, 6, 9]


@functools.cache
def stem_weight(name):
    torch.manual_seed(0)
    return timm.create_model(name).get_submodule(STEMS[name]).weight.detach()


def real_stems():
    """Stem weights of the real models at hand, by file name."""
    folder = os.environ.get("VISION_WEIGHTS")
    if not folder:
        return {}
    folder = Path(folder) if Path(folder).is_absolute() else Path(__file__).parents[1] / folder
    stems = {}
    for path in sorted(folder.glob("*.safetensors")):
        state = load_file(path)
        first = timm.get_pretrained_cfg(path.name.split(".")[0]).first_conv
        stems[path.name] = state[f"{first}.weight"]
    return stems


# --- cutting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [4, 1, 3])
def test_patches_agree_with_unfold_and_are_counted_by_token_grid(stride):
    image = torch.randn(2, 3, 9, 14)
    ours = extract_patches(image, 4, stride)
    torch.testing.assert_close(ours, F.unfold(image, 4, stride=stride).transpose(1, 2), rtol=0, atol=0)
    rows, cols = token_grid((9, 14), 4, stride)
    assert ours.shape == (2, rows * cols, 3 * 4 * 4)


@pytest.mark.parametrize("stride", [16, 14, 12, 10])
def test_patches_times_weight_equal_the_convolution(stride):
    conv = nn.Conv2d(3, 7, 16, stride)
    image = torch.randn(2, 3, 64, 80)
    tokens = extract_patches(image, 16, stride) @ conv.weight.flatten(1).T + conv.bias
    torch.testing.assert_close(tokens, conv(image).flatten(2).transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_patches_come_row_by_row_time_fastest_and_keep_their_type():
    image = torch.arange(4 * 6).reshape(1, 1, 4, 6)
    patches = extract_patches(image, 2, 2)
    assert patches.dtype == image.dtype
    assert patches[0, :, 0].tolist() == [0, 2, 4, 12, 14, 16]
    assert patches[0, 0].tolist() == [0, 1, 6, 7]


@pytest.mark.parametrize(
    ("frames", "stride", "grid", "lost"),
    [
        (498, 16, (8, 31), 2), (498, 14, (9, 35), 6), (498, 12, (10, 41), 2), (498, 10, (12, 49), 2),
        (512, 16, (8, 32), 0), (512, 14, (9, 36), 6), (512, 12, (10, 42), 4), (512, 10, (12, 50), 6),
        (998, 16, (8, 62), 6), (998, 14, (9, 71), 2), (998, 12, (10, 82), 10), (998, 10, (12, 99), 2),
        (1024, 16, (8, 64), 0), (1024, 14, (9, 73), 0), (1024, 12, (10, 85), 0), (1024, 10, (12, 101), 8),
    ],
)  # fmt: skip
def test_token_counts_and_lost_frames_of_the_literature(frames, stride, grid, lost):
    assert token_grid((128, frames), 16, stride) == grid
    assert left_over((128, frames), 16, stride) == ({16: 0, 14: 0, 12: 4, 10: 2}[stride], lost)
    assert tuple(nn.Conv2d(1, 1, 16, stride)(torch.zeros(1, 1, 128, frames)).shape[2:]) == grid


@pytest.mark.parametrize(
    ("img_size", "patch_size", "stride"), [((37, 90), 16, None), ((50, 33), (16, 8), (10, 7)), (31, 7, 5)]
)
def test_left_over_is_what_no_patch_covers(img_size, patch_size, stride):
    height, width = img_size if isinstance(img_size, tuple) else (img_size, img_size)
    image = torch.zeros(1, 1, height, width, requires_grad=True)
    F.unfold(image, patch_size, stride=stride or patch_size).sum().backward()
    seen = image.grad[0, 0] > 0
    assert left_over(img_size, patch_size, stride) == (height - seen.any(1).sum(), width - seen.any(0).sum())


@pytest.mark.parametrize("shape", [(15, 64), (64, 15)])
def test_an_image_below_one_patch_is_refused(shape):
    with pytest.raises(ValueError, match="must hold one patch of 16 x 16"):
        token_grid(shape, 16)
    with pytest.raises(RuntimeError, match="size is 16"):
        extract_patches(torch.zeros(1, 1, *shape), 16, 16)


@pytest.mark.parametrize(("patch_size", "stride"), [(16, 0), (16, -1), (16, (10, 0)), (0, None), (-4, 2)])
def test_sizes_below_one_are_refused(patch_size, stride):
    with pytest.raises(ValueError, match="must be at least 1"):
        token_grid((128, 256), patch_size, stride)


# --- channels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("in_chans", CHANNELS)
@pytest.mark.parametrize("name", STEMS)
def test_one_channel_gets_the_sum_and_more_the_planes_in_turn(name, in_chans, dtype):
    weight = stem_weight(name).clone().to(dtype)
    before = weight.clone()
    ours = sum_input_channels(weight, in_chans)
    planes = [channel % 3 for channel in range(in_chans)]
    expected = before.float().sum(1, keepdim=True) if in_chans == 1 else before.float()[:, planes] * (3 / in_chans)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, expected.to(dtype), rtol=0, atol=0)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("in_chans", CHANNELS)
def test_behind_space_to_depth_each_place_of_a_block_keeps_its_sum(in_chans):
    weight = torch.randn(8, 12, 3, 3)
    if in_chans not in (1, 3):
        with pytest.raises(ValueError, match="1 or 3 behind space-to-depth"):
            sum_input_channels(weight, in_chans)
    else:
        expected = weight if in_chans == 3 else weight.unflatten(1, (4, 3)).sum(2)
        torch.testing.assert_close(sum_input_channels(weight, in_chans), expected, rtol=0, atol=0)


@pytest.mark.parametrize("in_chans", CHANNELS)
def test_equal_planes_give_the_colour_copies_output_for_one_channel_and_multiples_of_three_only(in_chans):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 3, 4, 4, generator=generator)
    plane = torch.randn(2, 1, 16, 16, generator=generator)
    copies = F.conv2d(plane.expand(-1, 3, -1, -1), weight)
    ours = F.conv2d(plane.expand(-1, in_chans, -1, -1), sum_input_channels(weight, in_chans))
    error = (ours - copies).norm() / copies.norm()
    assert error < 1e-5 if in_chans in (1, 3, 6, 9) else error > 0.1


@pytest.mark.parametrize("name", STEMS)
def test_three_copies_equal_one_summed_channel_through_the_whole_model(name):
    torch.manual_seed(0)
    colour = timm.create_model(name, num_classes=10).eval()
    grey = timm.create_model(name, num_classes=10, in_chans=1).eval()
    state = colour.state_dict()
    state[f"{STEMS[name]}.weight"] = sum_input_channels(state[f"{STEMS[name]}.weight"])
    grey.load_state_dict(state)
    size = 160 if name == "test_vit" else 96
    plane = torch.randn(2, 1, size, size)
    with torch.inference_mode():
        three, one = colour(plane.expand(-1, 3, -1, -1)), grey(plane)
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-5 * three.abs().max().item())
    assert three.abs().max() > 0


@pytest.mark.parametrize("kind", STANDARDIZING)
def test_what_a_standardising_stem_multiplies_with_can_be_summed_and_absorb(kind):
    torch.manual_seed(0)
    stem, raw = kind(3, 7, 5, padding=0), torch.randn(2, 1, 12, 14)
    stem.weight.data += torch.randn(7, 1, 5, 5)  # planes of photographs resemble each other
    for name, values in stem.named_parameters():
        if name != "weight":
            torch.nn.init.normal_(values)
    copies, weight = stem(raw.expand(-1, 3, -1, -1)), effective_weight(stem)
    torch.testing.assert_close(F.conv2d(raw, sum_input_channels(weight), stem.bias), copies, rtol=1e-4, atol=1e-5)
    spoiled = kind(1, 7, 5, padding=0)
    spoiled.load_state_dict(stem.state_dict() | {"weight": sum_input_channels(stem.weight)})
    assert (spoiled(raw) - copies).norm() / copies.norm() > 0.3  # what timm does
    mean, std = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
    normalized = stem((raw - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    absorbed = F.conv2d(raw, *absorb_normalization(weight, stem.bias, mean, std))
    torch.testing.assert_close(absorbed, normalized, rtol=1e-4, atol=1e-4)


def test_a_plain_stem_multiplies_with_its_own_weight():
    stem = nn.Conv2d(3, 7, 5)
    assert effective_weight(stem) is stem.weight


@pytest.mark.skipif(not real_stems(), reason="$VISION_WEIGHTS is not set")
def test_energy_kept_of_the_real_stems():
    stems = real_stems()
    vit = stems["vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors"]
    convnet = stems["mobilenetv2_100.tf_slim_in1k.safetensors"]

    def overall(weight):
        return (weight.sum(1).square().sum() / (3 * weight.square().sum())).item()

    assert overall(vit) == pytest.approx(0.653, abs=1e-3)
    assert overall(convnet) == pytest.approx(0.690, abs=1e-3)
    assert energy_kept(vit).median().item() == pytest.approx(0.656, abs=2e-3)
    norms = convnet.flatten(1).norm(dim=1)
    live = norms > 1e-6 * norms.max()
    assert live.sum() == 25  # seven filters are dead in colour already
    assert (energy_kept(convnet[live]) < 0.1).sum() == 5  # these see colour only


def test_energy_kept_is_1_for_grey_0_for_pure_colour_and_a_third_for_unrelated_planes():
    plane = torch.randn(1, 1, 5, 6)
    grey, colour = plane.expand(1, 3, -1, -1), torch.cat([plane, -plane, 0 * plane], dim=1)
    assert energy_kept(torch.cat([grey, colour])).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert energy_kept(torch.randn(64, 3, 16, 16)).mean().item() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("shape", [(8, 768), (3, 4, 4), (8, 1, 4, 4), (8, 4, 4, 4), (8, 0, 4, 4), (8, 3, 4, 4, 4)])
def test_a_weight_that_is_no_colour_stem_is_refused(shape):
    with pytest.raises(ValueError, match=r"weight must be \(embed_dim, 3, height, width\)"):
        sum_input_channels(torch.zeros(shape))


@pytest.mark.parametrize("in_chans", [0, -1, 1.0, "1", None])
def test_a_bad_channel_count_is_refused(in_chans):
    with pytest.raises(ValueError, match="in_chans must be"):
        sum_input_channels(torch.zeros(8, 3, 4, 4), in_chans)


# --- statistics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_type", [tuple, list, torch.tensor])
@pytest.mark.parametrize("with_bias", [True, False])
def test_absorbing_a_normalisation_is_exact_for_raw_input(as_type, with_bias):
    conv = nn.Conv2d(3, 7, 16, 16, bias=with_bias)
    mean, std = as_type(IMAGENET_DEFAULT_MEAN), as_type(IMAGENET_DEFAULT_STD)
    raw = torch.rand(2, 1, 64, 48)
    normalized = (raw - torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_DEFAULT_STD).view(
        3, 1, 1
    )
    weight, bias = absorb_normalization(conv.weight, conv.bias, mean, std)
    assert weight.shape == (7, 1, 16, 16)
    assert bias.shape == (7,)
    torch.testing.assert_close(F.conv2d(raw, weight, bias, stride=16), conv(normalized), rtol=1e-4, atol=1e-5)
    summed = F.conv2d(raw, sum_input_channels(conv.weight), conv.bias, stride=16)
    assert (summed - conv(normalized)).norm() / conv(normalized).norm() > 0.3  # absorbing is needed


def test_without_statistics_what_absorbs_is_the_sum():
    weight, bias = torch.randn(7, 3, 2, 5), torch.randn(7)
    absorbed, shifted = absorb_normalization(weight, bias, (0, 0, 0), (1, 1, 1))
    torch.testing.assert_close(absorbed, sum_input_channels(weight))
    torch.testing.assert_close(shifted, bias)


def test_zero_padding_spoils_what_is_absorbed_at_the_border_only():
    conv = nn.Conv2d(3, 16, 3, padding=1)
    mean, std = (
        torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1),
        torch.tensor(IMAGENET_DEFAULT_STD).view(3, 1, 1),
    )
    raw = torch.rand(2, 1, 12, 14)
    weight, bias = absorb_normalization(conv.weight, conv.bias, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    error = (F.conv2d(raw, weight, bias, padding=1) - conv((raw - mean) / std)).abs()
    assert error[..., 1:-1, 1:-1].max() < 1e-5
    assert error.max() > 0.1


@pytest.mark.parametrize("shape", [(8, 768), (8, 1, 4, 4), (8, 12, 3, 3)])
def test_absorbing_refuses_a_weight_that_is_no_colour_stem(shape):
    with pytest.raises(ValueError, match=r"weight must be \(embed_dim, 3, height, width\)"):
        absorb_normalization(torch.zeros(shape), None, (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.5,), (0.5,)),
        ((0, 0), (1, 1, 1)),
        ((0, 0, 0), (1, 1, 1, 1)),
        (0.5, 0.5),
        ((0, 0, 0), (1, 0, 1)),
        ((0, 0, 0), (1, -1, 1)),
    ],
)
def test_absorbing_refuses_bad_statistics(mean, std):
    with pytest.raises(ValueError, match="mean and std must be three numbers each, std above 0"):
        absorb_normalization(torch.zeros(8, 3, 4, 4), None, mean, std)


def test_absorbing_refuses_a_bias_of_another_length():
    with pytest.raises(ValueError, match="bias must have 8 values"):
        absorb_normalization(torch.zeros(8, 3, 4, 4), torch.zeros(7), (0, 0, 0), (1, 1, 1))


# --- overlap -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stride", "grid"), [(16, (4, 8)), (10, (5, 12)), ((16, 10), (4, 12)), (8, (7, 15))])
@pytest.mark.parametrize("name", ["test_vit", "deit_tiny_distilled_patch16_224"])
def test_overlap_keeps_the_weights_and_resamples_the_positions(name, stride, grid):
    torch.manual_seed(0)
    model = timm.create_model(
        name, in_chans=1, img_size=(64, 128), num_classes=5, **({} if name == "test_vit" else {"depth": 1})
    ).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert overlap(model, stride) is model
    table = before.pop("pos_embed")
    expected = resample_abs_pos_embed(table, list(grid), [4, 8], model.num_prefix_tokens)
    assert torch.equal(model.pos_embed, expected)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    with torch.inference_mode():
        tokens = model.forward_features(torch.randn(2, 1, 64, 128))
        assert model(torch.randn(2, 1, 64, 128)).shape == (2, 5)
    assert tokens.shape[1] == grid[0] * grid[1] + model.num_prefix_tokens
    assert (model.patch_embed.grid_size, model.patch_embed.num_patches) == (grid, grid[0] * grid[1])


def test_overlap_by_the_patch_size_changes_nothing():
    model = timm.create_model("test_vit", in_chans=1, img_size=(64, 128)).eval()
    x = torch.randn(2, 1, 64, 128)
    with torch.inference_mode():
        before = model(x)
        torch.testing.assert_close(overlap(model, 16)(x), before, rtol=0, atol=0)


def test_overlap_keeps_a_frozen_table_frozen():
    model = timm.create_model("test_vit", in_chans=1, img_size=(64, 128)).requires_grad_(False)
    assert not overlap(model, 10).pos_embed.requires_grad


@pytest.mark.parametrize("stride", [0, -2, 17, (10, 20)])
def test_a_stride_that_leaves_gaps_is_refused(stride):
    model = timm.create_model("test_vit", in_chans=1, img_size=(64, 128))
    with pytest.raises(ValueError, match="stride must be 1 to 16"):
        overlap(model, stride)
    assert model.patch_embed.grid_size == (4, 8)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("test_convnext", {}),
        ("mobilenetv3_small_050", {}),
        ("eva02_tiny_patch14_224", {"depth": 1}),  # rotary positions beside the table
        ("cait_xxs24_224", {"depth": 1}),
        ("convit_tiny", {"depth": 1}),
        ("hiera_tiny_224", {}),
        ("xcit_nano_12_p16_224", {"depth": 1}),
        ("vit_tiny_r_s16_p8_224", {"depth": 1}),  # patches of a ResNet's map
        ("test_vit", {"pos_embed": "none"}),
    ],
)
def test_a_model_without_patches_or_position_table_is_refused(name, arguments):
    with torch.device("meta"):
        model = timm.create_model(name, **arguments)
    with pytest.raises(ValueError, match="model must be a ViT with a table of positions, got"):
        overlap(model, 10)


# --- drawings and explorer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch_size", [8, 16, 32])
@pytest.mark.parametrize("stride", [4, 16, 32])
@pytest.mark.parametrize("size", [(64, 98), (160, 1024)])
def test_coverage_is_drawn_at_the_ends_of_every_slider(size, stride, patch_size):
    figure = figures.plot_coverage(*size, patch_size, stride)
    rows, cols = token_grid(size, patch_size, min(stride, patch_size))
    assert f"{rows} x {cols} = {rows * cols} tokens" in figure.axes[0].get_title()


def test_coverage_counts_the_patches_that_see_each_point():
    figure = figures.plot_coverage(128, 512, 16, 10)
    drawn = torch.from_numpy(figure.axes[0].images[0].get_array().data)
    seen = torch.zeros(1, 1, 128, 512, requires_grad=True)
    extract_patches(seen, 16, 10).sum().backward()
    assert torch.equal(drawn, seen.grad[0, 0])
    assert "never seen: 2 mel bins, 6 frames" in figure.axes[0].get_title()


def test_the_explorer_draws_wherever_its_sliders_stand(monkeypatch):
    drawn = []
    monkeypatch.setattr(explorers, "display", drawn.append)
    widget = explorers.explore_coverage()
    widget.update()
    for slider in widget.children[:-1]:
        start = slider.value
        ends = slider.options if hasattr(slider, "options") else (slider.min, slider.max)
        for value in (*ends, start):
            slider.value = value
            widget.update()
    assert len(drawn) > 8
    assert all(isinstance(figure, Figure) for figure in drawn)
    assert not any(output["output_type"] == "error" for output in widget.out.outputs)


@pytest.mark.parametrize(("chans", "columns", "peak"), [(3, 8, None), (1, 3, None), (3, 4, torch.ones(10))])
def test_filters_are_drawn_with_middle_grey_for_zero(chans, columns, peak):
    weight = torch.randn(10, chans, 4, 4)
    weight[2:4] = 0
    figure = figures.plot_filters(weight, peak, title="", columns=columns)
    picture = figure.axes[0].images[0].get_array()
    rows = -(-10 // columns)
    assert picture.shape == (rows * 6, columns * 6, 3)
    row, column = divmod(2, columns)
    assert (picture[row * 6 + 1 : row * 6 + 5, column * 6 + 1 : column * 6 + 5] == 0.5).all()
