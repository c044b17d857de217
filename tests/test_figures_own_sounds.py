"""Drawings of lesson 06 show what they are given: every file, every test, every threshold, every window."""

import numpy as np
import pandas as pd
import pytest

from helpers import figures, own_sounds


def test_each_good_file_is_a_dot_and_the_others_are_counted():
    found = pd.DataFrame({"class_name": ["a", "a", "b", "b"], "seconds": [0.5, 1.0, 2.0, 0.0]})
    figure = figures.plot_inspection(found.assign(problem=["", "", "", "is damaged"]))
    (ax,) = figure.axes
    assert sorted(x for line in ax.lines for x in line.get_xdata()) == [0.5, 1.0, 2.0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert ax.get_title(loc="right") == "3 files, 0.1 minutes; 1 left out"
    assert [text.get_text() for text in ax.texts] == ["1 left out"]


def test_each_test_is_a_dot_in_the_row_of_its_split_and_the_title_has_the_means():
    ways = {"shuffled": np.array([0.9, 0.8]), "a speaker": np.array([0.5, 0.3, 0.4])}
    (ax,) = figures.plot_splits({"nano": ways}).axes
    dots = {line.get_ydata()[0]: list(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"}
    assert dots == {0: pytest.approx([50, 30, 40]), 1: pytest.approx([90, 80])}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["nano, a speaker", "nano, shuffled"]
    assert ax.get_title(loc="right").startswith("85 % or 40 %")


def test_hits_and_alarms_stand_over_the_threshold_and_the_title_has_those_of_the_chosen_one():
    table = pd.DataFrame({"hits": [0.9, 0.6, 0.0], "false alarms an hour": [800, 120, 0]}, index=[0.0, 0.5, 1.0])
    hits, alarms = figures.plot_false_alarms(table, chosen=0.5).axes
    assert list(hits.lines[0].get_ydata()) == [90, 60, 0]
    assert list(alarms.lines[0].get_ydata()) == [800, 120, 0]
    assert hits.get_title() == "At 0.50: 60% named rightly, 120 false alarms an hour"


def test_a_timeline_has_its_names_in_order_and_grey_where_nothing_is_said():
    heard = pd.DataFrame({"start": [0.0, 0.5, 1.0], "end": [1.0, 1.5, 2.0], "class": ["one", own_sounds.NONE, "two"]})
    heard = heard.assign(probability=[0.9, 0.2, 0.8], one=[0.9, 0.2, 0.1], two=[0.1, 0.1, 0.8])
    above, below = figures.plot_timeline(np.zeros((16, 20)), heard, threshold=0.5).axes
    assert above.get_title() == "Heard: one, two"
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["one", "two"]
    assert list(below.lines[0].get_ydata()) == [0.9, 0.2, 0.1]
    (grey,) = below.collections
    (path,) = grey.get_paths()
    assert (path.vertices[:, 0].min(), path.vertices[:, 0].max()) == (0.75, 1.25)  # its point, at 1.0, in the middle
