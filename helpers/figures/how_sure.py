"""Drawings of "how sure", a deeper companion: intervals, leaks, seeds, the best of many, and what recorded runs are worth."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from helpers.figures.heads import plot_folds
from helpers.figures.shared import COLORS, LEVEL_MAP, SIMILARITY_MAP, UPWARDS, new_axes, new_panels


def plot_intervals(rows: dict, *, what: str, name: str = "Zero", line: float = 0.0) -> Figure:
    """A row each, the first on top: a dot with its 95 % interval, {what: (value, low, high)}; how many hold `line`, its `name`?"""
    found = pd.DataFrame(rows, index=["difference", "low", "high"]).T
    ax = new_axes(7, 1.0 + 0.3 * len(found))
    _draw_intervals(ax, found.assign(seeds=2), line=line, fontsize=10)
    inside = ((found["low"] <= line) & (line <= found["high"])).sum()
    ax.set_xlabel(what)
    ax.set_title(f"{name} lies in {inside} of {len(found)} intervals", loc="right")
    return ax.figure


def plot_worth(changes, again, parts: dict) -> Figure:
    """Left, `recorded.changes` with the second look on top; right, `recorded.parts`. In points, a dot hollow for one seed."""
    mosaic, heights = [["changes", what] for what in parts], [len(found) for found in parts.values()]
    fig, panels = plt.subplot_mosaic(mosaic, figsize=(9.6, 5), layout="constrained", height_ratios=heights)
    plt.close(fig)
    left = panels.pop("changes")
    _draw_intervals(left, pd.concat([again.rename("{}, again".format), changes[::-1]]))
    clear, still = (changes["low"] > 0).sum(), (again["low"] > 0).sum()
    left.set_title(f"{clear} of {len(changes)} changes above zero, again: {still}", loc="right", fontsize=9)
    left.set_xlabel("points above the whole recipe")
    for what, ax in panels.items():
        _draw_intervals(ax, parts[what][::-1])
        ax.set_title(f"{what}: at worst {parts[what]['difference'].min():+.0f}", loc="right", fontsize=9)
    ax.set_xlabel("points")
    return fig


def _draw_intervals(ax: Axes, found: pd.DataFrame, *, line: float = 0, fontsize: int = 8) -> None:
    """Rows of `recorded.differences`, the first on top."""
    ax.axvline(line, color="black", linestyle="--" if line else ":", linewidth=1, zorder=0)
    color, white = COLORS["pretrained"], {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    beside = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": white}
    for row, (value, low, high, seeds) in enumerate(found.itertuples(index=False)):
        ax.plot([low, high], [row, row], color=color, linewidth=1.5)
        ax.plot(value, row, "o", color=color, markerfacecolor=color if seeds > 1 else "white")
        ax.annotate(f"{_half_up(value):{'' if line else '+'}.1f}", (high, row), (6, 0), **beside)
    ax.margins(x=0.25)  # for the numbers
    ax.set_yticks(range(len(found)), found.index, fontsize=fontsize)
    ax.set_ylim(len(found) - 0.4, -0.6)


def _half_up(value: float) -> float:
    """A quarter of a point is one clip of 400: 0.25 is shown as 0.3, -0.25 as -0.3."""
    return value + np.sign(value) * 1e-6


def plot_leaks(found: dict) -> Figure:
    """A panel for each judge: {judge: {kind of folds: accuracies, one a draw}}; what shuffling gives stands above it."""
    fig, panels = new_panels(1, len(found), (9, 2.2), sharex=True)
    for ax, (judge, of) in zip(panels, found.items(), strict=True):
        gain = 100 * (np.mean(of["shuffled"]) - np.mean(of["regrouped"]))
        values = {kind: np.asarray(some) for kind, some in of.items()}
        plot_folds(values, title=f"{judge}: shuffling gives {gain:+.1f} points", ax=ax)
        ax.set_xlabel("accuracy, mean of five folds")
    return fig


def plot_holding(truth, shares: dict) -> Figure:
    """How often a 95 % interval holds the true accuracy, over that accuracy (shares): {name: shares (truths,)}."""
    ax = new_axes(6.8, 2.8)
    for (name, share), color in zip(shares.items(), ("vit", "convnet"), strict=False):
        ax.plot(100 * truth, 100 * share, color=COLORS[color], label=name)
    ax.axhline(95, color="black", linestyle=":", label="as promised")
    ax.set(xlabel="true accuracy (%)", ylabel="intervals that hold it (%)", ylim=(None, 101))
    found = ", ".join(f"{name} {100 * share[-1]:.0f}" for name, share in shares.items())
    ax.set_title(f"Where {100 * truth[-1]:.0f} % are true, 95 of 100 are promised: {found}")
    ax.legend(loc="lower left")
    return ax.figure


def plot_seeds(accuracies: dict, promises) -> Figure:
    """A row a recipe, {name: per cents, a seed each}, the first seed on top; `recorded.promises` as crosses and diamonds."""
    ax, rows = new_axes(7.4, 0.9 + 0.5 * len(accuracies)), np.arange(len(accuracies))
    for row, values in enumerate(accuracies.values()):
        heights = row - 0.12 + 0.11 * (np.arange(len(values)) - (len(values) - 1) / 2)
        ax.plot(values, heights, "o", color=COLORS["vit"], label="_" if row else "test folds, a seed each")
    promised = promises.loc[list(accuracies)]
    ax.plot(promised["validation"], rows + 0.3, "X", color=COLORS["convnet"], label="validation clips")
    ax.plot(promised["each fold chooses"], rows + 0.3, "D", color=COLORS["deit"], label="each fold chooses")
    first, every = max(((np.ptp(v[:3]), np.ptp(v)) for v in accuracies.values()), key=lambda pair: pair[1] - pair[0])
    title = f"Three seeds within {_half_up(first):.1f} points of each other; with two more, {_half_up(every):.1f}"
    ax.set(yticks=rows, yticklabels=accuracies, ylim=(len(rows) - 0.5, -0.5), title=title)
    ax.set_xlabel("accuracy, mean of five folds (%)")
    ax.grid(axis="x", alpha=0.3)
    ax.figure.legend(loc="outside lower center", ncols=3)
    return ax.figure


def plot_best_of(tries: list[int], gains: dict) -> Figure:
    """Points that the best of so many lies above the mean: {"coins", "chosen", "elsewhere": (tries,)}."""
    ax = new_axes(6.8, 2.8)
    ax.plot(tries, gains["coins"], "s:", color=COLORS["random"], label="coins, on the clips that chose")
    ax.plot(tries, gains["chosen"], "o-", color=COLORS["convnet"], label="probes, on the fold that chose")
    ax.plot(tries, gains["elsewhere"], "o--", color=COLORS["vit"], label="the same probes, on the other folds")
    ax.set(xscale="log", xlabel="seeds tried", ylabel="points above the mean")
    ax.set_xticks(tries, tries)
    ax.minorticks_off()
    chosen, elsewhere = (np.round(gains[name][tries.index(20)], 1) + 0.0 for name in ("chosen", "elsewhere"))
    ax.set_title(f"Best of twenty: {chosen:+.1f} points where chosen, {elsewhere:+.1f} elsewhere")
    ax.legend(loc="upper left")
    return ax.figure


def plot_epochs(curves) -> Figure:
    """Per cent right after each epoch, (seeds, folds, epochs): the folds of the first seed, best epochs marked, and their mean."""
    ax, curves = new_axes(6.8, 2.8), np.asarray(curves)
    folds, mean, epochs = curves[0], curves[0].mean(axis=0), np.arange(1, curves.shape[2] + 1)
    ax.plot(epochs, folds.T, color=COLORS["random"], linewidth=1, label=["a fold each", *["_"] * (len(folds) - 1)])
    ax.plot(epochs, mean, color="black", linewidth=2, label="mean of five folds")
    ax.plot(folds.argmax(axis=1) + 1, folds.max(axis=1), "o", color=COLORS["convnet"], label="best epoch of a fold")
    ax.plot(mean.argmax() + 1, mean.max(), "s", color="black", label="best epoch of the mean")
    own, common = ((one.max(axis=-1) - one[..., -1]).mean() for one in (curves, curves.mean(axis=1)))
    ax.set_title(f"Above the last epoch: each fold's best {own:+.1f} points, one for all {common:+.1f}")
    ax.set(xlabel="epoch", ylabel="accuracy (%)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax.figure


def plot_calibration(found: dict) -> Figure:
    """A panel each, {name: (bars, error)}: a bar for each (mean probability, accuracy, clips); calibrated ones end on the diagonal."""
    fig, panels = new_panels(1, len(found), (8, 3), sharey=True)
    for ax, (name, (bars, error)) in zip(panels, found.items(), strict=True):
        probability, accuracy, clips = np.transpose(bars)
        ax.plot([0, 1], [0, 1], color=COLORS["random"], linestyle="--", label="calibrated")
        drawn = ax.bar(probability, accuracy, width=0.06, color=COLORS["pretrained"], edgecolor="white")
        ax.bar_label(drawn, clips.astype(int), padding=3, fontsize=8)
        ax.set(xlabel="probability of the model's answer", ylabel="share of right answers")
        ax.set(xlim=(0, 1.05), ylim=(0, 1.15))
        ax.set_title(f"{name}: expected error {error:.3f}")
        ax.label_outer()
    panels[0].legend(loc="upper left")
    return fig


def plot_attention(level, looks: dict, *, seconds: float, n_mels: int) -> Figure:
    """Mean level of each patch (rows, cols), and where the class token reads: {name: shares (rows, cols)}, on one scale."""
    fig, (left, *panels) = new_panels(1, 1 + len(looks), (11, 2.7))
    extent = (0, seconds, 0, n_mels)
    image = left.imshow(level, cmap=LEVEL_MAP, extent=extent, **UPWARDS)
    left.set(xlabel="time (s)", ylabel="mel bin", title="mean of all test clips")
    fig.colorbar(image, ax=left, label="level (standardised)")
    norm = PowerNorm(0.5, vmin=0, vmax=100 * max(one.max() for one in looks.values()))
    for ax, (name, one) in zip(panels, looks.items(), strict=True):
        image = ax.imshow(100 * one, cmap=SIMILARITY_MAP, norm=norm, extent=extent, **UPWARDS)
        corners = 100 * one[:: len(one) - 1, :: one.shape[1] - 1].sum()
        title = f"{name}: {corners:.0f} % on four corners of {one.numel()}"
        ax.set(xlabel="time (s)", ylabel="mel bin", title=title)
    fig.colorbar(image, ax=panels, label="attention (%)")
    return fig


def plot_learning_curve(curves: dict, *, chance: float) -> Figure:
    """A panel each, mean and spread over the number of clips: {what: {"pretrained" or "scratch": {size: per cents}}}."""
    fig, panels = new_panels(1, len(curves), (9, 3.2), sharey=True)
    for ax, (what, accuracies) in zip(panels, curves.items(), strict=True):
        found = {start: pd.DataFrame(drawn) for start, drawn in accuracies.items()}  # a column a size
        for (start, table), line in zip(found.items(), ("o-", "s--"), strict=True):
            ax.errorbar(table.columns, table.mean(), table.std(), fmt=line, capsize=3, color=COLORS[start], label=start)
        few, many = found["pretrained"].mean(), found["scratch"].mean()
        ends = f"pretrained {few.iloc[0]:.0f} % at {few.index[0]}, scratch {many.iloc[-1]:.0f} % at {many.index[-1]}"
        ax.axhline(chance, color=COLORS["random"], linestyle=":")
        ax.set_xscale("log", base=2)
        ax.set_xticks(few.index, few.index)
        ax.set(xlabel="training clips a class", ylabel="accuracy (%)", ylim=(0, 118), yticks=range(0, 101, 20))
        ax.set_title(f"{what}: {ends}")
        ax.label_outer()
    panels[0].legend(loc="upper left", ncols=2)
    return fig
