"""The figures of "how sure" show all that they are given, and their titles say what the data say."""

import numpy as np
import pandas as pd
import torch

from helpers import figures


def lines(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


def names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_intervals_are_drawn_from_above_and_counted():
    rows = {"one": (97.25, 95.5, 98.75), "other": (94.0, 92.0, 95.0)}
    axes = figures.plot_intervals(rows, what="accuracy (%)", name="People's 95.7", line=95.7).axes[0]
    assert axes.get_title(loc="right") == "People's 95.7 lies in 1 of 2 intervals"
    assert names(axes) == ["one", "other"]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["97.3", "94.0"]
    assert [dot.get_xdata()[0] for dot in lines(axes, "o")] == [97.25, 94.0]
    axes = figures.plot_intervals({"a": (-0.25, -1, 1)}, what="points").axes[0]
    assert axes.texts[0].get_text() == "-0.3"
    assert axes.get_title(loc="right") == "Zero lies in 1 of 1 intervals"


def test_worth_has_the_second_look_on_top_and_hollow_dots_for_one_seed():
    columns = ["difference", "low", "high", "seeds"]
    changes = pd.DataFrame([[-1, -3, 1, 1], [2, 0.5, 3, 1]], index=["less", "more"], columns=columns)
    again = pd.DataFrame([[1, -1, 3, 2]], index=["more"], columns=columns)
    parts = {"stem": pd.DataFrame([[-22, -26, -18, 1], [0, -1, 1, 2]], index=["random", "mean"], columns=columns)}
    left, stem = figures.plot_worth(changes, again, parts).axes
    assert names(left) == ["more, again", "more", "less"]
    assert left.get_title(loc="right") == "1 of 2 changes above zero, again: 0"
    assert names(stem) == ["mean", "random"]
    assert stem.get_title(loc="right") == "stem: at worst -22"
    blue = figures.COLORS["pretrained"]
    assert [dot.get_markerfacecolor() for dot in lines(left, "o")] == [blue, "white", "white"]
    assert [dot.get_markerfacecolor() for dot in lines(stem, "o")] == [blue, "white"]


def test_leaks_say_what_shuffling_gives():
    found = {"probe": {"official": [0.8], "regrouped": [0.78, 0.82], "shuffled": [0.84, 0.86]}}
    found["neighbour"] = {"official": [0.7], "regrouped": [0.7], "shuffled": [0.69]}
    first, second = figures.plot_leaks(found).axes
    assert first.get_title(loc="right") == "probe: shuffling gives +5.0 points"
    assert second.get_title(loc="right") == "neighbour: shuffling gives -1.0 points"
    assert names(first) == ["shuffled", "regrouped", "official"]  # from below


def test_holding_compares_with_what_is_promised():
    truth = np.array([0.9, 0.99])
    axes = figures.plot_holding(truth, {"Wilson": np.array([0.96, 0.95]), "bootstrap": np.array([0.93, 0.54])}).axes[0]
    assert axes.get_title() == "Where 99 % are true, 95 of 100 are promised: Wilson 95, bootstrap 54"
    np.testing.assert_allclose([line.get_ydata() for line in axes.lines], [[96, 95], [93, 54], [95, 95]])


def test_seeds_show_each_and_what_was_promised():
    accuracies = {"plain": np.array([93.75, 93.25, 93.75]), "long": np.array([96.0, 96.25, 96.25, 96.25, 94.0])}
    promises = pd.DataFrame({"validation": [93.5, 96.6], "each fold chooses": [93.8, 96.3]}, index=["plain", "long"])
    axes = figures.plot_seeds(accuracies, promises).axes[0]
    assert axes.get_title() == "Three seeds within 0.3 points of each other; with two more, 2.3"
    assert [line.get_xdata().tolist() for line in lines(axes, "o")] == [list(some) for some in accuracies.values()]
    assert [line.get_xdata().tolist() for line in lines(axes, "X")] == [[93.5, 96.6]]
    assert [line.get_xdata().tolist() for line in lines(axes, "D")] == [[93.8, 96.3]]
    assert all((np.diff(line.get_ydata()) > 0).all() for line in lines(axes, "o"))  # no dot hides another


def test_best_of_names_twenty():
    gains = {"coins": [0, 5.7], "chosen": [0, 3.4], "elsewhere": [0, -0.02]}
    axes = figures.plot_best_of([1, 20], gains).axes[0]
    assert axes.get_title() == "Best of twenty: +3.4 points where chosen, +0.0 elsewhere"
    assert [line.get_ydata().tolist() for line in axes.lines] == list(gains.values())


def test_epochs_mark_the_best_of_each_fold_and_of_their_mean():
    curves = np.array([[[80.0, 90, 80], [70, 70, 80]]])  # one seed, two folds, three epochs
    axes = figures.plot_epochs(torch.from_numpy(curves)).axes[0]
    assert axes.get_title() == "Above the last epoch: each fold's best +5.0 points, one for all +0.0"
    (dots,), (square,) = lines(axes, "o"), lines(axes, "s")
    assert list(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(2, 90), (3, 80)]
    assert (square.get_xdata()[0], square.get_ydata()[0]) == (2, 80)
    assert len(axes.get_legend().get_texts()) == 4


def test_calibration_has_a_bar_for_each_bin():
    bars = [(0.35, 0.5, 2), (0.9, 0.95, 78)]
    first, second = figures.plot_calibration({"before": (bars, 0.0987), "after": (bars[1:], 0.02)}).axes
    assert [bar.get_height() for bar in first.patches] == [0.5, 0.95]
    assert [text.get_text() for text in first.texts] == ["2", "78"]
    assert first.get_title() == "before: expected error 0.099"
    assert [bar.get_height() for bar in second.patches] == [0.95]


def test_attention_is_on_one_scale_and_counts_the_corners():
    level = torch.arange(6.0).reshape(2, 3)
    looks = {"before": torch.tensor([[0.3, 0.1, 0.2], [0.2, 0.1, 0.1]]), "after": torch.full((2, 3), 1 / 6)}
    axes = figures.plot_attention(level, looks, seconds=5.12, n_mels=128).axes[:3]
    assert [ax.get_title() for ax in axes[1:]] == [
        "before: 80 % on four corners of 6",
        "after: 67 % on four corners of 6",
    ]
    assert len({ax.images[0].get_clim() for ax in axes[1:]}) == 1
    np.testing.assert_allclose(axes[1].images[0].get_array(), 100 * looks["before"])


def test_learning_curves_have_mean_and_spread_at_each_size():
    probe = {"pretrained": {2: [40.0, 60.0], 4: [80.0, 80.0]}, "scratch": {2: [10.0, 10.0], 4: [20.0, 40.0]}}
    first, second = figures.plot_learning_curve({"probe": probe, "tuned": probe}, chance=10).axes
    drawn = {line.get_label(): line.lines[0].get_ydata().tolist() for line in first.containers}
    assert drawn == {"pretrained": [50, 80], "scratch": [10, 30]}
    assert first.get_title() == "probe: pretrained 50 % at 2, scratch 30 % at 4"
    assert second.get_title().startswith("tuned: ")
    assert [label.get_text() for label in first.get_xticklabels()] == ["2", "4"]
