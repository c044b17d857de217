"""Drawings of lesson 04 and its deeper companion."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers.figures.shared import COLORS, new_axes


def plot_folds(accuracies: dict, *, title: str, ax: Axes | None = None, apart: bool = False) -> Figure:
    """One row a method, {name: accuracies of the folds}: a dot for each fold, a stroke at their mean.

    With `apart` the first fold's dot stands highest in its row and the last one's lowest, so that equal values do not
    hide each other.
    """
    ax = ax or new_axes(height=0.9 + 0.32 * len(accuracies))
    for row, values in enumerate(reversed(accuracies.values())):
        middle = (len(values) - 1) / 2
        heights = [row + 0.09 * apart * (middle - fold) for fold in range(len(values))]
        ax.plot(values, heights, "o", color=COLORS["by hand"], alpha=0.5, markeredgewidth=0)
        ax.plot([values.mean()], [row], "|", color="black", markersize=16, markeredgewidth=2)
    ax.set(yticks=range(len(accuracies)), yticklabels=reversed(accuracies), xlabel="accuracy in one fold")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(-0.6, len(accuracies) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_map(
    points,
    labels,
    class_names,
    *,
    title: str,
    chosen: int | None = None,
    other: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Clips as points (clips, 2), a colour and a marker for each class; `chosen` is ringed, a line leads to `other`."""
    ax = ax or new_axes(6.4, 4.6)
    colors = "#000000 #E69F00 #56B4E9 #009E73 #7F6A00 #0072B2 #D55E00 #CC79A7 #777777 #882255".split()
    for label, name in enumerate(class_names):
        round_, place = divmod(label, 10)  # after ten classes the colours return, with other markers
        x, y = points[labels == label].T
        look = {"color": colors[place], "marker": "os^vDP<X>*"[(place + round_) % 10], "linestyle": "none"}
        ax.plot(x, y, label=name, markersize=6, alpha=0.75, markeredgewidth=0, **look)
    if chosen is not None:
        ax.plot(*points[chosen], "o", markersize=18, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2)
    if other is not None:
        ax.plot(*points[[chosen, other]].T, color="white", linewidth=4, zorder=4)
        ax.plot(*points[[chosen, other]].T, color="black", linewidth=2, zorder=5)
    ax.set(title=title, xlabel="first axis (no unit)", ylabel="second axis (no unit)", xticks=[], yticks=[])
    columns = -(-len(class_names) // 20)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False, ncols=columns)
    return ax.figure


def plot_two_heads(
    class_logits, dist_logits, class_names, *, weight: float, truth: str, ax: Axes | None = None
) -> Figure:
    """Probabilities of one clip (num_classes,) by both heads, and of the blend with `weight` on the distillation head.

    Only the three classes are drawn that either head finds most likely.
    """
    ax = ax or new_axes(6.4, 3.2)
    blend = (1 - weight) * class_logits + weight * dist_logits
    heads = {
        "class head": (class_logits, "vit"),
        "distillation head": (dist_logits, "convnet"),
        "blend": (blend, "deit"),
    }
    likely = torch.maximum(class_logits.softmax(dim=0), dist_logits.softmax(dim=0))
    shown = likely.topk(min(3, len(class_names))).indices.sort().values
    for row, (name, (logits, color)) in enumerate(heads.items()):
        places = [place + 0.27 * (row - 1) for place in range(len(shown))]
        ax.bar(
            places,
            logits.softmax(dim=0)[shown].tolist(),
            width=0.27,
            color=COLORS[color],
            label=name,
            hatch=(None, "//", "...")[row],
        )
    verdict = class_names[int(blend.argmax())]
    ax.set(
        ylim=(0, 1), ylabel="probability", title=f"{100 * weight:.0f} % distillation head: {verdict} (it is: {truth})"
    )
    ax.set_xticks(range(len(shown)), [class_names[index] for index in shown.tolist()])
    ax.legend(fontsize=8)
    return ax.figure
