"""The drawings of lesson 03 and deeper/03: what they show is what was computed, at the extremes, too."""

import itertools

import numpy as np
import pytest
import torch

from helpers import explorers, figures, positions

DIM = 24
SQUARE = {"grid": (14, 14), "num_prefix_tokens": 1}


def additive(grid=(14, 14), num_prefix_tokens=1):
    """A smooth table (1, prefix + places, DIM): a curve over the rows plus one over the columns."""
    generator = torch.Generator().manual_seed(0)
    lines = [torch.linspace(0, 1, side)[:, None] for side in grid]
    rows, cols = (
        torch.cos(6 * line * torch.randn(8, generator=generator)) @ torch.randn(8, DIM, generator=generator)
        for line in lines
    )
    prefix = torch.randn(num_prefix_tokens, DIM, generator=generator)
    return torch.cat([prefix, (rows[:, None] + cols[None]).flatten(0, 1)])[None]


def resampled(table, new_grid):
    return positions.resample_pos_embed(table, old_grid=(14, 14), new_grid=new_grid, num_prefix_tokens=1)


def pictures(figure):
    return [torch.as_tensor(np.ma.filled(ax.images[0].get_array(), np.nan)) for ax in figure.axes if ax.images]


@pytest.mark.parametrize(("rows", "cols"), [(2, 2), (2, 64), (24, 2), (24, 64), (1, 1)])
def test_drawing_of_the_explorer_at_its_extremes(rows, cols):
    for mode, antialias in [("bicubic", True), ("bilinear", False), ("nearest", False)]:
        options = {"old_grid": (14, 14), "new_grid": (rows, cols), "mode": mode, "antialias": antialias}
        figure = figures.plot_resampled(additive(), num_prefix_tokens=1, **options)
        axes = figure.axes[0]
        tiles = min(rows, 4), min(cols, 5)
        shape = tuple(count * side + count - 1 for count, side in zip(tiles, (rows, cols), strict=True))
        assert axes.images[0].get_array().shape == shape  # tiles with a gap between them
        assert f"{rows} x {cols}, {mode}" in axes.get_title()


def test_explorer_sweep():
    explorer = explorers.explore_positions(additive(), **SQUARE)
    rows, cols, mode, antialias = explorer.children[:-1]
    draw = explorer.f
    for values in itertools.product((rows.min, rows.max), (cols.min, cols.max), mode.options, (True, False)):
        draw(*values)
    assert (rows.value, cols.value, mode.value, antialias.value) == (8, 16, "bicubic", True)


def test_tiles_of_the_drawing_are_the_similarity_maps():
    cosine = positions.similarity(additive((3, 5)), grid=(3, 5), num_prefix_tokens=1)
    picture = figures.plot_similarity(cosine, title="").axes[0].images[0].get_array()
    torch.testing.assert_close(torch.as_tensor(picture[4:7, 12:17].filled()), cosine[1, 2])
    assert picture.mask[3].all()


def test_the_tile_of_a_place_and_its_nearest_neighbour():
    table = additive()
    table[0, 1 + 9 * 14 + 2] = 1.01 * table[0, 1 + 4 * 14 + 3]  # far away, and of one direction
    figure = figures.plot_place(table, place=(4, 3), **SQUARE)
    left, right = figure.axes[:2]
    torch.testing.assert_close(pictures(figure)[0], positions.similarity(table, **SQUARE)[4, 3])
    assert "(9, 2)" in left.get_title()
    assert tuple(left.lines[0].get_xydata()[0]) == (3, 4)  # the ring: column, row
    assert "to the next column" in right.get_title()


def test_tables_stand_side_by_side_with_their_grids():
    wide = resampled(additive(), (8, 32))
    figure = figures.plot_tables(
        {"old": (additive(), (14, 14)), "new": (wide, (8, 32))}, num_prefix_tokens=1, tiles=(2, 2)
    )
    assert [ax.get_title() for ax in figure.axes[:2]] == ["old: 14 x 14", "new: 8 x 32"]
    assert [tuple(picture.shape) for picture in pictures(figure)[:2]] == [(29, 29), (17, 65)]


def test_the_trap_names_the_seam():
    table = additive()
    wide = {"grid": (7, 28), "num_prefix_tokens": 1}
    figure = figures.plot_trap(resampled(table, (7, 28)), table, place=(3, 10), **wide)
    right, copied = (ax.get_title() for ax in figure.axes[:2])
    assert "between columns 13 and 14" in copied
    assert f"{positions.steps(table, **wide)[1].max():.2f}" in copied
    assert right.startswith("resampled")
    torch.testing.assert_close(pictures(figure)[1], positions.similarity(table, **wide)[3, 10])


def test_components_of_a_table_of_two_directions():
    rows = torch.linspace(-1, 1, 14)[:, None, None] * torch.eye(DIM)[0]
    cols = 0.5 * torch.linspace(-1, 1, 14)[None, :, None] * torch.eye(DIM)[1]
    table = torch.cat([torch.zeros(1, 1, DIM), (rows + cols).flatten(0, 1)[None]], dim=1)
    figure = figures.plot_components(table, **SQUARE)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["component 1: 80%", "component 2: 20%", "component 3: 0%"]
    assert "hold 100% of the variance" in figure.get_suptitle()
    first, second, _ = pictures(figure)[:3]
    torch.testing.assert_close(first.std(dim=1), torch.zeros(14), atol=1e-5, rtol=0)  # rows alone
    torch.testing.assert_close(second.std(dim=0), torch.zeros(14), atol=1e-5, rtol=0)


def test_steps_are_drawn_as_computed():
    table = additive()
    wide = {"grid": (7, 28), "num_prefix_tokens": 1}
    figure = figures.plot_steps({"interpolated": resampled(table, (7, 28)), "trapped": table}, **wide)
    along_time = positions.steps(table, **wide)[1]
    torch.testing.assert_close(torch.as_tensor(figure.axes[0].lines[1].get_ydata()), along_time)
    assert f"{along_time.max():.2f} trapped" in figure.axes[0].get_title()


@pytest.mark.parametrize("grid", [(8, 16), (20, 9), (14, 14)])
def test_lines_that_the_rule_of_ast_keeps(grid):
    """The dashed line says which old row each new one is: the table of rows says so itself."""
    numbers = torch.arange(14.0)[:, None, None].expand(14, 14, 1).flatten(0, 1)[None]  # each place holds its row
    cut = positions.cut_or_interpolate(numbers, old_grid=(14, 14), new_grid=grid, num_prefix_tokens=0)
    drawn = torch.as_tensor(figures.plot_kept_lines((14, 14), grid).axes[0].lines[1].get_ydata()).float()
    torch.testing.assert_close(cut[0].unflatten(0, grid)[:, 0, 0], drawn.clamp(0, 13))


def test_probes_name_what_lies_below_by_more_than_the_spread():
    first = np.array([0.8, 0.9, 0.85, 0.8, 0.9])
    near, far = first + np.array([-0.05, 0.05, -0.04, 0.02, 0.0]), first - np.array([0.3, 0.31, 0.3, 0.29, 0.3])
    figure = figures.plot_probes({"right": first, "near": near, "far": far})
    title = figure.axes[0].get_title(loc="right")
    assert title == "Below right by more than the gap's spread: far"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["far", "near", "right"]
    assert "none of them" in figures.plot_probes({"right": first, "near": near}).axes[0].get_title(loc="right")
