"""Drawings of lesson 02 and its deeper companion."""

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from helpers.figures.shared import SIMILARITY_MAP, new_axes
from helpers.patches import left_over, token_grid


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
    tiles = F.pad(tiles, (0, 0, edge, edge, edge, edge), value=1.0)
    rows = tiles.split(columns)
    rows = [torch.cat([*row, *[torch.ones_like(row[0])] * (columns - len(row))], dim=1) for row in rows]
    ax.imshow(torch.cat(rows).clamp(0, 1).numpy(), interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    return ax.figure


def plot_coverage(n_mels: int, frames: int, patch_size: int, stride: int, ax: Axes | None = None) -> Figure:
    """How many patches see each point of a picture, how many tokens that makes, what they cost, and what no patch sees."""
    ax = ax or new_axes(8, 2.8)
    stride = min(stride, patch_size)  # a larger one would leave gaps
    size = (n_mels, frames)
    grid, (lost_mels, lost_frames) = token_grid(size, patch_size, stride), left_over(size, patch_size, stride)
    along = [torch.zeros(length) for length in size]
    for axis, seen in enumerate(along):
        for place in range(grid[axis]):
            seen[place * stride : place * stride + patch_size] += 1
    picture = ax.imshow(
        torch.outer(*along).numpy(),
        origin="lower",
        aspect="auto",
        extent=(0, frames, 0, n_mels),
        cmap=SIMILARITY_MAP,
        vmin=0,
        interpolation="nearest",
    )
    hatched = dict(facecolor="white", edgecolor="#D55E00", hatch="////", linewidth=0)
    if lost_mels:
        ax.add_patch(Rectangle((0, n_mels - lost_mels), frames, lost_mels, **hatched))
    if lost_frames:
        ax.add_patch(Rectangle((frames - lost_frames, 0), lost_frames, n_mels, **hatched))
    tokens, without = grid[0] * grid[1], token_grid(size, patch_size)
    attention = (tokens / (without[0] * without[1])) ** 2
    title = f"{grid[0]} x {grid[1]} = {tokens} tokens, attention x {attention:.1f} of no overlap"
    title += f"; never seen: {lost_mels} mel bins, {lost_frames} frames"
    title += f"\n({n_mels} x {frames}, patch {patch_size}, stride {stride})"
    ax.set(xlabel="frame", ylabel="mel bin", title=title)
    ax.title.set_fontsize(9)
    ax.figure.colorbar(picture, ax=ax, label="patches that see it", ticks=MaxNLocator(nbins=5, integer=True))
    return ax.figure
