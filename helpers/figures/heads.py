"""Drawings of lesson 04 and its deeper companion."""

import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from timm.data import ImageNetInfo

from helpers.figures.shared import COLORS, LEVEL_MAP, UPWARDS, new_axes, new_panels


def photograph_names() -> list[str]:
    """The thousand classes of ImageNet in the order of a head's logits, each by its first name."""
    info = ImageNetInfo()
    return [info.index_to_description(index).split(",")[0] for index in range(1000)]


def plot_answers(picture, answers: dict, *, seconds: float) -> Figure:
    """A standardised log-mel picture (n_mels, frames), and what each head says of it: {head: (names, probabilities)}.

    Of more than ten classes the five most likely are drawn, in that order.
    """
    fig, (left, *panels) = new_panels(1, 1 + len(answers), (9.4, 2.7))
    left.imshow(picture, **UPWARDS, cmap=LEVEL_MAP, extent=(0, seconds, 0, len(picture)))
    left.set(xlabel="time (s)", ylabel="mel bin", title="What the model gets")
    for ax, (head, (names, probabilities)) in zip(panels, answers.items(), strict=True):
        values = torch.as_tensor(probabilities)
        shown = values.topk(5).indices if len(names) > 10 else torch.arange(len(names))
        ax.barh([names[index] for index in shown], values[shown].numpy(), color=COLORS["waveform"])
        ax.set(xlabel="probability", xlim=(0, 1), title=f"{head}: {names[values.argmax()]}")
        ax.tick_params(axis="y", labelsize=8)
        ax.invert_yaxis()
    return fig


def plot_fates(fates: dict) -> Figure:
    """How many values a model keeps, sums, resamples or draws anew, {model: {tensor: (word, values)}}, logarithmic."""
    ax, words = new_axes(8, 2.4), ["kept", "summed", "resampled", "new"]
    kept, new = [], []
    for (model, found), marker, shift in zip(fates.items(), "os^", (-0.2, 0, 0.2), strict=False):
        totals = {word: sum(values for one, values in found.values() if one == word) for word in words}
        there = [word for word in words if totals[word]]
        look = {"markersize": 8, "color": COLORS[model.lower()], "label": model}
        ax.plot([totals[word] for word in there], [words.index(word) + shift for word in there], marker, **look)
        kept.append(100 * totals["kept"] / sum(totals.values()))
        new.append(100 * totals["new"] / sum(totals.values()))
    ax.set(xscale="log", xlabel="values in the model (log scale)", yticks=range(len(words)), yticklabels=words)
    ax.set_title(f"{min(kept):.1f} % of all values, or more, are kept; at most {max(new):.2f} % are new")
    ax.grid(axis="x", alpha=0.3)
    ax.margins(y=0.15)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    ax.invert_yaxis()
    return ax.figure


def plot_first_losses(losses: dict, *, ways, classes: int) -> Figure:
    """Loss before the first update, {model: draws, each with a loss for each of the `ways` to a new head}, beside ln(classes)."""
    fig, panels = new_panels(1, len(losses), (8, 2.1), sharey=True)
    for ax, (model, draws) in zip(panels, losses.items(), strict=True):
        means, rows = np.mean(draws, axis=0), range(len(ways))
        ax.plot(draws, [rows] * len(draws), "o", color=COLORS[model.lower()], alpha=0.5, markeredgewidth=0)
        ax.plot(means, rows, "|", color="black", markersize=16, markeredgewidth=2)
        ax.axvline(math.log(classes), color="black", linestyle=":")
        ax.set(yticks=rows, yticklabels=ways, ylim=(len(ways) - 0.5, -0.5))
        ax.set_xlabel(f"first loss (dotted: ln {classes} = {math.log(classes):.2f})")
        ax.set_title(f"{model}, mean of the draws: {', '.join(f'{mean:.2f}' for mean in means)}")
    return fig


def plot_folds(accuracies: dict, *, title: str, ax: Axes | None = None, apart: bool = False) -> Figure:
    """One row a method, {name: accuracies of the folds}: a dot for each fold, a stroke at their mean.

    With `apart` the first fold's dot stands highest in its row and the last one's lowest, so that equal values do not
    hide each other.
    """
    ax = ax or new_axes(height=0.9 + 0.32 * len(accuracies))
    for row, values in enumerate(reversed(accuracies.values())):
        heights = row + 0.09 * apart * ((len(values) - 1) / 2 - np.arange(len(values)))
        ax.plot(values, heights, "o", color=COLORS["by hand"], alpha=0.5, markeredgewidth=0)
        ax.plot(values.mean(), row, "|", color="black", markersize=16, markeredgewidth=2)
    ax.set(yticks=range(len(accuracies)), yticklabels=reversed(accuracies), xlabel="accuracy in one fold")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(-0.6, len(accuracies) - 0.4)
    ax.set_title(title, loc="right")
    return ax.figure


def plot_map(points, labels, class_names, *, title: str, chosen=None, other=None, ax: Axes | None = None) -> Figure:
    """Clips as points (clips, 2), a colour and a marker for each class; clip `chosen` is ringed, a line leads to `other`."""
    ax = ax or new_axes(6.4, 4.6)
    colors = "#000000 #E69F00 #56B4E9 #009E73 #7F6A00 #0072B2 #D55E00 #CC79A7 #777777 #882255".split()
    for label, name in enumerate(class_names):
        round_, place = divmod(label, 10)  # after ten classes the colours return, with other markers
        marker = "os^vDP<X>*"[(place + round_) % 10]
        x, y = points[labels == label].T
        ax.plot(x, y, marker, color=colors[place], label=name, alpha=0.75, markeredgewidth=0)
    if chosen is not None:
        ax.plot(*points[chosen], "o", color="black", fillstyle="none", markersize=18, markeredgewidth=2)
    if other is not None:
        ax.plot(*points[[chosen, other]].T, color="white", linewidth=4, zorder=4)
        ax.plot(*points[[chosen, other]].T, color="black", linewidth=2, zorder=5)
    ax.set(title=title, xlabel="first axis (no unit)", ylabel="second axis (no unit)", xticks=[], yticks=[])
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=-(-len(class_names) // 20))
    return ax.figure


def plot_two_heads(
    class_logits, dist_logits, class_names, *, weight: float, truth: str, ax: Axes | None = None
) -> Figure:
    """Probabilities of one clip (num_classes,) by both heads, and of the blend with `weight` on the distillation head.

    Only the three classes are drawn that either head finds most likely.
    """
    ax = ax or new_axes(6.4, 3.2)
    blend = (1 - weight) * class_logits + weight * dist_logits
    likely = torch.maximum(class_logits.softmax(dim=0), dist_logits.softmax(dim=0))
    shown = likely.topk(min(3, len(class_names))).indices.sort().values
    heads = {"class head": class_logits, "distillation head": dist_logits, "blend": blend}
    looks = ("vit", None), ("convnet", "//"), ("deit", "...")
    for row, ((name, logits), (color, hatch)) in enumerate(zip(heads.items(), looks, strict=True)):
        places = np.arange(len(shown)) + 0.27 * (row - 1)
        ax.bar(places, logits.softmax(dim=0)[shown].numpy(), 0.27, color=COLORS[color], label=name, hatch=hatch)
    share = "mean of both heads" if weight == 0.5 else f"{100 * weight:.0f} % distillation head"
    ax.set_title(f"{share}: {class_names[blend.argmax()]} (it is: {truth})")
    ax.set(ylim=(0, min(1, 1.4 * likely.max())), ylabel="probability")
    ax.set_xticks(range(len(shown)), [class_names[index] for index in shown])
    ax.legend()
    return ax.figure


def plot_maps(maps: dict, labels, class_names, *, pairs: dict | None = None) -> Figure:
    """Maps of the same clips side by side, {title: points (clips, 2)}; `pairs` {title: (chosen, other)} are ringed and joined."""
    fig, panels = new_panels(1, len(maps), (9.4, 3.4))
    for ax, (title, points) in zip(panels, maps.items(), strict=True):
        chosen, other = (pairs or {}).get(title, (None, None))
        plot_map(points, labels, class_names, title=title, chosen=chosen, other=other, ax=ax)
        ax.title.set_fontsize(9)
        ax.set(xlabel="", ylabel="")
        ax.get_legend().remove()
    fig.supxlabel("two axes without a unit", fontsize=9)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return fig


def plot_losses(curves: dict, *, level: float, what: str, title: str) -> Figure:
    """Training loss at each update, {name: losses}, logarithmic, beside one `level` and `what` that is."""
    ax = new_axes(8, 2.8)
    lines, colors = ("-", "--", "-.", ":"), ("by hand", "library", "convnet", "deit")
    for (name, losses), line, color in zip(curves.items(), lines, colors, strict=False):
        ax.plot(losses, line, color=COLORS[color], linewidth=2, label=name)
    ax.axhline(level, color="black", linestyle=":", linewidth=0.8, label=what)
    ax.set(yscale="log", xlabel="update", ylabel="training loss", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax.figure


def plot_token_cosines(cosines) -> Figure:
    """Cosine of a model's two prefix tokens after each block and, last, after the final norm: (layers, clips)."""
    low, middle, high = np.quantile(cosines, (0.05, 0.5, 0.95), axis=1)
    ax, layers = new_axes(7, 2.6), range(len(middle))
    ax.fill_between(layers, low, high, color=COLORS["deit"], alpha=0.25, label="90 % of the clips")
    ax.plot(layers, middle, "o-", color=COLORS["deit"], label="median")
    names = [f"block {layer + 1}" for layer in layers[:-1]] + ["final norm"]
    ax.set_xticks(layers, names, rotation=90 if len(names) > 7 else 0, fontsize=8)
    ax.set(ylabel="cosine of the two tokens", ylim=(None, 1.005))
    ax.set_title(f"Two tokens: cosine {middle[0]:.3f} after the first block, {middle[-1]:.3f} at the end")
    ax.legend(loc="lower right")
    return ax.figure


def plot_blend(weights, accuracies, one_head) -> Figure:
    """Accuracy over the weight of the second head, (weights, folds), as points above half and half; `one_head` (folds,) beside."""
    gaps = 100 * (accuracies - accuracies[len(weights) // 2])
    beside = 100 * (one_head - accuracies[len(weights) // 2])
    ax, best = new_axes(8, 2.8), gaps.mean(axis=1).argmax()
    ax.plot(weights, gaps, color=COLORS["deit"], alpha=0.6, linewidth=1)
    ax.plot(weights, gaps.mean(axis=1), color=COLORS["deit"], linewidth=3, label="mean of the folds\n(thin: each fold)")
    label = f"one head on the mean\ntoken: {beside.mean():+.1f} ± {beside.std(ddof=1):.1f}"
    ax.axhline(beside.mean(), color=COLORS["library"], linestyle="--", label=label)
    ax.axvline(0.5, color=COLORS["random"], linestyle=":", label="half and half")
    ax.set(xlabel="weight of the distillation head", ylabel="points above\nhalf and half")
    gap = f" by more than {gaps[best].mean():.1f} ± {gaps[best].std(ddof=1):.1f} points" if gaps[best].any() else ""
    ax.set_title(f"No weight beats half and half{gap}")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax.figure


def plot_blends(class_logits, dist_logits, class_names, *, truth: str) -> Figure:
    """`plot_two_heads` with the class head alone, half and half, and the distillation head alone."""
    fig, panels = new_panels(1, 3, (9.4, 2.9), sharey=True)
    for ax, weight in zip(panels, (0.0, 0.5, 1.0), strict=True):
        plot_two_heads(class_logits, dist_logits, class_names, weight=weight, truth=truth, ax=ax)
        ax.set_title(ax.get_title().replace(" (", "\n("), fontsize=9)
        ax.tick_params(axis="x", labelsize=8)
        ax.label_outer()
        ax.get_legend().remove()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
