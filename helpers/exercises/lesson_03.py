"""Exercises of lesson 03: resampling a table, repairing the one that was copied onto the wrong grid."""

import torch
import torch.nn.functional as F

from helpers.exercises import Verdict, grade
from helpers.positions import resample_pos_embed

_draw = torch.Generator().manual_seed(3)


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_draw)


# --- 3.1: resampling ---------------------------------------------------------------------------------------------------

RESAMPLE_CASES = [
    (_randn(1, 2 + 3 * 5, 7), (3, 5), (4, 6), 2),
    (_randn(1, 1 + 6 * 4, 7), (6, 4), (3, 9), 1),
    (_randn(1, 2 + 4 * 6, 7), (4, 6), (3, 8), 2),  # as many places, and others
]


def check_resample(answer) -> Verdict:
    """`resample(pos_embed, old_grid, new_grid, num_prefix_tokens)`, bicubic with antialias."""
    return grade(
        answer,
        reference=_resample(),
        cases=RESAMPLE_CASES,
        mistakes=MISTAKES["resample"],
        right="These are timm's numbers, for one and for two prefix tokens.",
    )


def _resample(lay_out=None, size=None, flatten=None, join=None, **options):
    """The right answer, or a wrong one with one of its steps replaced."""
    lay_out = lay_out or (lambda table, grid: table.unflatten(1, grid).permute(0, 3, 1, 2))
    flatten = flatten or (lambda picture: picture.flatten(2).transpose(1, 2))
    join = join or (lambda prefix, table: torch.cat([prefix, table], dim=1))
    options = {"mode": "bicubic", "antialias": True} | options

    def answer(pos_embed, old_grid, new_grid, num_prefix_tokens):
        prefix, table = pos_embed[:, :num_prefix_tokens], pos_embed[:, num_prefix_tokens:]
        new_size = size(new_grid) if size else new_grid
        return join(prefix, flatten(F.interpolate(lay_out(table, old_grid), size=new_size, **options)))

    return answer


def _unless_as_many(pos_embed, old_grid, new_grid, num_prefix_tokens):
    """Left as it is where the new grid has as many places as the old one."""
    as_many = old_grid[0] * old_grid[1] == new_grid[0] * new_grid[1]
    return pos_embed if as_many else _resample()(pos_embed, old_grid, new_grid, num_prefix_tokens)


def _as_one_row(pos_embed, old_grid, new_grid, num_prefix_tokens):
    """The whole sequence interpolated, class token and all."""
    tokens = num_prefix_tokens + new_grid[0] * new_grid[1]
    return F.interpolate(pos_embed.transpose(1, 2), size=tokens, mode="linear").transpose(1, 2)


# --- 3.2: the table on the wrong grid -----------------------------------------------------------------------------------


def learned_on(seed: int, grid: tuple[int, int]) -> torch.Tensor:
    """A smooth table (1, rows * cols, 24) such as training leaves: a curve over the rows plus one over the columns."""
    places = torch.linspace(0, 1, 14)[:, None]
    generator = torch.Generator().manual_seed(seed)
    waves, mixing = (torch.randn(shape, generator=generator) for shape in ((2, 8), (2, 8, 24)))
    rows, cols = (torch.cos(places * 6 * wave + seed) @ mix for wave, mix in zip(waves, mixing, strict=True))
    table = (rows[:, None] + cols[None]).flatten(0, 1)[None]
    return resample_pos_embed(table, old_grid=(14, 14), new_grid=grid, num_prefix_tokens=0)


# 256 vectors each, read as 16 x 16; one was made for 8 x 32
TABLES = {"A": learned_on(1, (16, 16)), "B": learned_on(3, (16, 16)), "C": learned_on(2, (8, 32))}


def check_repair(answer) -> Verdict:
    """`repair(tables)`: the one of `TABLES` that was made for 8 x 32, resampled to 16 x 16."""
    return grade(
        answer,
        reference=_repair(),
        cases=[(TABLES,)],
        mistakes=MISTAKES["repair"],
        right="C has its own map again, on 16 x 16.",
    )


def _repair(name="C", old_grid=(8, 32), new_grid=(16, 16), **options):
    """The right answer, or a wrong one: another table, another grid."""
    grids = {"old_grid": old_grid, "new_grid": new_grid, "num_prefix_tokens": 0}
    return lambda tables: resample_pos_embed(tables[name], **grids, **options)


MISTAKES = {
    "resample": {
        "You interpolated the sequence, class token and all: places that are neighbours in frequency are far apart in it.": _as_one_row,
        "As many places are not the same places: 4 x 6 and 3 x 8 are both 24. Resample whenever the grids differ.": _unless_as_many,
        "Rows and columns are swapped where you lay out the grid: it is (frequency, time), time fastest.": _resample(
            lambda table, grid: table.unflatten(1, grid[::-1]).permute(0, 3, 1, 2)
        ),
        "`reshape` does not move axes: lay out the grid with `unflatten`, then `permute`.": _resample(
            lambda table, grid: table.reshape(1, -1, *grid)
        ),
        "The new size is swapped: `F.interpolate` wants (rows, cols), as the grid is written.": _resample(
            size=lambda grid: grid[::-1]
        ),
        "Without `antialias=True` places are left out, not averaged.": _resample(antialias=False),
        "That is bilinear; bicubic is asked for.": _resample(mode="bilinear"),
        "`align_corners=True` moves every place: the first and the last patch then stay where they were.": _resample(
            align_corners=True, antialias=True
        ),
        "The prefix tokens are gone: put them back in front.": _resample(join=lambda prefix, table: table),
        "The prefix tokens belong in front of the table, not behind it.": _resample(
            join=lambda prefix, table: torch.cat([table, prefix], dim=1)
        ),
        "`reshape` does not move axes: bring embed_dim to the end with `permute` or `transpose` before you flatten.": _resample(
            flatten=lambda picture: picture.reshape(1, -1, picture.shape[1])
        ),
    },
    "repair": {
        "A is a whole map: its tiles are smooth in both directions. Look for the one with stripes.": _repair("A"),
        "B is a whole map: its tiles are smooth in both directions. Look for the one with stripes.": _repair("B"),
        "That is the wrong one, but as it was: resample it from the grid that it was made for, `old_grid=(8, 32)`.": _repair(
            old_grid=(16, 16)
        ),
        "The old grid is swapped: (frequency, time) is (8, 32).": _repair(old_grid=(32, 8)),
        "You told the wrong old grid: the table was made for 8 x 32 and is wanted on 16 x 16.": _repair(
            old_grid=(16, 16), new_grid=(8, 32)
        ),
        "Without `antialias=True` places are left out, not averaged.": _repair(antialias=False),
        "That is the name of the wrong one. Return its repaired table.": lambda tables: "C",
        "Return the repaired table alone, not all of them.": lambda tables: tables | {"C": _repair()(tables)},
    },
}
