"""Position embeddings: one learned vector for each place, and what becomes of the table on another grid of patches."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODES = ("bicubic", "bilinear", "nearest", "nearest-exact", "area")  # of F.interpolate, for pictures


def split_prefix(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> tuple[Tensor, Tensor]:
    """Cut the prefix tokens off a position table and lay the rest out as a map.

    Args:
        pos_embed: Table (1, num_prefix_tokens + rows * cols, embed_dim), rows first, time fastest.
        grid: Patches along (frequency, time). Never guessed from the token count: 256 is 16 x 16 and 8 x 32.
        num_prefix_tokens: Class (and distillation) tokens in front.
    Returns:
        Prefix (1, num_prefix_tokens, embed_dim) and map (1, rows, cols, embed_dim).
    Raises:
        ValueError: If the table does not have the tokens that `grid` and `num_prefix_tokens` make.
    """
    tokens = num_prefix_tokens + grid[0] * grid[1]
    if pos_embed.ndim != 3 or pos_embed.shape[:2] != (1, tokens) or min(*grid, num_prefix_tokens + 1) < 1:
        raise ValueError(
            f"pos_embed must be (1, {num_prefix_tokens} + {grid[0]} * {grid[1]}, embed_dim), got {tuple(pos_embed.shape)}: "
            "check grid (frequency, time) and num_prefix_tokens (1 in a ViT, 2 in a distilled DeiT)."
        )
    return pos_embed[:, :num_prefix_tokens], pos_embed[:, num_prefix_tokens:].unflatten(1, tuple(grid))


def resample_pos_embed(
    pos_embed: Tensor,
    *,
    old_grid: tuple[int, int],
    new_grid: tuple[int, int],
    num_prefix_tokens: int,
    mode: str = "bicubic",
    antialias: bool = True,
) -> Tensor:
    """Resample a position table from one grid of patches to another.

    Args:
        pos_embed: Table (1, num_prefix_tokens + rows * cols, embed_dim), rows first, time fastest.
        old_grid, new_grid: Patches along (frequency, time).
        num_prefix_tokens: Class (and distillation) tokens in front; returned bit for bit.
        mode: One of `MODES`, as in `F.interpolate`.
        antialias: Blur before leaving places out; "bicubic" and "bilinear" only.
    Returns:
        Table (1, num_prefix_tokens + new_rows * new_cols, embed_dim), computed in float32, of the type it came in.
    Raises:
        ValueError: If the table does not fit `old_grid`, or the mode is unknown or knows no antialias.
    Source: ViT, arXiv:2010.11929, section 3.2; same numbers as `timm.layers.resample_abs_pos_embed`.
    """
    if mode not in MODES or (antialias and mode not in MODES[:2]) or min(new_grid) < 1:
        wanted = f"mode must be one of {MODES}, the first two with antialias, and new_grid positive"
        raise ValueError(f"{wanted}; got {mode!r}, {antialias}, {new_grid}.")
    prefix, table = split_prefix(pos_embed, grid=old_grid, num_prefix_tokens=num_prefix_tokens)
    picture = table.permute(0, 3, 1, 2).float()  # (1, embed_dim, rows, cols)
    picture = F.interpolate(picture, size=tuple(new_grid), mode=mode, antialias=antialias)
    return torch.cat([prefix, picture.flatten(2).transpose(1, 2).to(pos_embed.dtype)], dim=1)


def similarity(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> Tensor:
    """Cosine of every place with every other, (rows, cols, rows, cols): [i, j] is the map that place (i, j) sees.

    Source: ViT, arXiv:2010.11929, figure 7, centre.
    """
    _, table = split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
    unit = F.normalize(table.float().flatten(0, 2), dim=-1)  # (rows * cols, embed_dim)
    return (unit @ unit.T).reshape(*grid, *grid)


def cut_or_interpolate(
    pos_embed: Tensor, *, old_grid: tuple[int, int], new_grid: tuple[int, int], num_prefix_tokens: int
) -> Tensor:
    """Fit a table to another grid by AST's rule: each axis by itself, time first; cut from the middle or stretch.

    Args, Returns, Raises: as `resample_pos_embed`; stretching is bilinear without antialias.
    Source: AST, arXiv:2104.01778, section 2.2, and its code (YuanGongND/ast, src/models/ast_models.py).
    """
    prefix, table = split_prefix(pos_embed, grid=old_grid, num_prefix_tokens=num_prefix_tokens)
    picture = table.permute(0, 3, 1, 2).float()
    for axis in (3, 2):  # time, then frequency
        old, new = picture.shape[axis], new_grid[axis - 2]
        if new <= old:
            picture = picture.narrow(axis, old // 2 - new // 2, new)
        else:
            size = (picture.shape[2], new) if axis == 3 else (new, picture.shape[3])
            picture = F.interpolate(picture, size=size, mode="bilinear")
    return torch.cat([prefix, picture.flatten(2).transpose(1, 2).to(pos_embed.dtype)], dim=1)


def separate(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> tuple[Tensor, Tensor]:
    """Split a table into one vector for each row and one for each column.

    Returns:
        Frequency table (rows, embed_dim) and time table (cols, embed_dim). `frequency[:, None] + time[None, :]` is the
        sum nearest to the map. The overall mean is in the frequency table alone; PaSST leaves it in both and counts it twice.
    Source: PaSST, arXiv:2110.05069, and its code (kkoutini/PaSST, models/passt.py).
    """
    _, table = split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
    frequency, time = table[0].mean(dim=1), table[0].mean(dim=0)
    return frequency, time - table.mean(dim=(0, 1, 2))


def steps(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> tuple[Tensor, Tensor]:
    """How far it is from each row to the next, (rows - 1,), and from each column to the next, (cols - 1,).

    Squared distance, divided by the mean squared distance of two lines: near 0 where the map goes on smoothly, near 1
    where the next line is a stranger.
    """
    _, table = split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
    each = (_lines(some) for some in (table[0].float(), table[0].float().transpose(0, 1)))
    return tuple(far / variance for far, variance in each)


def is_scrambled(model: nn.Module) -> bool:
    """Tell whether a model's position table was loaded onto the wrong grid, or shuffled.

    A learned table uses few dimensions, and on its own grid it goes on smoothly from line to line. A model is called
    scrambled when its table uses few dimensions and yet one of these holds:

    - another grid with as many places reads the table more smoothly: 14 x 14 was copied into 7 x 28;
    - a line is a stranger to the next: places were shuffled;
    - time is smooth, but has lost weight: less detail than frequency and less than half of the variance, or hardly
      any variance at all: two halves of a longer map lie on each other, as after reading 8 x 32 as 16 x 16 and
      resampling that to 8 x 16. A map trained on sound, or cut to less than half in time, may be taken for such.

    A table without structure gets False, which says nothing: a model that is new, or trained from nothing for a short
    while. Steps along an axis of fewer than 7 lines are not judged. `tests/test_positions.py` measures rates: on 150 random
    grids with the real ViT-Tiny's table no false alarm, all 150 shuffled and 142 re-read tables found, and 31 of 32 that lie
    on themselves; of made-up ones four in five.

    Args:
        model: A timm model with a learned table `pos_embed` (1, tokens, embed_dim) and `patch_embed.grid_size`.
    Raises:
        ValueError: If the model has no absolute positions (Swin, ConvNets, rotary positions), or its table is not of
            its grid's size.
    """
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    pos_embed = getattr(model, "pos_embed", None)
    if grid is None or not isinstance(pos_embed, Tensor) or pos_embed.ndim != 3:
        lacks = "has no table of absolute positions (pos_embed beside patch_embed.grid_size)"
        raise ValueError(f"{type(model).__name__} {lacks}, so none can be scrambled: ask a ViT or a DeiT")
    prefix = pos_embed.shape[1] - grid[0] * grid[1]
    if prefix not in (0, getattr(model, "num_prefix_tokens", 0)):  # CaiT's table has 0 though the model has 1
        fault = f"pos_embed has {pos_embed.shape[1]} tokens, which a grid of {grid[0]} x {grid[1]} does not make"
        raise ValueError(f"{fault}: resample it with resample_pos_embed first")
    _, table = split_prefix(pos_embed.detach(), grid=grid, num_prefix_tokens=prefix)
    return _has_structure(table[0].float()) and _is_out_of_place(table[0].float())


def _has_structure(table: Tensor) -> bool:
    """Whether a map (rows, cols, embed_dim) uses few dimensions: participation ratio of its covariance's eigenvalues."""
    rows, cols, embed_dim = table.shape
    places = table.flatten(0, 1)
    energy = torch.linalg.svdvals(places - places.mean(dim=0)) ** 2
    dimensions = energy.sum() ** 2 / (energy**2).sum().clamp(min=1e-24)
    of_noise = 1 / (1 / (rows * cols) + 1 / embed_dim)  # white noise of this size, in expectation
    return bool(dimensions < min(3 * min(rows, cols), of_noise / 2))


def _is_out_of_place(table: Tensor) -> bool:
    """The three rules of `is_scrambled`, for a map with structure. Its numbers were set on tables, not derived."""
    rows, cols, _ = table.shape
    detail, places = _detail(table), table.flatten(0, 1)
    grids = [(other, rows * cols // other) for other in range(4, rows * cols // 4 + 1) if rows * cols % other == 0]
    if any(sum(_detail(places.unflatten(0, other))) < 0.75 * sum(detail) for other in grids):
        return True
    by_row, by_col = _lines(table), _lines(table.transpose(0, 1))
    if any(len(far) >= 6 and far.max() > 0.9 * variance for far, variance in (by_row, by_col)):
        return True
    (_, row_variance), (col_steps, col_variance) = by_row, by_col
    time_is_smooth = min(rows, cols) >= 6 and col_steps.mean() < 0.5 * col_variance
    less_detail = detail[1] / col_variance < detail[0] / row_variance
    return bool(time_is_smooth and col_variance < (0.5 if less_detail else 0.1) * row_variance)  # mirrored halves: 0.04


def _detail(table: Tensor) -> list[float]:
    """Energy of the slope along both axes, from edge to edge: (lines * step)² in the mean; resampling hardly changes it."""
    return [float(table.shape[axis] ** 2 * table.diff(dim=axis).pow(2).sum(dim=-1).mean()) for axis in (0, 1)]


def _lines(table: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared distance of each line (first axis) to the next, and of two lines, in the mean over all pairs."""
    lines = len(table)
    pairs = 2 * (table - table.mean(dim=0)).pow(2).sum(dim=-1).mean() * lines / max(1, lines - 1)
    return table.diff(dim=0).pow(2).sum(dim=-1).mean(dim=1), pairs.clamp(min=1e-12)
