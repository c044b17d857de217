"""Drawings of recorded runs, and of how far to believe them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.shared import COLORS, new_axes


def plot_starts(means: dict, *, title: str) -> Figure:
    """One row a model, {model: {"from scratch", "full" and perhaps "frozen": per cent}}; the line between says the gap."""
    ax = new_axes(7, 1.1 + 0.42 * len(means))
    styles = {"from scratch": ("s", COLORS["scratch"], "random weights, all trained")}
    styles["frozen"] = ("o", "white", "photographs, new head trained")
    styles["full"] = ("o", COLORS["pretrained"], "photographs, all trained")
    for row, found in enumerate(reversed(means.values())):
        ends = found["from scratch"], found["full"]
        ax.plot(ends, [row, row], color=COLORS["scratch"], zorder=1)
        ax.text(sum(ends) / 2, row + 0.2, f"{ends[1] - ends[0]:+.1f}", ha="center", fontsize=8)
        for name, value in found.items():
            marker, color, label = styles[name]
            edge = COLORS["pretrained"] if name == "frozen" else color
            ax.plot(value, row, marker, color=color, markeredgecolor=edge, markersize=8, label=label)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    ax.set(
        yticks=range(len(means)), yticklabels=reversed(means), xlabel="accuracy, mean of five folds (%)", xlim=(0, 103)
    )
    ax.set_ylim(-0.6, len(means) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_differences(found, *, what: str, title: str, ax: Axes | None = None) -> Figure:
    """A row for each line of `recorded.differences`, lowest at the bottom: a dot, hollow for one seed, with its 95 % interval."""
    ax = ax or new_axes(7, 0.9 + 0.24 * len(found))
    ax.axvline(0, color="black", linestyle=":", linewidth=1, zorder=0)
    color, white = COLORS["pretrained"], {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    beside = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": white}
    for row, line in enumerate(found.itertuples()):
        ax.plot([line.low, line.high], [row, row], color=color, linewidth=1.5)
        ax.plot(line.difference, row, "o", color=color, markerfacecolor=color if line.seeds > 1 else "white")
        ax.annotate(f"{line.difference + 0.0:+.1f}", (line.high, row), (6, 0), **beside)
    ax.margins(x=0.25)  # for the numbers
    ax.set(yticks=range(len(found)), yticklabels=found.index, xlabel=what)
    ax.set_ylim(-0.6, len(found) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_calibration(bars, *, title: str, ax: Axes | None = None) -> Figure:
    """A bar for each (mean probability, accuracy, clips), and the diagonal on which a calibrated model's bars end."""
    ax = ax or new_axes(5, 3.2)
    ax.plot([0, 1], [0, 1], color=COLORS["random"], linestyle="--", label="calibrated")
    for probability, accuracy, count in bars:
        ax.bar(probability, accuracy, width=0.06, color=COLORS["pretrained"], edgecolor="white")
        ax.text(probability, accuracy + 0.02, int(count), ha="center", fontsize=8)
    ax.set(xlabel="probability that the model gives its answer", ylabel="share of right answers")
    ax.set(xlim=(0, 1), ylim=(0, 1.15))
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, loc="upper left")
    return ax.figure


def plot_learning_curve(accuracies: dict, *, what: str, chance: float, ax: Axes | None = None) -> Figure:
    """Mean and spread over the number of clips: {"pretrained" or "scratch": DataFrame of per cents, sizes x draws}."""
    ax, found = ax or new_axes(6.4, 3), []
    for name, drawn in accuracies.items():
        line, end = {"pretrained": ("o-", 0), "scratch": ("s--", -1)}[name]
        mean = drawn.mean(axis=1)
        ax.errorbar(drawn.index, mean, drawn.std(axis=1), fmt=line, capsize=3, color=COLORS[name], label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(drawn.index, drawn.index)
        found += [f"{name} {mean.iloc[end]:.0f} % at {mean.index[end]}"] if len(mean) else []
    ax.axhline(chance, color=COLORS["random"], linestyle=":")
    ax.set(xlabel="training clips a class", ylabel="accuracy (%)", ylim=(0, 118), yticks=range(0, 101, 20))
    ax.set_title(f"{what}: {', '.join(found) or 'not run yet'}", fontsize=10)
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    return ax.figure
