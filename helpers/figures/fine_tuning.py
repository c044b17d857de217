"""Drawings of lesson 05 and of training, its first deeper companion."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from helpers.figures.shared import COLORS, new_axes, new_panels


def plot_starts(means: dict, *, people: float) -> Figure:
    """One row a model, as `recorded.starts` gives them; the line says what photographs are worth, `people` (%) are dashed."""
    found = pd.DataFrame(means).T[::-1]  # rows from below
    scratch, full, rows = found["from scratch"], found["full"], range(len(found))
    grey, blue, gaps = COLORS["scratch"], COLORS["pretrained"], full - scratch
    ax, look = new_axes(7, 1.1 + 0.42 * len(found)), {"color": blue, "markersize": 8}
    ax.hlines(rows, scratch, full, color=grey, zorder=1)
    for row, middle, gap in zip(rows, (scratch + full) / 2, gaps, strict=True):
        ax.text(middle, row + 0.2, f"{gap:+.1f}", ha="center", fontsize=8)
    ax.plot(scratch, rows, "s", color=grey, markersize=8, label="random weights, all trained")
    ax.plot(found["frozen"], rows, "o", markerfacecolor="white", **look, label="photographs, new head trained")
    ax.plot(full, rows, "o", **look, label="photographs, all trained")
    ax.axvline(people, color="black", linestyle="--", linewidth=1, label="people")
    ax.figure.legend(loc="outside lower center", ncols=2)
    ax.set(yticks=rows, yticklabels=found.index, xlim=(0, 103))
    ax.set(ylim=(-0.6, len(found) - 0.4), xlabel="accuracy, mean of five folds (%)")
    ax.set_title(f"Photographs are worth {gaps.min():.1f} to {gaps.max():.1f} points on ESC-10", loc="right")
    return ax.figure


def plot_training(history: list[dict], *, marks: dict) -> Figure:
    """Loss and accuracy (a share) after each epoch, and accuracies to compare with, {name: share}, the most important first."""
    fig, (left, right) = new_panels(1, 2, (9, 2.8), sharex=True)
    found, (first, *_) = pd.DataFrame(history), marks
    loss, accuracy = found["loss"], 100 * found["accuracy"]
    left.plot(found["epoch"], loss, "o-", color=COLORS["pretrained"])
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None), xticks=found["epoch"][:: -(-len(found) // 12)])
    left.set_title(f"Training loss: {loss.iloc[0]:.2f} to {loss.iloc[-1]:.2f}")
    right.plot(found["epoch"], accuracy, "o-", color=COLORS["pretrained"])
    for line, (name, mark) in zip(("--", ":", "-."), marks.items(), strict=False):
        label = f"{name}: {100 * mark:.1f} %"
        right.axhline(100 * mark, color=COLORS["random"], linestyle=line, linewidth=2, label=label)
    points = accuracy.iloc[-1] - 100 * marks[first]
    right.set(xlabel="epoch", ylabel="accuracy (%)", ylim=(0, 102))
    right.set_title(f"Fold 1: {accuracy.iloc[-1]:.1f} %, {points:+.1f} points from the {first}")
    right.legend()
    return fig


def plot_draws(draws, *, interval: tuple[float, float], marks: dict) -> Figure:
    """How often the accuracies of drawn test folds (draws,) occur, their 95 % interval, and some accuracies, {name: share}."""
    ax = new_axes(7, 2.8)
    values, counts = np.unique(np.round(100 * np.asarray(draws), 6), return_counts=True)
    width = np.diff(values).min() if len(values) > 1 else 1
    ax.bar(values, counts, width=0.9 * width, color=COLORS["copy"])
    low, high = (100 * share for share in interval)
    ax.axvspan(low, high, color=COLORS["copy"], alpha=0.2, label="95 of 100 draws", zorder=0)
    for (name, mark), line, color in zip(marks.items(), ("-", "--"), ("pretrained", "waveform"), strict=False):
        ax.axvline(100 * mark, color=COLORS[color], linestyle=line, linewidth=2, label=f"{name}: {100 * mark:.1f} %")
    inside = [name for name, mark in list(marks.items())[1:] if low <= 100 * mark <= high]
    beside = f", and the {inside[0]} lies within" if inside else ""
    ax.set_title(f"One test fold: {low:.1f} to {high:.1f} %{beside}")
    ax.set(xlabel="accuracy on clips drawn with repeats (%)", ylabel="draws")
    ax.legend(loc="upper left")
    return ax.figure


def plot_confusion(labels, guessed, class_names: list[str]) -> Figure:
    """Clips counted by what they are (rows) and what the model says (columns), both (clips,); a count of none is blank."""
    ax = new_axes(6.2, 4.6)
    look = {"cmap": "Blues", "colorbar": False, "xticks_rotation": 40, "text_kw": {"fontsize": 8}, "ax": ax}
    every = range(len(class_names))
    drawn = ConfusionMatrixDisplay.from_predictions(labels, guessed, labels=every, display_labels=class_names, **look)
    counts = drawn.confusion_matrix
    plt.setp(drawn.text_[counts == 0], visible=False)
    plt.setp(ax.get_xticklabels(), ha="right")
    ax.set(xlabel="the model says", ylabel="it is")
    ax.set_title(f"{counts.trace()} of {counts.sum()} right: those on the diagonal")
    return ax.figure


def plot_first_update(layers: dict) -> Figure:
    """How far each weight moved, over the size of its gradient: {layer: (rate, gradients, moves)}, of one update of AdamW."""
    ax, factors = new_axes(6.4, 3), []
    for (layer, (rate, *pair)), color, marker in zip(layers.items(), ("vit", "deit", "convnet"), "o^s", strict=False):
        gradient, move = (np.abs(np.asarray(one)).ravel() for one in pair)
        factors.append(np.quantile(gradient, 0.9) / np.quantile(gradient, 0.1))
        some = np.linspace(0, len(gradient) - 1, 300).astype(int)
        look = {"color": COLORS[color], "markersize": 4, "alpha": 0.5}
        ax.plot(gradient[some], move[some], marker, label=f"{layer}: rate {rate:.1e}", **look)
    ax.set(xscale="log", yscale="log", xlabel="size of the gradient", ylabel="size of the move")
    ax.set(xlim=(1e-7, None), ylim=(1e-5, 2e-3))
    ax.set_title(f"Gradients {min(factors):.0f} to {max(factors):.0f} times as large, nearly the same move")
    ax.legend(loc="lower right")
    return ax.figure


def plot_rates(rates: dict, *, title: str, ax: Axes | None = None) -> Figure:
    """Learning rate at each update, over four powers of ten, of up to three layers or ways: {name: rates (updates,)}."""
    ax = ax or new_axes()
    top = max(max(values) for values in rates.values())
    for (name, values), line, color in zip(rates.items(), ("-", "--", ":"), ("vit", "deit", "convnet"), strict=False):
        ax.plot(values, line, color=COLORS[color], linewidth=2, label=f"{name}: at most {max(values):.1e}")
    ax.set(yscale="log", ylim=(top / 1e4, 2 * top), xlabel="update", ylabel="learning rate", title=title)
    ax.legend(loc="lower center")
    return ax.figure


def plot_rate_settings(settings: dict) -> Figure:
    """`plot_rates` at several settings side by side: {(layer decay, warm-up): {"head": rates, ..., "stem": rates}}."""
    fig, panels = new_panels(1, len(settings), (9.5, 3.1), sharey=True, squeeze=False)
    for ax, ((layer_decay, warmup), rates) in zip(panels[0], settings.items(), strict=True):
        ratio = max(rates["head"]) / max(rates["stem"])
        plot_rates(rates, title=f"decay {layer_decay}, warm-up {warmup:.0%}:\nhead {ratio:.3g} × stem", ax=ax)
        ax.label_outer()
    return fig
