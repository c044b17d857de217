"""Drawings of lesson 03 and its deeper companion."""

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import positions
from helpers.figures.shared import SIMILARITY_MAP, new_axes


def plot_similarity(cosine, *, title: str, tiles: tuple[int, int] = (7, 8), ax: Axes | None = None) -> Figure:
    """Draw (rows, cols, rows, cols) as a grid of maps: the tile of a place shows its cosine to all places.

    At most `tiles` places are drawn, evenly spread over the map. Row 0 is the lowest frequency and lies at the bottom.
    """
    ax = ax or new_axes(7, 4)
    rows, cols = cosine.shape[:2]
    chosen = [
        torch.linspace(0, side - 1, min(side, most)).round().int()
        for side, most in zip((rows, cols), tiles, strict=True)
    ]
    maps = F.pad(cosine[chosen[0]][:, chosen[1]], (0, 1, 0, 1), value=torch.nan)  # a gap behind each tile
    picture = maps.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)[:-1, :-1].numpy()
    image = ax.imshow(picture, origin="lower", vmin=-1, vmax=1, cmap=SIMILARITY_MAP, interpolation="nearest")
    for axis, places, side in ((ax.yaxis, chosen[0], rows), (ax.xaxis, chosen[1], cols)):
        middles = [tile * (side + 1) + (side - 1) / 2 for tile in range(len(places))]
        axis.set_ticks(middles, [str(place) for place in places.tolist()])
    ax.set(xlabel="column of the place (time)", ylabel="row of the place\n(frequency)", title=title)
    ax.tick_params(length=0, labelsize=8)
    ax.figure.colorbar(image, ax=ax, label="cosine", shrink=0.8)
    return ax.figure


def plot_resampled(
    pos_embed,
    *,
    old_grid: tuple[int, int],
    new_grid: tuple[int, int],
    num_prefix_tokens: int,
    mode: str,
    antialias: bool,
    ax: Axes | None = None,
) -> Figure:
    """Similarity maps of a table on another grid, with two numbers: length of its vectors and largest step between lines."""
    new = positions.resample_pos_embed(
        pos_embed,
        old_grid=old_grid,
        new_grid=new_grid,
        num_prefix_tokens=num_prefix_tokens,
        mode=mode,
        antialias=antialias,
    )
    places = {"grid": new_grid, "num_prefix_tokens": num_prefix_tokens}
    length = (
        new[0, num_prefix_tokens:].norm(dim=-1).mean() / pos_embed[0, num_prefix_tokens:].norm(dim=-1).mean()
    ).item()
    largest = [f"{step.max():.2f}" if len(step) else "none" for step in positions.steps(new, **places)]
    title = f"{new_grid[0]} x {new_grid[1]}, {mode}{', antialias' if antialias else ''}: length {length:.2f}\nlargest step in frequency {largest[0]}, in time {largest[1]}"
    return plot_similarity(positions.similarity(new, **places), title=title, tiles=(4, 5), ax=ax)
