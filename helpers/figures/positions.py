"""Drawings of lesson 03 and its deeper companion."""

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from helpers import positions
from helpers.figures.heads import plot_folds
from helpers.figures.shared import COLORS, SIGNED_MAP, SIMILARITY_MAP, new_axes, new_panels

COSINES = {"origin": "lower", "vmin": -1, "vmax": 1, "cmap": SIMILARITY_MAP, "interpolation": "nearest"}


def plot_similarity(
    cosine, *, title: str, tiles: tuple[int, int] = (7, 8), ax: Axes | None = None, colorbar: bool = True
) -> Figure:
    """Draw (rows, cols, rows, cols) as a grid of maps: the tile of a place shows its cosine to all places.

    At most `tiles` places are drawn, evenly spread over the map. Row 0 is the lowest frequency and lies at the bottom.
    """
    ax, sides = ax or new_axes(7, 4), cosine.shape[:2]
    evenly = [
        torch.linspace(0, side - 1, min(side, most)).round().int() for side, most in zip(sides, tiles, strict=True)
    ]
    maps = F.pad(cosine[evenly[0]][:, evenly[1]], (0, 1, 0, 1), value=torch.nan)  # a gap behind each tile
    picture = maps.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)[:-1, :-1]
    image = ax.imshow(picture, **COSINES)
    for axis, places, side in zip((ax.yaxis, ax.xaxis), evenly, sides, strict=True):
        axis.set_ticks((side - 1) / 2 + (side + 1) * torch.arange(len(places)), places.tolist())
    ax.set(xlabel="column of the place (time)", ylabel="row of the place\n(frequency)", title=title)
    ax.tick_params(length=0, labelsize=8)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="cosine", shrink=0.8)
    return ax.figure


def plot_tile(tile, *, place: tuple[int, int], title: str, ax: Axes | None = None) -> Figure:
    """Draw the map (rows, cols) that one place sees, with a ring around the place itself."""
    ax = ax or new_axes(4, 4)
    ax.imshow(tile, **COSINES)
    ax.plot(*place[::-1], "o", color=COLORS["trapped"], fillstyle="none", markersize=12, markeredgewidth=2)
    ax.set(xlabel="column (time)", ylabel="row (frequency)", title=title)
    for axis, side in zip((ax.yaxis, ax.xaxis), tile.shape, strict=True):
        axis.set_ticks(range(0, side, 2 if side < 10 else 4))
    return ax.figure


def plot_resampled(pos_embed: Tensor, *, new_grid: tuple[int, int], num_prefix_tokens: int, **how) -> Figure:
    """Similarity maps of a table on another grid, with two numbers: length of its vectors and largest step between lines.

    Args:
        pos_embed: Table (1, num_prefix_tokens + rows * cols, embed_dim).
        how: `old_grid`, `mode` and `antialias` of `positions.resample_pos_embed`.
    """
    where = {"grid": new_grid, "num_prefix_tokens": num_prefix_tokens}
    new = positions.resample_pos_embed(pos_embed, new_grid=new_grid, num_prefix_tokens=num_prefix_tokens, **how)
    before, after = (table[0, num_prefix_tokens:].norm(dim=-1).mean() for table in (pos_embed, new))
    rows, cols = (f"{step.max():.2f}" if len(step) else "none" for step in positions.steps(new, **where))
    title = f"{new_grid[0]} x {new_grid[1]}, {how['mode']}{', antialias' if how['antialias'] else ''}: "
    title += f"length {after / before:.2f}\nlargest step in frequency {rows}, in time {cols}"
    return plot_similarity(positions.similarity(new, **where), title=title, tiles=(4, 5))


def plot_place(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int, place: tuple[int, int]) -> Figure:
    """The tile of one place of a photograph, and beside it the tiles of twenty places where these lie."""
    cosine = positions.similarity(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
    fig, (left, right) = new_panels(1, 2, (8, 3.7), width_ratios=(1, 1.25))
    tile = cosine[place]
    others = tile.clone()
    others[place] = -1  # not the place itself
    nearest = divmod(int(others.argmax()), grid[1])
    plot_tile(tile, place=place, title=f"One tile: place {place}\nis most like {nearest}", ax=left)
    beside = cosine.diagonal(1, 1, 3).diagonal(0, 0, 1).mean()  # each place and the next in its row
    title = f"Twenty tiles: cosine to the next column {beside:.2f},\nto all places {cosine.mean():.2f}"
    plot_similarity(cosine, title=title, tiles=(4, 5), ax=right)
    left.set(xlabel="column", ylabel="row (0: a photograph's top)")
    right.set(xlabel="column of the place", ylabel="row of the place")
    return fig


def plot_tables(
    tables: dict[str, tuple[Tensor, tuple[int, int]]], *, num_prefix_tokens: int, tiles: tuple[int, int] = (4, 5)
) -> Figure:
    """Similarity maps of tables {title: (pos_embed, grid)} side by side, with one colour bar."""
    widths = [tiles[1] * cols / (tiles[0] * rows) for _, (rows, cols) in tables.values()]
    fig, panels = new_panels(1, len(tables), (8.4, 1.2 + 7.2 / sum(widths)), width_ratios=widths, squeeze=False)
    for ax, (title, (pos_embed, grid)) in zip(panels[0], tables.items(), strict=True):
        cosine = positions.similarity(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
        plot_similarity(cosine, title=f"{title}: {grid[0]} x {grid[1]}", tiles=tiles, ax=ax, colorbar=False)
    for ax in panels[0, 1:]:
        ax.set_ylabel("")
    fig.colorbar(panels[0, 0].images[0], ax=panels, label="cosine", shrink=0.8)
    return fig


def plot_trap(
    right: Tensor, copied: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int, place: tuple[int, int]
) -> Figure:
    """The tile of one place in the right table and in a copied one; the titles say how far time jumps at most."""
    fig, panels = new_panels(1, 2, (8.4, 2.4), sharey=True)
    where = {"grid": grid, "num_prefix_tokens": num_prefix_tokens}
    for ax, name, pos_embed in zip(panels, ("resampled", "copied"), (right, copied), strict=True):
        jumps = positions.steps(pos_embed, **where)[1]
        column = int(jumps.argmax())
        title = f"{name}: largest jump in time {jumps[column]:.2f},\nbetween columns {column} and {column + 1}"
        plot_tile(positions.similarity(pos_embed, **where)[place], place=place, title=title, ax=ax)
    panels[1].set_ylabel("")
    fig.colorbar(ax.images[0], ax=panels, label="cosine", shrink=0.8)
    return fig


def plot_components(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> Figure:
    """Coordinates of all places along the three directions in which they differ most, each as a map."""
    places = positions.split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)[1].flatten(0, 2)
    centred = places - places.mean(dim=0)
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    held = sizes.square() / sizes.square().sum()  # how much of all differences lies along each direction
    maps = (centred @ directions[:3].T).T.unflatten(1, grid)
    peak = maps.abs().max()
    fig, panels = new_panels(1, 3, (8.4, 3.3), sharey=True)
    for number, (ax, picture, share) in enumerate(zip(panels, maps, held, strict=False), start=1):
        image = ax.imshow(picture, origin="lower", cmap=SIGNED_MAP, vmin=-peak, vmax=peak)
        ax.set(xlabel="column", title=f"component {number}: {share:.0%}", xticks=range(0, grid[1], 4))
    panels[0].set(ylabel="row", yticks=range(0, grid[0], 4))
    fig.colorbar(image, ax=panels, label="coordinate", shrink=0.8)
    fig.suptitle(f"Three of {len(held)} components hold {held[:3].sum():.0%} of the variance")
    return fig


def plot_steps(tables: dict[str, Tensor], *, grid: tuple[int, int], num_prefix_tokens: int) -> Figure:
    """How far each column of each table {name: pos_embed} lies from the one before; 1 is the mean over all pairs."""
    ax, largest = new_axes(7, 2.8), []
    for (name, pos_embed), line in zip(tables.items(), ("-", "--", "-."), strict=False):
        along_time = positions.steps(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)[1]
        ax.plot(range(1, grid[1]), along_time, line, marker=".", color=COLORS[name], label=name)
        largest.append(f"{along_time.max():.2f} {name}")
    ax.axhline(1, color=COLORS["random"], linestyle=":", label="mean over all pairs")
    ax.set(xlabel="column (distance to the one before)", ylabel="step (share of the mean)", ylim=(0, None))
    ax.set_title(f"Largest step: {', '.join(largest)}")
    ax.legend(loc="upper right")
    return ax.figure


def plot_kept_lines(old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Figure:
    """Which old row and column each new one reads: interpolated, and by AST's rule (`positions.cut_or_interpolate`)."""
    fig, panels = new_panels(1, 2, (8, 2.8))
    names = ("row", "frequency"), ("column", "time")
    for ax, old, new, (name, axis) in zip(panels, old_grid, new_grid, names, strict=True):
        stretched = (torch.arange(new) + 0.5) * old / new - 0.5
        by_rule = torch.arange(new) + old // 2 - new // 2 if new <= old else stretched
        ax.plot(stretched, "-o", markersize=4, color=COLORS["interpolated"], label="interpolated")
        ax.plot(by_rule, "--x", color=COLORS["cropped"], label="AST's rule")
        ax.set(xlabel=f"new {name} ({axis})", ylabel=f"old {name}", ylim=(-0.7, old - 0.3))
        ax.set(xticks=range(0, new, 1 if new <= 8 else 4), yticks=range(0, old, 4))
        ax.set_title(f"AST's rule: {max(old - new, 0)} of {old} old {name}s lost")
    panels[0].legend()
    return fig


def plot_probes(accuracies: dict) -> Figure:
    """Accuracies of the folds for each table, best above; the title names those below the first one by more than the spread."""
    first = next(iter(accuracies))
    gaps = {name: values - accuracies[first] for name, values in accuracies.items()}
    lower = [name for name, gap in gaps.items() if gap.mean() < -gap.std(ddof=1)]
    ranked = dict(sorted(accuracies.items(), key=lambda item: -item[1].mean()))
    title = f"Below {first} by more than the gap's spread: {', '.join(lower) or 'none of them'}"
    return plot_folds(ranked, title=title, apart=True, ax=new_axes(7.5, 0.9 + 0.36 * len(ranked)))
