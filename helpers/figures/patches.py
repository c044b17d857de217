"""Drawings of lesson 02 and its deeper companion."""

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from helpers.figures.heads import plot_folds
from helpers.figures.shared import COLORS, LEVEL_MAP, SIMILARITY_MAP, UPWARDS, new_axes, new_panels
from helpers.patches import energy_kept, left_over, token_grid


def photograph() -> Tensor:
    """The photograph that comes with matplotlib, Grace Hopper, as a ViT reads it: (1, 3, 224, 224), from -1 to 1."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = torch.tensor(plt.imread(file, format="jpg"))  # (600, 512, 3), from 0 to 255
    square = pixels.permute(2, 0, 1)[None, :, :512] / 255
    small = F.interpolate(square, size=(224, 224), mode="bilinear", antialias=True)
    return (small.clamp(0, 1) - 0.5) / 0.5


def plot_added_colours(photograph: Tensor, spectrogram: Tensor, weight: Tensor, patterns: int = 32) -> Figure:
    """What a stem was trained on and is to read, and what becomes of its filters when their three planes are added.

    Args:
        photograph: (1, 3, height, width), from -1 to 1.
        spectrogram: (1, 1, n_mels, frames).
        weight: Of the stem, (embed_dim, 3, 16, 16). Drawn are its strongest patterns: its principal components, without
            centring, from which the filters are mixed.
    """
    found = torch.linalg.svd(weight.detach().flatten(1)).Vh[:patterns].unflatten(1, weight.shape[1:])
    peak = found.abs().amax(dim=(1, 2, 3))
    added = found.sum(dim=1, keepdim=True)  # drawn so that a grey pattern looks the same in both
    fig, ((seen, coloured), (heard, grey)) = new_panels(2, 2, (8, 5), width_ratios=(1.2, 1))
    seen.imshow(photograph[0].permute(1, 2, 0) / 2 + 0.5)
    seen.set(xlabel="pixel", ylabel="pixel", title="trained on: photographs, three channels")
    heard.imshow(spectrogram[0, 0], **UPWARDS, cmap=LEVEL_MAP)
    heard.set(xlabel="frame", ylabel="mel bin", title="to read: a bark, one channel")
    plot_filters(found, peak, title="what its filters look for, in colour", ax=coloured)
    plot_filters(added, 3 * peak, title="the same, colours added", ax=grey)
    for ax, picture in ((seen, photograph), (heard, spectrogram)):
        _draw_patches(ax, *picture.shape[2:], weight.shape[3])
    kept = energy_kept(found)
    rest = kept[kept >= 0.1]
    what = f"erases {len(kept) - len(rest)} of {len(kept)} patterns, the rest keep {rest.min():.0%} to {rest.max():.0%}"
    fig.suptitle(f"Adding the colours {what} of their energy")
    return fig


def _draw_patches(ax: Axes, height: int, width: int, size: int) -> None:
    """White lines between the patches of a picture."""
    ax.hlines(range(size, height, size), 0, width - 1, color="white", linewidth=0.4)
    ax.vlines(range(size, width, size), 0, height - 1, color="white", linewidth=0.4)


def plot_tokens(spectrogram: Tensor, tokens: Tensor, grid: tuple[int, int]) -> Figure:
    """In which order the patches of a spectrogram (1, 1, n_mels, frames) become tokens (1, rows * cols, embed_dim).

    On the right the length of each token as a vector, laid out in that order on the grid (rows, cols).
    """
    (rows, cols), (n_mels, frames) = grid, spectrogram.shape[2:]
    size = n_mels // rows
    fig, (left, right) = new_panels(1, 2, (9, 2.9))
    left.imshow(spectrogram[0, 0], **UPWARDS, cmap=LEVEL_MAP)
    _draw_patches(left, n_mels, frames, size)
    look = {"color": "white", "ha": "center", "va": "center", "fontsize": 9}
    look["path_effects"] = [withStroke(linewidth=2, foreground="black")]
    for row, shown in ((0, (0, 1, 2, cols - 1)), (1, (0, 1, 2, cols - 1)), (rows - 1, (0, cols - 1))):
        for col in shown:
            left.text(size * (col + 0.5), size * (row + 0.5), row * cols + col, **look)
    left.set(xlabel="frame", ylabel="mel bin", title=f"Token 1 is next in time, token {cols} next in frequency")
    lengths = tokens[0].norm(dim=1).view(grid)
    image = right.imshow(lengths, **UPWARDS, cmap=LEVEL_MAP, vmin=0)
    right.set(xlabel="patch along time", ylabel="patch along frequency")
    ratio = lengths.max() / lengths.min()
    right.set_title(f"Token {lengths.argmax()} is the longest, {ratio:.1f} times the shortest")
    fig.colorbar(image, ax=right, label="length of token")
    return fig


def plot_agreement(reference: Tensor, others: Mapping[str, Tensor], *, what: str) -> Figure:
    """Each value of `others` (of the shape of `reference`) against that of three copies: on the diagonal where they agree.

    The title says how far each leaves it, as a share of the largest value. Every seventh value is drawn.
    """
    ax = new_axes(6.4, 4)
    ax.axline((0, 0), slope=1, color="black", linewidth=0.8)
    off = []
    for (name, values), marker in zip(others.items(), ".x+1", strict=False):
        apart = (values - reference).abs().max() / reference.abs().max()
        off.append(f"the {name} by {apart:.0e}" if apart < 1e-3 else f"the {name} by {apart:.2f}")
        dots = reference.flatten()[::7], values.flatten()[::7]
        ax.plot(*dots, marker, markersize=4, color=COLORS[name], label=name, zorder=3 - len(off) / 4)
    ax.set(xlabel=f"{what} with three copies", ylabel=f"{what} with one channel", aspect="equal")
    ax.legend(markerscale=2)
    ax.figure.suptitle(f"Off the diagonal: {', '.join(off)} of the largest {what}", fontsize=10)
    return ax.figure


def plot_reach(gradient: Tensor) -> Figure:
    """How strongly the tokens depend on each frame, by their gradient (n_mels, frames); frames without any are marked."""
    reached = gradient.abs().sum(dim=0)
    frames, last = len(reached), int(reached.nonzero().max()) + 1
    ax = new_axes(7, 2.2)
    ax.plot(reached, color=COLORS["sum"], linewidth=1)
    label = f"{frames - last} frames that no patch covers"
    ax.axvspan(last, frames, color=COLORS["trapped"], alpha=0.4, label=label)
    ax.set(xlabel="frame", ylabel="gradient", xlim=(0, frames), ylim=(0, 1.4 * reached.max()))
    ax.set_title(f"The last {frames - last} of {frames} frames change nothing, and no error says so")
    ax.legend(loc="upper left")
    return ax.figure


def plot_stems(accuracies: Mapping) -> Figure:
    """Accuracies over the folds {stem: (folds,)} of one probe behind several stems; the title sets each against the sum.

    A difference is told apart here where it is larger than its own standard deviation over the folds.
    """
    more = {name: 100 * (values - accuracies["sum"]) for name, values in accuracies.items() if name != "sum"}
    said = [f"{name} {points.mean():+.1f} ± {points.std(ddof=1):.1f}" for name, points in more.items()]
    return plot_folds(accuracies, title=f"Points above the sum, and their spread: {', '.join(said)}")


def plot_energy_kept(stems: Mapping[str, Tensor]) -> Figure:
    """How much energy filters keep when their planes are added, one row a stem {model: (embed_dim, 3, height, width)}.

    A histogram, then the eight filters that keep least and most, each beside its sum (drawn at a third, so that a grey
    filter looks the same in both). Filters without weights are left out.
    """
    fig, grid = new_panels(len(stems), 3, (9, 2.4 * len(stems)), width_ratios=(1.4, 1, 1), squeeze=False)
    shares = []
    for (bars, *panels), (name, weight), color in zip(grid, stems.items(), ("vit", "convnet"), strict=False):
        weight = weight[weight.flatten(1).norm(dim=1) > 1e-6]
        kept, name = energy_kept(weight), name.split(".")[0]
        share = weight.sum(dim=1).square().sum() / (3 * weight.square().sum())
        shares.append(f"{share:.0%} ({name.split('_')[0]})")
        bars.hist(kept, bins=torch.linspace(0, 1, 21), color=COLORS[color])
        bars.axvline(1 / 3, color="black", linestyle="--", linewidth=1)
        bars.set(xlabel="energy kept", ylabel="filters", title=name)
        order = kept.argsort()
        for ax, chosen, what in zip(panels, (order[:8], order[-8:]), ("least", "most"), strict=True):
            filters = weight[chosen]
            pairs = torch.stack([filters, filters.mean(dim=1, keepdim=True).expand_as(filters)], dim=1).flatten(0, 1)
            peak = filters.abs().amax(dim=(1, 2, 3)).repeat_interleave(2)
            title = f"{what} kept: {kept[chosen].min():.2f} to {kept[chosen].max():.2f}"
            plot_filters(pairs, peak, title=title, ax=ax, columns=4)
    fig.suptitle(f"Colour cancels, grey stays: in all, the sum keeps {', '.join(shares)}")
    return fig


def plot_changes(changes: Mapping[str, Mapping[str, float]]) -> Figure:
    """Relative changes {model: {place: change}} as groups of bars, the places in the same order in each model."""
    ax, found = new_axes(8, 3), pd.DataFrame(changes).T  # a row a model, a column a place
    for offset, place, shade in zip((-0.27, 0, 0.27), found, (0.35, 0.65, 1.0), strict=True):
        look = {"color": COLORS["average"], "alpha": shade, "edgecolor": "black", "label": place}
        ax.bar(np.arange(len(found)) + offset, found[place], 0.25, **look)
    ax.set_xticks(range(len(found)), [name.replace(", ", ",\n") for name in found.index], fontsize=8)
    ax.set(ylabel="relative change", ylim=(0, 1.3 * found.max(axis=None)))
    hidden = (found.iloc[:, -1] < 0.05).sum()
    ax.set_title(f"At the end the average is hidden (below 0.05) in {hidden} of {len(found)}")
    ax.legend(ncols=3, loc="upper center")
    return ax.figure


def plot_border(difference: Tensor) -> Figure:
    """The lower left corner of a difference between two stems' answers (filters, n_mels, frames), the largest over filters."""
    largest = difference.abs().amax(dim=0)
    ax = new_axes(7, 2.4)
    image = ax.imshow(largest[:24, :64], origin="lower", cmap=LEVEL_MAP)
    ax.set(xlabel="frame", ylabel="mel bin")
    ax.set_title(f"With zero padding: off by {largest.max():.1f} at the border, {largest[1:-1, 1:-1].max():.0e} inside")
    ax.figure.colorbar(image, ax=ax, label="largest difference")
    return ax.figure


def plot_token_lengths(tokens: Mapping[tuple[int, int], Tensor]) -> Figure:
    """The length of each token, one panel a grid {(rows, cols): (1, rows * cols, embed_dim)}, all with one scale."""
    fig, panels = new_panels(1, len(tokens), (9, 3), squeeze=False)
    lengths = {grid: one[0].norm(dim=1).view(grid) for grid, one in tokens.items()}
    longest = max(one.max() for one in lengths.values())
    for ax, ((rows, cols), one) in zip(panels[0], lengths.items(), strict=True):
        image = ax.imshow(one, **UPWARDS, cmap=LEVEL_MAP, vmin=0, vmax=longest)
        ax.set(xlabel="patch along time", ylabel="patch along frequency")
        ax.set_title(f"{rows} x {cols} = {rows * cols} tokens")
        ax.xaxis.get_major_locator().set_params(integer=True)
    fig.colorbar(image, ax=panels, label="length of token")
    return fig


def plot_filters(
    weight: Tensor, peak: Tensor | None = None, *, title: str, ax: Axes | None = None, columns: int = 8
) -> Figure:
    """Draw filters (filters, 1 or 3, height, width) as small pictures: middle grey is 0, full colour `peak` (filters,).

    Each filter has its own scale unless `peak` says otherwise.
    """
    ax = ax or new_axes(4, 2)
    peak = weight.abs().amax(dim=(1, 2, 3)) if peak is None else peak
    tiles = 0.5 + weight / (2 * peak.clamp(min=1e-12)[:, None, None, None])
    tiles = tiles.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)  # (filters, height, width, 3)
    edge = max(1, weight.shape[3] // 8)  # white lines between the filters
    missing = -len(tiles) % columns  # places that stay white in the last row
    tiles = F.pad(tiles, (0, 0, edge, edge, edge, edge, 0, missing), value=1.0)
    rows = tiles.unflatten(0, (-1, columns)).transpose(1, 2)  # (rows, height, columns, width, 3)
    ax.imshow(rows.flatten(2, 3).flatten(0, 1).clamp(0, 1), interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    return ax.figure


def plot_coverage(n_mels: int, frames: int, patch_size: int, stride: int) -> Figure:
    """How many patches see each point of a picture, how many tokens that makes, what they cost, and what no patch sees."""
    ax, size = new_axes(8, 2.8), (n_mels, frames)
    stride = min(stride, patch_size)  # a larger one would leave gaps
    (rows, cols), (lost_mels, lost_frames) = token_grid(size, patch_size, stride), left_over(size, patch_size, stride)
    seen = F.fold(torch.ones(1, patch_size**2, rows * cols), size, patch_size, stride=stride)[0, 0]
    look = {"extent": (0, frames, 0, n_mels), "cmap": SIMILARITY_MAP, "vmin": 0, "interpolation": "nearest"}
    image = ax.imshow(seen, **UPWARDS, **look)
    hatched = {"facecolor": "white", "edgecolor": "#D55E00", "hatch": "////", "linewidth": 0}
    ax.axhspan(n_mels - lost_mels, n_mels, **hatched)
    ax.axvspan(frames - lost_frames, frames, **hatched)
    attention = (rows * cols / math.prod(token_grid(size, patch_size))) ** 2
    title = f"{rows} x {cols} = {rows * cols} tokens, attention x {attention:.1f} of no overlap"
    title += f"; never seen: {lost_mels} mel bins, {lost_frames} frames"
    title += f"\n({n_mels} x {frames}, patch {patch_size}, stride {stride})"
    ax.set(xlabel="frame", ylabel="mel bin")
    ax.set_title(title, fontsize=9)
    ax.figure.colorbar(image, ax=ax, label="patches that see it", ticks=MaxNLocator(nbins=5, integer=True))
    return ax.figure
