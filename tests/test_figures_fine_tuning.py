"""The drawings of lesson 05 and of deeper/05 show all that they are given, and say in their titles what the data say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers import figures, recorded

STARTS = {
    "large": {"from scratch": 40.0, "frozen": 80.0, "full": 95.0},
    "small": {"from scratch": 50.0, "full": 80.0},
}
HISTORY = [{"epoch": 1, "loss": 2.0, "accuracy": 0.5}, {"epoch": 2, "loss": 1.5, "accuracy": 0.75}]


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    yield
    assert not plt.get_fignums()  # the inline backend would show it a second time


def vertical(axes):
    """Places of the lines that span the whole height."""
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    return [x[0] for x, y in drawn if y == [0, 1] and x[0] == x[1]]


def test_starts_are_joined_and_the_gap_is_said():
    axes = figures.plot_starts(STARTS, people=95.7).axes[0]
    assert [text.get_text() for text in axes.texts] == ["+30.0", "+55.0"]  # from below
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small", "large"]
    assert axes.get_title(loc="right") == "Photographs are worth 30.0 to 55.0 points on ESC-10"
    assert vertical(axes) == [95.7]
    (legend,) = axes.figure.legends
    assert len(legend.get_texts()) == 4


def test_recorded_starts_can_be_drawn():
    axes = figures.plot_starts(recorded.starts(), people=95.7).axes[0]
    assert len(axes.get_yticklabels()) == 5


def test_training_is_drawn_beside_what_it_has_to_beat():
    loss, right = figures.plot_training(HISTORY, marks={"probe": 0.8, "chance": 0.1}).axes
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.5]
    assert [line.get_ydata()[0] for line in right.lines] == [50, 80, 10]
    assert loss.get_title() == "Training loss: 2.00 to 1.50"
    assert right.get_title() == "Fold 1: 75.0 %, -5.0 points from the probe"


@pytest.mark.parametrize(("probe", "beside"), [(0.5, ", and the probe lies within"), (0.99, "")])
def test_draws_say_whether_the_second_mark_lies_in_the_interval(probe, beside):
    draws = np.array([0.25, 0.5, 0.5, 0.75])
    figure = figures.plot_draws(draws, interval=(0.25, 0.75), marks={"model": 0.55, "probe": probe})
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches[:3]] == [1, 2, 1]
    assert vertical(axes) == pytest.approx([55, 100 * probe])
    assert axes.get_title() == f"One test fold: 25.0 to 75.0 %{beside}"


def test_confusion_counts_rows_for_what_a_clip_is_and_hides_what_is_none():
    axes = figures.plot_confusion([0, 0, 1, 2], [0, 1, 1, 1], ["bark", "rain", "saw"]).axes[0]
    assert axes.images[0].get_array().tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert axes.get_title() == "2 of 4 right: those on the diagonal"
    assert sum(text.get_visible() for text in axes.texts) == 4
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("the model says", "it is")


def test_a_first_update_shows_each_layer_and_how_far_its_gradients_lie_apart():
    gradient = np.logspace(-5, -3, 1001)
    layers = {"head": (1e-3, gradient, np.full(1001, 1e-3)), "stem": (1e-4, gradient.reshape(7, 143), -gradient)}
    axes = figures.plot_first_update(layers).axes[0]
    head, stem = axes.lines
    assert set(head.get_ydata()) == {1e-3}
    np.testing.assert_allclose(stem.get_ydata(), stem.get_xdata())  # a move has no sign here
    assert axes.get_title() == "Gradients 40 to 40 times as large, nearly the same move"


def test_the_legend_names_the_highest_rate():
    rates = {"head": [0, 1e-3, 5e-4], "middle": [0, 1e-4, 5e-5], "stem": [0, 1e-5, 5e-6]}
    axes = figures.plot_rates(rates, title="").axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["head: at most 1.0e-03", "middle: at most 1.0e-04", "stem: at most 1.0e-05"]


def test_settings_stand_side_by_side_with_the_ratio_of_their_rates():
    rates = {"head": [0, 1e-3], "stem": [0, 1e-4]}
    one, other = figures.plot_rate_settings({(0.75, 0.1): rates, (1.0, 0.3): rates | {"stem": [0, 1e-3]}}).axes
    assert one.get_title() == "decay 0.75, warm-up 10%:\nhead 10 × stem"
    assert other.get_title() == "decay 1.0, warm-up 30%:\nhead 1 × stem"
    assert [len(axes.lines) for axes in (one, other)] == [2, 2]
