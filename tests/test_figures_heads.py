"""Figures and explorers of lesson 04: each draws what it is given, and its title says what is in the data."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import clips, explorers, figures


def title(figure, panel=0):
    return figure.axes[panel].get_title()


# the road


def test_photographs_are_named_in_the_order_of_the_logits():
    names = figures.photograph_names()
    assert (len(names), names[0], names[207], names[999]) == (1000, "tench", "golden retriever", "toilet tissue")


def test_answers_show_all_of_ten_classes_and_the_five_likeliest_of_more():
    few, many = ["a", "b", "c"], [f"class {index}" for index in range(20)]
    shares = torch.linspace(0, 1, 20) / 10
    answers = {"old": (many, shares), "new": (few, np.array([0.2, 0.7, 0.1]))}
    figure = figures.plot_answers(torch.rand(8, 12), answers, seconds=2.0)
    _, old, new = figure.axes
    assert title(figure, 1) == "old: class 19"
    assert title(figure, 2) == "new: b"
    assert [label.get_text() for label in old.get_yticklabels()] == [f"class {index}" for index in range(19, 14, -1)]
    assert [bar.get_width() for bar in new.patches] == pytest.approx([0.2, 0.7, 0.1])


def test_fates_are_counted_in_values():
    fates = {
        "ViT": {"a": ("kept", 900), "b": ("summed", 60), "c": ("kept", 30), "d": ("new", 10)},
        "ConvNet": {"a": ("kept", 80), "b": ("new", 20)},
    }
    figure = figures.plot_fates(fates)
    assert title(figure) == "80.0 % of all values, or more, are kept; at most 20.00 % are new"
    vit, convnet = figure.axes[0].lines
    assert vit.get_xdata().tolist() == [930, 60, 10]
    assert convnet.get_xdata().tolist() == [80, 20]


def test_first_losses_show_each_draw_and_the_mean_of_each_way():
    losses = {"ViT": [(3.0, 4.0, 2.3), (2.0, 5.0, 2.3)], "ConvNet": [(9.0, 2.5, 2.3)] * 2}
    figure = figures.plot_first_losses(losses, ways=("one", "two", "zeros"), classes=10)
    assert title(figure) == "ViT, mean of the draws: 2.50, 4.50, 2.30"
    *ways, means, dotted = (line.get_xdata() for line in figure.axes[0].lines)
    assert [draws.tolist() for draws in ways] == [[3, 2], [4, 5], [2.3, 2.3]]
    assert means.tolist() == [2.5, 4.5, 2.3]
    assert dotted[0] == pytest.approx(np.log(10))


def test_equal_folds_do_not_hide_each_other_when_drawn_apart():
    axes = figures.plot_folds({"one": np.array([0.5, 0.5, 0.5])}, title="", apart=True).axes[0]
    heights = axes.lines[0].get_ydata().tolist()
    assert heights == sorted(set(heights), reverse=True)


def test_fold_dots_stand_in_the_order_of_the_table():
    figure = figures.plot_folds({"first": np.array([0.1, 0.3]), "second": np.array([0.8])}, title="")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["second", "first"]
    assert axes.lines[0].get_xdata().tolist() == [0.8]
    figure.canvas.draw()
    assert axes.get_xticklabels()[-1].get_text().endswith("%")


def test_two_heads_show_the_three_classes_that_either_finds_most_likely():
    names = ["a", "b", "c", "d", "e"]
    class_logits, dist_logits = torch.tensor([0.0, 5, 0, 1, 0]), torch.tensor([2.0, 0, 0, 0, 5])
    figure = figures.plot_two_heads(class_logits, dist_logits, names, weight=1.0, truth="b")
    axes = figure.axes[0]
    assert title(figure) == "100 % distillation head: e (it is: b)"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "e"]
    heights = [bar.get_height() for bar in axes.containers[1]]
    assert heights == pytest.approx(dist_logits.softmax(dim=0)[[0, 1, 4]].tolist())
    half = figures.plot_two_heads(class_logits, 2 * dist_logits, names, weight=0.5, truth="b")
    assert title(half) == "mean of both heads: e (it is: b)"


# the deeper companion


def test_a_map_of_more_classes_than_colours_draws_them_all_each_with_its_own_look():
    names, labels = [f"class {place}" for place in range(50)], np.arange(100) % 50
    axes = figures.plot_map(np.random.default_rng(0).normal(size=(100, 2)), labels, names, title="").axes[0]
    assert [len(line.get_xdata()) for line in axes.lines] == [2] * 50
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 50


def test_maps_stand_side_by_side_with_one_legend_and_a_ring_where_asked():
    points, labels = np.random.default_rng(0).normal(size=(12, 2)), np.arange(12) % 3
    figure = figures.plot_maps({"one": points, "two": -points}, labels, ["a", "b", "c"], pairs={"two": (4, 7)})
    assert [title(figure, panel) for panel in (0, 1)] == ["one", "two"]
    assert [len(ax.lines) for ax in figure.axes] == [3, 6]  # a ring and a line on its white border besides
    assert (figure.axes[1].lines[-1].get_xydata() == -points[[4, 7]]).all()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert not any(ax.get_legend() for ax in figure.axes)


def test_losses_are_drawn_each_with_its_own_line_beside_the_level():
    figure = figures.plot_losses({"zeros": [2.0, 1.0], "large": [5.0, 3.0]}, level=2.3, what="ln", title="found")
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["zeros", "large", "ln"]
    assert len({line.get_linestyle() for line in lines}) == 3
    assert title(figure) == "found"


def test_token_cosines_show_the_median_of_each_layer():
    cosines = torch.tensor([[0.1, 0.2, 0.9], [0.5, 0.6, 0.7], [0.8, 0.9, 1.0]])
    figure = figures.plot_token_cosines(cosines)
    assert title(figure) == "Two tokens: cosine 0.200 after the first block, 0.900 at the end"
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([0.2, 0.6, 0.9])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["block 1", "block 2", "final norm"]


def test_the_blend_is_drawn_as_points_above_half_and_half():
    weights = np.linspace(0, 1, 3)
    accuracies = np.array([[0.5, 0.6], [0.5, 0.5], [0.4, 0.5]])  # (weights, folds)
    figure = figures.plot_blend(weights, accuracies, np.array([0.6, 0.6]))
    assert title(figure) == "No weight beats half and half by more than 5.0 ± 7.1 points"
    assert figure.axes[0].lines[2].get_ydata() == pytest.approx([5, 0, -5])
    assert figure.axes[0].lines[3].get_label().endswith("+10.0 ± 0.0")
    level = figures.plot_blend(weights, np.full((3, 2), 0.5), np.array([0.5, 0.5]))
    assert title(level) == "No weight beats half and half"


def test_three_blends_lead_from_one_head_to_the_other():
    one, two = torch.tensor([3.0, 0, 0, 0]), torch.tensor([0.0, 0, 0, 4])
    figure = figures.plot_blends(one, two, ["a", "b", "c", "d"], truth="a")
    said = [title(figure, panel) for panel in range(3)]
    assert said == [
        "0 % distillation head: a\n(it is: a)",
        "mean of both heads: d\n(it is: a)",
        "100 % distillation head: d\n(it is: a)",
    ]


# explorers


@pytest.fixture(scope="module")
def sounds():
    """Twenty clips of ten classes, a tenth of a second each."""
    table = pd.DataFrame(
        {"label": np.arange(20) % 10, "title": "noise", "author": "nobody", "licence": "CC0", "url": ""}
    )
    table["class_name"] = [f"sound {label}" for label in table["label"]]
    waveforms = list(0.1 * torch.randn(20, 800, generator=torch.Generator().manual_seed(0)))
    return clips.Clips("noise", 8000, table, "made here", 0, None, waveforms)


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(explorers, "display", found.append)
    return found


def test_the_map_plays_the_chosen_clip_and_its_neighbour(sounds, shown):
    points = np.random.default_rng(0).normal(size=(len(sounds), 2))
    neighbours = np.roll(np.arange(len(sounds)), 1)
    widget = explorers.explore_map(points, neighbours, sounds)
    (slider,) = [child for child in widget.children if hasattr(child, "max")]
    assert (slider.min, slider.max) == (0, len(sounds) - 1)
    for clip in (slider.min, 7, slider.max):
        shown.clear()
        widget.f(clip)
        figure, first, second = shown
        assert f"clip {clip}," in title(figure)
        assert f"clip {clip}," in first.data
        assert f"clip {neighbours[clip]}," in second.data


@pytest.mark.parametrize("percent", range(0, 101, 25))
def test_the_blend_leads_from_one_heads_verdict_to_the_others(sounds, shown, percent):
    names = sounds.class_names
    class_logits, dist_logits = torch.zeros(3, len(names)), torch.zeros(3, len(names))
    class_logits[:, 1], dist_logits[:, 4] = 4, 4
    widget = explorers.explore_two_heads(class_logits, dist_logits, sounds)
    for clip in range(3):
        shown.clear()
        widget.f(clip, percent)
        assert names[1 if percent <= 50 else 4] in title(shown[0])
