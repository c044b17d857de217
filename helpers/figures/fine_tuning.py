"""Drawings of lesson 05 and of training, its first deeper companion."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from helpers.figures.shared import COLORS, new_axes


def plot_starts(means: dict, *, people: float) -> Figure:
    """One row a model, as `recorded.starts` gives them; the line says what photographs are worth, `people` (%) are dashed."""
    ax = new_axes(7, 1.1 + 0.42 * len(means))
    styles = {"from scratch": ("s", COLORS["scratch"], "random weights, all trained")}
    styles["frozen"] = ("o", "white", "photographs, new head trained")
    styles["full"] = ("o", COLORS["pretrained"], "photographs, all trained")
    gaps = [found["full"] - found["from scratch"] for found in means.values()]
    for row, (found, gap) in enumerate(zip(reversed(means.values()), reversed(gaps), strict=True)):
        ends = found["from scratch"], found["full"]
        ax.plot(ends, [row, row], color=COLORS["scratch"], zorder=1)
        ax.text(sum(ends) / 2, row + 0.2, f"{gap:+.1f}", ha="center", fontsize=8)
        for name, value in found.items():
            marker, color, label = styles[name]
            edge = COLORS["pretrained"] if name == "frozen" else color
            ax.plot(value, row, marker, color=color, markeredgecolor=edge, markersize=8, label=label)
    ax.axvline(people, color="black", linestyle="--", linewidth=1, label="people")
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=8)
    ax.set(yticks=range(len(means)), yticklabels=reversed(means), xlim=(0, 103))
    ax.set(ylim=(-0.6, len(means) - 0.4), xlabel="accuracy, mean of five folds (%)")
    ax.set_title(f"Photographs are worth {min(gaps):.1f} to {max(gaps):.1f} points on ESC-10", loc="right", fontsize=10)
    return ax.figure


def plot_training(history: list[dict], *, marks: dict) -> Figure:
    """Loss and accuracy (a share) after each epoch, and accuracies to compare with, {name: share}, the most important first."""
    fig, panels = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", sharex=True)
    plt.close(fig)
    epochs = [row["epoch"] for row in history]
    for ax, name, share in zip(panels, ("loss", "accuracy"), (1, 100), strict=True):
        ax.plot(epochs, [share * row[name] for row in history], "o-", color=COLORS["pretrained"])
        ax.set(xlabel="epoch", xticks=epochs[:: -(-len(epochs) // 12)])
    panels[0].set(ylabel="training loss", ylim=(0, None))
    panels[0].set_title(f"Training loss: {history[0]['loss']:.2f} to {history[-1]['loss']:.2f}", fontsize=10)
    for line, (name, mark) in zip(("--", ":", "-."), marks.items(), strict=False):
        label = f"{name}: {100 * mark:.1f} %"
        panels[1].axhline(100 * mark, color=COLORS["random"], linestyle=line, linewidth=2, label=label)
    points = 100 * (history[-1]["accuracy"] - next(iter(marks.values())))
    panels[1].set(ylabel="accuracy (%)", ylim=(0, 102))
    panels[1].set_title(
        f"Fold 1: {100 * history[-1]['accuracy']:.1f} %, {points:+.1f} points from the {next(iter(marks))}", fontsize=10
    )
    panels[1].legend(fontsize=8)
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
    ax.set_title(f"One test fold: {low:.1f} to {high:.1f} %{beside}", fontsize=10)
    ax.set(xlabel="accuracy on clips drawn with repeats (%)", ylabel="draws")
    ax.legend(fontsize=8, loc="upper left")
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
    ax.set_title(f"{counts.trace()} of {counts.sum()} right: those on the diagonal", fontsize=10)
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
    ax.set_title(
        f"Gradients {min(factors):.0f} to {max(factors):.0f} times as large, nearly the same move", fontsize=10
    )
    ax.legend(fontsize=8, loc="lower right")
    return ax.figure


def plot_rates(rates: dict, *, title: str, ax: Axes | None = None) -> Figure:
    """Learning rate at each update, over four powers of ten, of up to three layers or ways: {name: rates (updates,)}."""
    ax = ax or new_axes()
    top = max(max(values) for values in rates.values())
    for (name, values), line, color in zip(rates.items(), ("-", "--", ":"), ("vit", "deit", "convnet"), strict=False):
        ax.plot(values, line, color=COLORS[color], linewidth=2, label=f"{name}: at most {max(values):.1e}")
    ax.set(yscale="log", ylim=(top / 1e4, 2 * top), xlabel="update", ylabel="learning rate")
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, loc="lower center")
    return ax.figure


def plot_rate_settings(settings: dict) -> Figure:
    """`plot_rates` at several settings side by side: {(layer decay, warm-up): {"head": rates, ..., "stem": rates}}."""
    fig, panels = plt.subplots(1, len(settings), figsize=(9.5, 3.1), layout="constrained", sharey=True, squeeze=False)
    plt.close(fig)
    for ax, ((layer_decay, warmup), rates) in zip(panels[0], settings.items(), strict=True):
        ratio = max(rates["head"]) / max(rates["stem"])
        plot_rates(rates, title=f"decay {layer_decay}, warm-up {warmup:.0%}:\nhead {ratio:.3g} × stem", ax=ax)
        ax.label_outer()
    return fig
