"""Drawings of lesson 06: what lies in a folder, and what a model hears in a long recording."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from helpers.figures.shared import COLORS, LEVEL_MAP, new_axes

NAMED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # the likeliest names, in this order


def plot_inspection(found) -> Figure:
    """Seconds of each good file of `own_sounds.inspect`, a row a class; the number of files left out stands beside it."""
    names = sorted(found["class_name"].unique(), reverse=True)
    ax = new_axes(7, 1 + 0.27 * len(names))
    bad, draw = found["problem"] != "", np.random.default_rng(0)
    for row, name in enumerate(names):
        seconds = found.loc[(found["class_name"] == name) & ~bad, "seconds"]
        heights = row + draw.uniform(-0.25, 0.25, len(seconds))  # apart, so that equal lengths do not hide each other
        ax.plot(seconds, heights, "o", color=COLORS["vit"], alpha=0.4, markersize=4, markeredgewidth=0)
        if left_out := int((found["class_name"] == name)[bad].sum()):
            ax.annotate(f"{left_out} left out", (1, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    good = found.loc[~bad, "seconds"]
    if len(good) and good.max() > 10 * good.min():
        ax.set_xscale("log")
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel="length of a file (s)", ylim=(-0.6, len(names) - 0.4))
    ax.set_title(f"{len(good)} files, {good.sum() / 60:.1f} minutes; {int(bad.sum())} left out", loc="right")
    return ax.figure


def plot_splits(found: dict) -> Figure:
    """Accuracy of each test, {model: {way to split: accuracies}}: a dot a test, a stroke at the mean, a row a way."""
    rows = [(model, way, values) for model, ways in found.items() for way, values in ways.items()]
    ways = list(dict.fromkeys(way for _, way, _ in rows))
    ax = new_axes(7, 0.9 + 0.36 * len(rows))
    for height, (_, way, values) in enumerate(reversed(rows)):
        color = (COLORS["scratch"], COLORS["pretrained"])[ways.index(way) == 0]
        ax.plot(100 * values, [height] * len(values), "o", color=color, alpha=0.6, markeredgewidth=0)
        ax.plot(100 * values.mean(), height, "|", color="black", markersize=16, markeredgewidth=2)
    ax.set(yticks=range(len(rows)), yticklabels=[f"{model}, {way}" for model, way, _ in reversed(rows)])
    ax.set(xlabel="accuracy in one test (%)", xlim=(0, 102), ylim=(-0.6, len(rows) - 0.4))
    (_, first), *_ = found.items()
    means = " or ".join(
        f"{100 * values.mean():.0f} %" for _, values in sorted(first.items(), key=lambda each: -each[1].mean())
    )
    ax.set_title(f"{means}: one model, one set of recordings, two splits", loc="right")
    return ax.figure


def plot_false_alarms(table, *, chosen: float | None = None) -> Figure:
    """Hits (share) and false alarms an hour over the threshold, columns of a table indexed by it; a line at the chosen one."""
    ax = new_axes(6.4, 2.8)
    ax.plot(table.index, 100 * table["hits"], color=COLORS["vit"], label="named rightly (%)")
    ax.set(xlabel="threshold (probability)", ylabel="named rightly (%)", ylim=(0, 105), xlim=(0, 1))
    other = ax.twinx()
    other.plot(table.index, table["false alarms an hour"], "--", color=COLORS["convnet"])
    other.set(ylabel="false alarms an hour (dashed)", ylim=(0, None))
    title = "A higher threshold costs hits and saves false alarms"
    if chosen is not None:
        ax.axvline(chosen, color="black", linestyle=":")
        row = table.iloc[abs(table.index - chosen).argmin()]
        title = (
            f"At {chosen:.2f}: {row['hits']:.0%} named rightly, {row['false alarms an hour']:.0f} false alarms an hour"
        )
    ax.set_title(title)
    return ax.figure


def plot_timeline(picture, heard, *, none: str = "none of these", threshold: float | None = None) -> Figure:
    """A recording's spectrogram (n_mels, frames), and below it the probability of its likeliest names over time.

    Args:
        heard: What `own_sounds.timeline` returned.
    """
    end = float(heard["end"].max())
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.2), sharex=True, layout="constrained")
    plt.close(figure)
    extent = (0, end, 0, picture.shape[0])
    above.imshow(picture, origin="lower", aspect="auto", extent=extent, cmap=LEVEL_MAP, interpolation="nearest")
    above.set(ylabel="mel bin")
    middle = (heard["start"] + heard["end"]) / 2
    names = [name for name in heard.columns[4:] if name in set(heard["class"])]
    names = sorted(names or [heard[heard.columns[4:]].max().idxmax()], key=lambda name: -heard[name].max())[
        : len(NAMED)
    ]
    for name, color, marker in zip(names, NAMED, "osd^v", strict=False):
        below.plot(middle, heard[name], f"{marker}-", color=color, label=name, markersize=4)
    silent = (heard["class"] == none).to_numpy().repeat(2)  # each window's share of the axis, its point in the middle
    borders = np.concatenate([[0], (middle[1:].to_numpy() + middle[:-1].to_numpy()) / 2, [end]])
    edges = np.stack([borders[:-1], borders[1:]], axis=1).ravel()
    below.fill_between(edges, 0, 1.02, where=silent, color="#DDDDDD", linewidth=0)
    if threshold is not None:
        below.axhline(threshold, color="black", linestyle=":", linewidth=1)
    below.set(xlabel="time (s)", ylabel="probability", ylim=(0, 1.02), xlim=(0, end))
    below.legend(fontsize=8, loc="upper right", ncols=len(names))
    spoken = heard.loc[heard["class"] != none, "class"]
    said = [name for place, name in enumerate(spoken) if place == 0 or name != spoken.iloc[place - 1]]
    above.set_title(f"Heard: {', '.join(said[:8]) or none}{' ...' * (len(said) > 8)}")
    return figure
