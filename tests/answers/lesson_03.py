"""Right answers in other spellings than the folded solutions of lesson 03."""

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed


def resample_with_timm(pos_embed, old_grid, new_grid, num_prefix_tokens):
    return resample_abs_pos_embed(pos_embed, list(new_grid), list(old_grid), num_prefix_tokens)


def resample_by_reshape(pos_embed, old_grid, new_grid, num_prefix_tokens):
    rows, cols = old_grid
    picture = pos_embed[0, num_prefix_tokens:].T.reshape(1, -1, rows, cols)
    picture = F.interpolate(picture, new_grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([pos_embed[0, :num_prefix_tokens], picture[0].flatten(1).T])[None]


def resample_in_numpy_around_torch(pos_embed, old_grid, new_grid, num_prefix_tokens):
    array = pos_embed.numpy()
    picture = np.moveaxis(array[:, num_prefix_tokens:].reshape(1, *old_grid, -1), -1, 1)
    picture = F.interpolate(torch.from_numpy(picture), new_grid, mode="bicubic", antialias=True).numpy()
    table = np.moveaxis(picture, 1, -1).reshape(1, -1, array.shape[-1])
    return np.concatenate([array[:, :num_prefix_tokens], table], axis=1)


def repair_with_timm(tables):
    return resample_abs_pos_embed(tables["C"], [16, 16], [8, 32], num_prefix_tokens=0)


def repair_by_exercise_3_1(tables):
    return resample_by_reshape(tables["C"], (8, 32), (16, 16), 0)


def repair_in_numpy(tables):
    return resample_in_numpy_around_torch(tables["C"], (8, 32), (16, 16), 0)


RIGHT = {
    "resample": [resample_with_timm, resample_by_reshape, resample_in_numpy_around_torch],
    "repair": [repair_with_timm, repair_by_exercise_3_1, repair_in_numpy],
}
