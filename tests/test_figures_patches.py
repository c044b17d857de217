"""The drawings of lesson 02 and its deeper companion: titles that say what the data say, and pictures that show it."""

import numpy as np
import pytest
import torch
from torch import nn

from helpers import figures
from helpers.patches import energy_kept, extract_patches


def stem(filters=40, chans=3, size=16):
    return torch.randn(filters, chans, size, size, generator=torch.Generator().manual_seed(0))


def grey_and_opponent(filters=6, size=4):
    """Half of the filters are grey, half set red against green."""
    plane = stem(filters, 1, size)
    sign = torch.ones(filters, 3)
    sign[filters // 2 :] = torch.tensor([1.0, -1.0, 0.0])
    return plane * sign[:, :, None, None]


def test_the_photograph_is_what_a_vit_reads():
    picture = figures.photograph()
    assert picture.shape == (1, 3, 224, 224)
    assert -1 <= picture.min() < -0.5 < 0.5 < picture.max() <= 1
    assert picture.std(dim=1).max() > 0.1  # it has colours


def test_the_opening_figure_counts_the_patterns_that_adding_erases():
    bases, _ = torch.linalg.qr(stem(3, 1, 4).flatten(1).T)  # three patterns without anything in common
    first, second, third = bases.T.unflatten(1, (4, 4))
    none = torch.zeros(4, 4)
    weight = torch.stack(
        [
            4 * torch.stack([first, first, first]),  # grey: all is kept
            3 * torch.stack([second, second, none]),  # yellow: two thirds
            2 * torch.stack([third, -third, none]),  # red against green: nothing
        ]
    )
    figure = figures.plot_added_colours(figures.photograph(), torch.rand(1, 1, 32, 64), weight, patterns=3)
    assert "erases 1 of 3 patterns, the rest keep 67% to 100%" in figure.get_suptitle()
    coloured, added = (ax.images[0].get_array() for ax in figure.axes[1::2])
    assert np.ptp(added, axis=2).max() < 1e-6 < np.ptp(coloured, axis=2).max()  # no colour is left


def test_tokens_are_numbered_as_patches_are_cut():
    spectrogram = torch.zeros(1, 1, 32, 64)
    spectrogram[:, :, 16:, 48:] = 1  # the last patch
    tokens = extract_patches(spectrogram, 16, 16) + 0.1
    figure = figures.plot_tokens(spectrogram, tokens, (2, 4))
    picture, lengths = figure.axes[:2]
    assert "token 4 next in frequency" in picture.get_title()
    assert "Token 7 is the longest, 11.0 times the shortest" in lengths.get_title()
    assert lengths.images[0].get_array().argmax() == 7
    places = {text.get_text(): text.get_position() for text in picture.texts}
    assert places["0"] == (8, 8)
    assert places["1"] == (24, 8)  # next in time
    assert places["4"] == (8, 24)  # next in frequency
    assert places["7"] == (56, 24)


def test_agreement_says_how_far_each_lies_off_the_diagonal():
    copies = torch.linspace(-4, 2, 70).view(7, 10)
    figure = figures.plot_agreement(copies, {"sum": copies + 4e-6, "average": copies / 2}, what="logit")
    assert figure.get_suptitle() == "Off the diagonal: the sum by 1e-06, the average by 0.50 of the largest logit"
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert drawn["average"].get_ydata() == pytest.approx(copies.flatten()[::7].numpy() / 2)


@pytest.mark.parametrize(("seen", "unseen"), [(60, 10), (70, 0)])
def test_reach_marks_the_frames_without_gradient(seen, unseen):
    gradient = torch.ones(8, 70)
    gradient[:, seen:] = 0
    gradient[:, 5] = 0  # a gap that is no edge
    figure = figures.plot_reach(gradient)
    assert figure.axes[0].get_title().startswith(f"The last {unseen} of 70 frames")
    assert figure.axes[0].patches[0].get_width() == unseen


def test_stems_are_set_against_the_sum_with_the_spread_of_the_difference():
    accuracies = {"sum": np.array([0.8, 0.9, 0.7]), "random": np.array([0.7, 0.7, 0.6])}
    title = figures.plot_stems(accuracies).axes[0].get_title(loc="right")
    assert title == "Points above the sum, and their spread: random -13.3 ± 5.8"


def test_energy_is_drawn_for_filters_that_have_weights():
    weight = torch.cat([grey_and_opponent(), torch.zeros(2, 3, 4, 4)])
    figure = figures.plot_energy_kept({"some_vit.tag": weight, "other": stem(20)})
    share = figure.get_suptitle()
    assert "(some)" in share
    assert "(other)" in share
    bars, least, most = figure.axes[:3]
    assert sum(bar.get_height() for bar in bars.patches) == 6
    kept = energy_kept(grey_and_opponent())
    assert least.get_title() == f"least kept: {kept.min():.2f} to {kept.max():.2f}"
    assert most.get_title().endswith("to 1.00")


def test_changes_count_what_is_hidden_at_the_end():
    changes = {"one": {"stem": 0.6, "end": 0.01}, "two, long": {"stem": 0.6, "end": 0.3}}
    axes = figures.plot_changes({name: {"first": 0.6, **places} for name, places in changes.items()}).axes[0]
    assert "hidden (below 0.05) in 1 of 2" in axes.get_title()
    assert [bar.get_height() for bar in axes.containers[2]] == [0.01, 0.3]


def test_the_border_is_told_from_the_inside():
    padded, plain = (nn.Conv2d(1, 4, 3, padding=1, padding_mode=mode) for mode in ("zeros", "reflect"))
    plain.load_state_dict(padded.state_dict())
    image = torch.rand(1, 1, 40, 80)
    with torch.no_grad():
        figure = figures.plot_border((padded(image) - plain(image))[0])
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (24, 64)
    assert picture[1:, 1:].max() < 1e-6 < picture[0].max()
    assert "inside" in figure.axes[0].get_title()


def test_token_lengths_share_one_scale():
    few, many = torch.full((1, 6, 5), 1.0), torch.full((1, 20, 5), 2.0)
    figure = figures.plot_token_lengths({(2, 3): few, (4, 5): many})
    images = [ax.images[0] for ax in figure.axes[:2]]
    assert [ax.get_title() for ax in figure.axes[:2]] == ["2 x 3 = 6 tokens", "4 x 5 = 20 tokens"]
    assert images[0].get_clim() == images[1].get_clim() == (0, pytest.approx(2 * 5**0.5))
