"""Drawings of lesson 05 and of training, its first deeper companion."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figures.shared import COLORS, new_axes


def plot_training(curves: dict, *, epochs: int, chance: float, what: str) -> Figure:
    """Loss and accuracy after each epoch: {"pretrained" or "scratch": {"loss": [...], `what`, an accuracy: [per cent, ...]}}."""
    fig, panels = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", sharex=True)
    plt.close(fig)
    for ax, name, unit in zip(panels, ("loss", what), ("", " %"), strict=True):
        drawn = {start: curve[name] for start, curve in curves.items() if curve[name]}
        for start, values in drawn.items():
            line = {"pretrained": "o-", "scratch": "s--"}[start]
            ax.plot(range(1, len(values) + 1), values, line, color=COLORS[start], label=start)
        ends = ", ".join(f"{start} {values[-1]:.{1 if unit else 2}f}{unit}" for start, values in drawn.items())
        ax.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))
        ax.set_title(f"{name}: {ends}", fontsize=10)
    panels[0].set_ylabel("training loss")
    panels[1].set(ylabel=f"{what} (%)", ylim=(0, 100))
    panels[1].axhline(chance, color=COLORS["random"], linestyle=":")
    if drawn:
        panels[1].legend(fontsize=8)
    return fig


def plot_rates(rates: dict, *, title: str, ax: Axes | None = None) -> Figure:
    """Learning rate at each update for three layers, {name: rates (updates,)}, over four powers of ten."""
    ax = ax or new_axes()
    top = max(max(values) for values in rates.values())
    for (name, values), line, color in zip(rates.items(), ("-", "--", ":"), ("vit", "deit", "convnet"), strict=True):
        ax.plot(values, line, color=COLORS[color], linewidth=2, label=f"{name}: at most {max(values):.1e}")
    ax.set(yscale="log", ylim=(top / 1e4, 2 * top), xlabel="update", ylabel="learning rate")
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, loc="lower center")
    return ax.figure
