"""Right answers in other spellings than the folded solutions of deeper/03."""

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed

from helpers.positions import resample_pos_embed, similarity


def _neighbours(table, grid):
    """The weakest link: least mean cosine between a line and the next, of centred vectors."""
    centred = table - table.mean(dim=1, keepdim=True)
    cosine = similarity(centred, grid=grid, num_prefix_tokens=0)
    rows, cols = (torch.arange(side) for side in grid)
    down = [cosine[i, cols, i + 1, cols].mean() for i in range(grid[0] - 1)]
    right = [cosine[rows, j, rows, j + 1].mean() for j in range(grid[1] - 1)]
    return min(down + right).item()


def trapped_by_cosine(tables, grid):
    return int(np.argmin([_neighbours(table, grid) for table in tables]))


def trapped_by_jumps(tables, grid):
    def worst(table):
        picture = table[0].unflatten(0, grid)
        jumps = [picture.diff(dim=axis).pow(2).sum(-1).mean(1 - axis).max() for axis in (0, 1)]
        return max(jumps) / (picture - picture.mean((0, 1))).pow(2).sum(-1).mean()

    return torch.tensor([worst(table) for table in tables]).argmax()


def trapped_by_largest_distance(tables, grid):
    worst = []
    for table in tables:
        picture = table[0].unflatten(0, grid).numpy()
        picture = picture / picture.std()
        worst.append(max((np.diff(picture, axis=axis) ** 2).mean(axis=(2, 1 - axis)).max() for axis in (0, 1)))
    return worst.index(max(worst))


def separable_by_least_squares(pos_embed, grid, num_prefix_tokens):
    rows, cols = grid
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(cols))
    design = torch.cat([F.one_hot(place[:, 0], rows), F.one_hot(place[:, 1], cols)], dim=1).double()
    table = pos_embed[0, num_prefix_tokens:].double()
    fitted = design @ (torch.linalg.pinv(design) @ table)
    return torch.cat([pos_embed[:, :num_prefix_tokens], fitted.float()[None]], dim=1)


def separable_by_effects(pos_embed, grid, num_prefix_tokens):
    table = pos_embed[0, num_prefix_tokens:].unflatten(0, grid)
    mean = table.mean(dim=(0, 1))
    table = mean + (table.mean(dim=1) - mean)[:, None] + (table.mean(dim=0) - mean)[None]
    return torch.cat([pos_embed[:, :num_prefix_tokens], table.flatten(0, 1)[None]], dim=1)


def separable_in_numpy(pos_embed, grid, num_prefix_tokens):
    array = pos_embed.numpy()
    table = array[0, num_prefix_tokens:].reshape(*grid, -1)
    table = table.mean(1, keepdims=True) + table.mean(0, keepdims=True) - table.mean((0, 1))
    return np.concatenate([array[:, :num_prefix_tokens], table.reshape(1, grid[0] * grid[1], -1)], axis=1)


def fit_by_slices(pos_embed, grid, num_prefix_tokens, frames):
    rows, cols = grid
    new = int(frames / 16)
    if new > cols:
        return resample_abs_pos_embed(pos_embed, [rows, new], [rows, cols], num_prefix_tokens)
    kept = [pos_embed[:, :num_prefix_tokens]]
    kept += [pos_embed[:, num_prefix_tokens + row * cols :][:, :new] for row in range(rows)]
    return torch.cat(kept, dim=1)


def fit_by_mask(pos_embed, grid, num_prefix_tokens, frames):
    new = frames // 16
    if new > grid[1]:
        return resample_pos_embed(
            pos_embed, old_grid=grid, new_grid=(grid[0], new), num_prefix_tokens=num_prefix_tokens
        )
    keep = torch.arange(grid[0] * grid[1]) % grid[1] < new
    return pos_embed[:, torch.cat([torch.ones(num_prefix_tokens, dtype=torch.bool), keep])]


def fit_in_numpy(pos_embed, grid, num_prefix_tokens, frames):
    new = (frames - frames % 16) // 16
    if new > grid[1]:
        return fit_by_mask(pos_embed, grid, num_prefix_tokens, frames).numpy()
    array = pos_embed.numpy()
    table = array[:, num_prefix_tokens:].reshape(1, *grid, -1)[:, :, :new].reshape(1, -1, array.shape[-1])
    return np.concatenate([array[:, :num_prefix_tokens], table], axis=1)


RIGHT = {
    "trapped": [trapped_by_cosine, trapped_by_jumps, trapped_by_largest_distance],
    "separable": [separable_by_least_squares, separable_by_effects, separable_in_numpy],
    "fit_length": [fit_by_slices, fit_by_mask, fit_in_numpy],
}
