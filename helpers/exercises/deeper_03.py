"""Exercises of deeper/03: finding the table on the wrong grid by numbers, separable tables, longer clips."""

import torch
import torch.nn.functional as F

from helpers.exercises import Verdict, grade
from helpers.exercises.lesson_03 import learned_on
from helpers.positions import resample_pos_embed, separate, split_prefix, steps

_draw = torch.Generator().manual_seed(3)


def _randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_draw)


# --- D3.1: the trapped table -------------------------------------------------------------------------------------------


def _three(seed: int, grid: tuple[int, int], other_grid: tuple[int, int], place: int) -> tuple[list, tuple[int, int]]:
    """Three tables of as many tokens; the one at `place` was made for `other_grid`, one of the others is twice as large."""
    tables = [2 * learned_on(seed, grid), learned_on(seed + 100, grid)]
    tables.insert(place, learned_on(seed, other_grid))
    return tables, grid


TRAPPED_CASES = [
    _three(1, (16, 16), (8, 32), 1),
    _three(2, (7, 28), (14, 14), 2),
    _three(3, (16, 16), (8, 32), 2),
    _three(4, (8, 32), (16, 16), 0),
    _three(5, (14, 14), (7, 28), 1),
    _three(6, (8, 16), (16, 8), 2),
]


def check_trapped(answer) -> Verdict:
    """`trapped(tables, grid)`: which of three tables (1, rows * cols, embed_dim) was made for another grid: 0, 1 or 2."""
    return grade(
        answer,
        reference=lambda tables, grid: max(range(3), key=lambda which: _largest_step(tables[which], grid)),
        cases=TRAPPED_CASES,
        mistakes=MISTAKES["trapped"],
        right="Found in six sets of three: a table that was made for another width has a seam or a jump.",
    )


def _largest_step(table, grid, axes=(0, 1), reduce=torch.max) -> float:
    along = steps(table, grid=grid, num_prefix_tokens=0)
    return max(reduce(along[axis]).item() for axis in axes)


def _choose(score):
    """A wrong answer: the table with the largest `score(table, grid)`."""
    return lambda tables, grid: max(range(3), key=lambda which: score(tables[which], grid))


# --- D3.2: separable tables ---------------------------------------------------------------------------------------------

SEPARABLE_CASES = [(_randn(1, 2 + 3 * 5, 7), (3, 5), 2), (_randn(1, 1 + 6 * 4, 7), (6, 4), 1)]


def check_separable(answer) -> Verdict:
    """`separable(pos_embed, grid, num_prefix_tokens)`: the nearest table that is a row vector plus a column vector."""
    return grade(
        answer,
        reference=_separable(lambda rows, cols, mean: rows + cols - mean),
        cases=SEPARABLE_CASES,
        mistakes=MISTAKES["separable"],
        right="One vector a row, one a column, the overall mean once: no sum of two tables is nearer.",
    )


def _separable(combine, join=None):
    """The right answer, or a wrong one that combines rows, columns and the overall mean in another way."""
    join = join or (lambda prefix, table: torch.cat([prefix, table], dim=1))

    def answer(pos_embed, grid, num_prefix_tokens):
        prefix, table = split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
        rows, cols = table.mean(dim=2, keepdim=True), table.mean(dim=1, keepdim=True)
        new = combine(rows, cols, table.mean(dim=(1, 2), keepdim=True))
        return join(prefix, new.expand_as(table).flatten(1, 2))

    return answer


def _prefix_as_a_place(pos_embed, grid, num_prefix_tokens):
    """Rows and columns of the first tokens, the class token among them."""
    places = grid[0] * grid[1]
    frequency, time = separate(pos_embed[:, :places], grid=grid, num_prefix_tokens=0)
    return torch.cat([pos_embed[:, :num_prefix_tokens], (frequency[:, None] + time[None]).flatten(0, 1)[None]], dim=1)


# --- D3.3: clips of another length --------------------------------------------------------------------------------------

LENGTH_CASES = [
    (_randn(1, 1 + 3 * 5, 7), (3, 5), 1, 16 * 8 + 9),  # longer, and 9 frames that fill no patch
    (_randn(1, 2 + 4 * 6, 7), (4, 6), 2, 16 * 3),  # shorter
    (_randn(1, 2 + 4 * 6, 7), (4, 6), 2, 16 * 6 + 15),  # as long
]


def check_fit_length(answer) -> Verdict:
    """`fit_length(pos_embed, grid, num_prefix_tokens, frames)`: patches of 16 frames; cut at the end, or stretch."""
    return grade(
        answer,
        reference=_fit_length(),
        cases=LENGTH_CASES,
        mistakes=MISTAKES["fit_length"],
        right="A shorter clip keeps the places of its beginning, a longer one gets a stretched axis.",
    )


def _fit_length(columns=lambda frames: frames // 16, cut=None, stretch=None, num_prefix=None):
    """The right answer, or a wrong one with one of its steps replaced."""
    cut = cut or (lambda prefix, table, cols: torch.cat([prefix, table[:, :, :cols].flatten(1, 2)], dim=1))

    def answer(pos_embed, grid, num_prefix_tokens, frames):
        prefix, table = split_prefix(pos_embed, grid=grid, num_prefix_tokens=num_prefix_tokens)
        cols = columns(frames)
        if cols <= grid[1]:
            return cut(prefix, table, cols)
        if stretch:
            return stretch(prefix, table, cols)
        return resample_pos_embed(
            pos_embed, old_grid=grid, new_grid=(grid[0], cols), num_prefix_tokens=num_prefix_tokens
        )

    return answer


def _resized(prefix, table, cols):
    picture = F.interpolate(table.permute(0, 3, 1, 2), size=(table.shape[1], cols), mode="bicubic", antialias=True)
    return torch.cat([prefix, picture.flatten(2).transpose(1, 2)], dim=1)


def _tiled(prefix, table, cols):
    repeats = -(-cols // table.shape[2])
    return torch.cat([prefix, table.repeat(1, 1, repeats, 1)[:, :, :cols].flatten(1, 2)], dim=1)


def _from_the_middle(prefix, table, cols):
    first = table.shape[2] // 2 - cols // 2
    return torch.cat([prefix, table[:, :, first : first + cols].flatten(1, 2)], dim=1)


MISTAKES = {
    "trapped": {
        "You always name the first. Compare the tables.": lambda tables, grid: 0,
        "The number of tokens is the same in all three; that is the trap.": lambda tables, grid: max(
            range(3), key=lambda which: (tables[which].shape[1], which)
        ),
        "Norms cannot tell: the trapped table has all its vectors, in other places.": _choose(
            lambda table, grid: table.norm()
        ),
        "You looked along time only. A wide table that is read as a square goes on smoothly in time; look from row to row too.": _choose(
            lambda table, grid: _largest_step(table, grid, axes=(1,))
        ),
        "You looked along frequency only. A square table that is read as a wide one has its seam in time.": _choose(
            lambda table, grid: _largest_step(table, grid, axes=(0,))
        ),
        "That is the smoothest table, the other end of your scale.": _choose(
            lambda table, grid: -_largest_step(table, grid)
        ),
    },
    "separable": {
        "The overall mean is in the rows and in the columns: you count it twice, as PaSST does. Subtract it once.": _separable(
            lambda rows, cols, mean: rows + cols
        ),
        "The overall mean is gone: subtract it once, not twice.": _separable(
            lambda rows, cols, mean: rows + cols - 2 * mean
        ),
        "That is the mean of the two; rows and columns are added.": _separable(
            lambda rows, cols, mean: (rows + cols) / 2
        ),
        "These are the rows alone: time is missing.": _separable(lambda rows, cols, mean: rows),
        "These are the columns alone: frequency is missing.": _separable(lambda rows, cols, mean: cols),
        "The prefix tokens are gone: put them back in front.": _separable(
            lambda rows, cols, mean: rows + cols - mean, join=lambda prefix, table: table
        ),
        "You counted the prefix tokens as places: every row is shifted.": _prefix_as_a_place,
    },
    "fit_length": {
        "Frames that fill no patch make no token: round down, not up.": _fit_length(lambda frames: -(-frames // 16)),
        "A shorter clip is not a squeezed long one: cut the table, do not resample it.": _fit_length(cut=_resized),
        "You cut from the middle, as AST does; a short clip begins at the first column.": _fit_length(
            cut=_from_the_middle
        ),
        "You began the table again: second 6 would have the same place as second 1. Stretch it.": _fit_length(
            stretch=_tiled
        ),
        "The longer table lost its prefix tokens.": _fit_length(
            stretch=lambda prefix, table, cols: _resized(prefix[:, :0], table, cols)
        ),
        "The shorter table lost its prefix tokens.": _fit_length(
            cut=lambda prefix, table, cols: table[:, :, :cols].flatten(1, 2)
        ),
        "`pos_embed[:, :tokens]` cuts whole rows of frequency; cut every row in time.": _fit_length(
            cut=lambda prefix, table, cols: torch.cat([prefix, table.flatten(1, 2)[:, : table.shape[1] * cols]], dim=1)
        ),
    },
}
