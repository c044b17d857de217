"""`helpers.positions` against timm: every number of it, and every way in which a table lands on the wrong grid."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models import load_checkpoint
from timm.models.beit import Beit
from timm.models.beit import checkpoint_filter_fn as beit_filter
from timm.models.vision_transformer import checkpoint_filter_fn

from helpers import backbones, positions, session

VIT = "vit_tiny_patch16_224"
DIM = 192


def learned_table(grid=(14, 14), embed_dim=DIM, num_prefix_tokens=1, seed=0):
    """What training leaves: a smooth curve over the rows plus one over the columns, and a little noise."""
    generator = torch.Generator().manual_seed(seed)

    def curve(lines):
        places = torch.linspace(0, 1, lines)[:, None]
        waves = torch.randn(16, generator=generator) * 7  # half periods from edge to edge
        phases = 6.28 * torch.rand(16, generator=generator)
        return torch.cos(places * waves + phases) @ torch.randn(16, embed_dim, generator=generator)

    table = curve(grid[0])[:, None] + curve(grid[1])[None]
    table = table + 0.1 * table.std() * torch.randn(table.shape, generator=generator)
    prefix = torch.randn(num_prefix_tokens, embed_dim, generator=generator)
    return torch.cat([prefix, table.flatten(0, 1)])[None] * 0.02


def resample(pos_embed, old_grid, new_grid, num_prefix_tokens=1, **options):
    return positions.resample_pos_embed(
        pos_embed, old_grid=old_grid, new_grid=new_grid, num_prefix_tokens=num_prefix_tokens, **options
    )


def shuffled(pos_embed, seed=0):
    order = torch.randperm(pos_embed.shape[1] - 1, generator=torch.Generator().manual_seed(seed))
    return torch.cat([pos_embed[:, :1], pos_embed[:, 1:][:, order]], dim=1)


def scrambled(pos_embed, grid):
    """The verdict on a bare table with one prefix token."""
    patch_embed = SimpleNamespace(grid_size=grid)
    return positions.is_scrambled(SimpleNamespace(pos_embed=pos_embed, patch_embed=patch_embed, num_prefix_tokens=1))


# ---------------------------------------------------------------------------------------------------------- resampling
GRIDS = [(8, 16), (8, 32), (8, 31), (7, 28), (12, 101), (28, 28), (3, 5), (1, 1), (6, 10), (10, 6)]


@pytest.mark.parametrize("new_grid", GRIDS)  # the last two have as many tokens as one of the old grids
@pytest.mark.parametrize("old_grid", [(14, 14), (6, 10)])
@pytest.mark.parametrize("num_prefix_tokens", [0, 1, 2])
def test_resampling_agrees_with_timm(old_grid, new_grid, num_prefix_tokens):
    pos_embed = torch.randn(1, num_prefix_tokens + old_grid[0] * old_grid[1], 5)
    for mode, antialias in itertools.product(("bicubic", "bilinear"), (True, False)):
        ours = resample(pos_embed, old_grid, new_grid, num_prefix_tokens, mode=mode, antialias=antialias)
        theirs = resample_abs_pos_embed(
            pos_embed, list(new_grid), list(old_grid), num_prefix_tokens, mode, antialias=antialias
        )
        torch.testing.assert_close(ours, theirs)
        assert torch.equal(ours[:, :num_prefix_tokens], pos_embed[:, :num_prefix_tokens])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area"])
def test_modes_without_antialias_agree_with_timm(mode):
    pos_embed = learned_table()
    ours = resample(pos_embed, (14, 14), (8, 31), mode=mode, antialias=False)
    theirs = resample_abs_pos_embed(pos_embed, [8, 31], interpolation=mode, antialias=False)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_is_computed_in_float32_and_comes_back_as_it_was(dtype):
    pos_embed = learned_table().to(dtype)
    ours = resample(pos_embed, (14, 14), (8, 32))
    assert ours.dtype == dtype
    assert torch.equal(ours, resample_abs_pos_embed(pos_embed, [8, 32]))


def test_gradients_reach_the_table():
    pos_embed = learned_table().requires_grad_()
    resample(pos_embed, (14, 14), (8, 32)).sum().backward()
    assert pos_embed.grad.abs().min() > 0


def pretrained(name=VIT, table=None, **arguments):
    """A shallow timm model whose pretrained weights are our own, loaded by timm's own way."""
    weights = timm.create_model(name, depth=1).state_dict()
    if table is not None:
        weights["pos_embed"] = table
    overlay = {"state_dict": weights, "custom_load": False}
    return timm.create_model(
        name,
        depth=1,
        pretrained=True,
        pretrained_cfg_overlay=overlay,
        in_chans=1,
        num_classes=10,
        **arguments,
    )


@pytest.mark.parametrize("img_size", [(128, 256), (128, 512), (112, 448), (128, 998), (64, 1600), (448, 112)])
@pytest.mark.parametrize(("name", "prefix"), [(VIT, 1), ("deit_tiny_distilled_patch16_224", 2)], ids=["vit", "deit"])
def test_create_model_holds_exactly_our_table(name, prefix, img_size):
    table = learned_table(num_prefix_tokens=prefix)
    model = pretrained(name, table, img_size=img_size)
    ours = resample(table, (14, 14), model.patch_embed.grid_size, prefix)
    assert torch.equal(model.pos_embed, ours)


@pytest.mark.parametrize("img_size", [(128, 256), (128, 512), (112, 448)])
def test_session_model_holds_exactly_our_table(img_size):
    here = SimpleNamespace(weights=session.folder("VISION_WEIGHTS"))
    name = session.PROFILES["laptop" if here.weights else "offline"].vit
    photographs = backbones.create(name, here).pos_embed
    model = backbones.create(name, here, in_chans=1, img_size=img_size, num_classes=10)
    assert torch.equal(model.pos_embed, resample(photographs, (14, 14), model.patch_embed.grid_size))
    assert not positions.is_scrambled(model)


def test_dynamic_img_size_is_the_same_as_a_model_made_for_the_clip():
    table = learned_table()
    dynamic = pretrained(table=table, img_size=(128, 512), dynamic_img_size=True).eval()
    fixed = pretrained(table=table, img_size=(128, 512)).eval()
    fixed.load_state_dict(dynamic.state_dict())
    fixed.set_input_size((128, 256))
    x = torch.randn(2, 1, 128, 256)
    with torch.inference_mode():
        torch.testing.assert_close(dynamic(x), fixed(x))


# ----------------------------------------------------------------------------------------------------- other functions
def test_similarity_is_the_cosine_of_two_places():
    table = learned_table((3, 5), num_prefix_tokens=2)
    cosine = positions.similarity(table, grid=(3, 5), num_prefix_tokens=2)
    assert cosine.shape == (3, 5, 3, 5)
    expected = F.cosine_similarity(table[0, 2 + 1 * 5 + 4], table[0, 2 + 2 * 5 + 3], dim=0)
    torch.testing.assert_close(cosine[1, 4, 2, 3], expected)
    torch.testing.assert_close(cosine.reshape(15, 15).diagonal(), torch.ones(15))


def ast_table(picture, freq, time):
    """AST's rule as its constructor spells it, for a square table (1, dim, old, old)."""
    old = picture.shape[-1]
    if time <= old:
        picture = picture[:, :, :, old // 2 - time // 2 : old // 2 - time // 2 + time]
    else:
        picture = F.interpolate(picture, size=(old, time), mode="bilinear")
    if freq <= old:
        return picture[:, :, old // 2 - freq // 2 : old // 2 - freq // 2 + freq, :]
    return F.interpolate(picture, size=(freq, time), mode="bilinear")


@pytest.mark.parametrize("new_grid", [(8, 32), (8, 9), (12, 101), (20, 7), (14, 14), (20, 30)])
def test_cut_or_interpolate_is_the_rule_of_ast(new_grid):
    table = learned_table(num_prefix_tokens=2)
    ours = positions.cut_or_interpolate(table, old_grid=(14, 14), new_grid=new_grid, num_prefix_tokens=2)
    picture = table[:, 2:].transpose(1, 2).reshape(1, DIM, 14, 14)
    torch.testing.assert_close(ours[:, 2:], ast_table(picture, *new_grid).flatten(2).transpose(1, 2))
    assert torch.equal(ours[:, :2], table[:, :2])


def test_cutting_keeps_the_rows_in_the_middle():
    table = learned_table()
    ours = positions.cut_or_interpolate(table, old_grid=(14, 14), new_grid=(8, 14), num_prefix_tokens=1)
    assert torch.equal(ours[0, 1:].unflatten(0, (8, 14)), table[0, 1:].unflatten(0, (14, 14))[3:11])


def test_separate_gives_back_an_additive_table():
    rows, cols = torch.randn(6, 1, 7), torch.randn(1, 9, 7)
    table = (rows + cols).flatten(0, 1)[None]
    frequency, time = positions.separate(table, grid=(6, 9), num_prefix_tokens=0)
    torch.testing.assert_close(frequency[:, None] + time[None], rows + cols)
    torch.testing.assert_close(time.mean(dim=0), torch.zeros(7), atol=1e-6, rtol=0)


def test_no_additive_table_is_nearer_than_separate():
    table = torch.randn(1, 4 * 5, 3)
    frequency, time = positions.separate(table, grid=(4, 5), num_prefix_tokens=0)
    rest = table[0].unflatten(0, (4, 5)) - frequency[:, None] - time[None]
    torch.testing.assert_close(rest.mean(dim=0), torch.zeros(5, 3), atol=1e-6, rtol=0)  # least squares: nothing left
    torch.testing.assert_close(rest.mean(dim=1), torch.zeros(4, 3), atol=1e-6, rtol=0)


def test_steps_by_definition():
    table = torch.randn(1, 1 + 4 * 5, 3)
    rows, cols = positions.steps(table, grid=(4, 5), num_prefix_tokens=1)
    lines = table[0, 1:].unflatten(0, (4, 5))
    distance = torch.tensor([[(lines[:, a] - lines[:, b]).pow(2).sum(-1).mean() for a in range(5)] for b in range(5)])
    torch.testing.assert_close(cols, distance.diagonal(1) / (distance.sum() / 20))
    assert rows.shape == (3,)


# --------------------------------------------------------------------------------------- the traps of the installed timm
OWN_GRIDS = {"112x448": (7, 28), "128x512": (8, 32)}


@pytest.fixture(scope="module", params=OWN_GRIDS)
def own(request, tmp_path_factory):
    """A model's own checkpoint: its file, its table, its grid."""
    grid = OWN_GRIDS[request.param]
    model = pretrained(table=learned_table(), img_size=tuple(16 * side for side in grid))
    file = tmp_path_factory.mktemp("own") / "own.pth"
    torch.save(model.state_dict(), file)
    return SimpleNamespace(file=file, table=model.pos_embed.detach(), grid=grid, state=model.state_dict())


def empty(img_size, **arguments):
    return timm.create_model(VIT, depth=1, in_chans=1, num_classes=10, img_size=img_size, **arguments)


def by_load_state_dict(own, img_size):
    model = empty(img_size)
    model.load_state_dict(torch.load(own.file))
    return model


def by_checkpoint_path(own, img_size):
    return empty(img_size, checkpoint_path=str(own.file))


def by_load_checkpoint(own, img_size):
    model = empty(img_size)
    load_checkpoint(model, str(own.file), filter_fn=checkpoint_filter_fn)
    return model


def by_overlay(own, img_size):
    overlay = {"file": str(own.file), "custom_load": False, "num_classes": 10}
    return empty(img_size, pretrained=True, pretrained_cfg_overlay=overlay)


def by_overlay_with_input_size(own, img_size):
    input_size = (1, 16 * own.grid[0], 16 * own.grid[1])
    overlay = {"file": str(own.file), "custom_load": False, "num_classes": 10, "input_size": input_size}
    return empty(img_size, pretrained=True, pretrained_cfg_overlay=overlay)


def by_set_input_size(own, img_size):
    model = empty((16 * own.grid[0], 16 * own.grid[1]))
    model.load_state_dict(torch.load(own.file))
    model.set_input_size(img_size=img_size)
    return model


@pytest.mark.parametrize("way", [by_load_state_dict, by_checkpoint_path, by_load_checkpoint, by_overlay])
@pytest.mark.parametrize("own", ["112x448"], indirect=True)
def test_equal_counts_are_still_copied_in_silence(own, way):
    """When this fails, timm has mended it: tell so in deeper/03."""
    model = way(own, (224, 224))
    assert torch.equal(model.pos_embed, own.table)
    assert positions.is_scrambled(model)


@pytest.mark.parametrize("way", [by_load_checkpoint, by_overlay])
@pytest.mark.parametrize("own", ["128x512"], indirect=True)
def test_another_count_is_still_read_as_a_square_in_silence(own, way):
    """When this fails, timm has mended it: tell so in deeper/03."""
    model = way(own, (128, 256))
    torch.testing.assert_close(model.pos_embed.detach(), resample(own.table, (16, 16), (8, 16)))
    assert positions.is_scrambled(model)


@pytest.mark.parametrize("own", ["128x512"], indirect=True)
def test_another_count_is_refused_by_load_state_dict(own):
    with pytest.raises(RuntimeError, match="size mismatch"):
        by_load_state_dict(own, (128, 256))


@pytest.mark.parametrize("way", [by_overlay_with_input_size, by_set_input_size])
@pytest.mark.parametrize("img_size", [(224, 224), (128, 256)])
def test_two_ways_are_right(own, way, img_size):
    model = way(own, img_size)
    expected = resample(own.table, own.grid, model.patch_embed.grid_size)
    torch.testing.assert_close(model.pos_embed.detach(), expected)
    assert not positions.is_scrambled(model)


def test_what_timm_1_0_31_mended():
    table = learned_table()
    right = resample(table, (14, 14), (7, 28))
    assert torch.equal(pretrained(table=table, img_size=(112, 448)).pos_embed, right)  # create_model
    model = pretrained(table=table)
    model.set_input_size(img_size=(112, 448))
    assert torch.equal(model.pos_embed, right)
    model = pretrained(table=table, img_size=(128, 512))
    wide = model.pos_embed.detach().clone()
    model.set_input_size(img_size=(256, 256))
    assert torch.equal(model.pos_embed, resample(wide, (8, 32), (16, 16)))
    helper = resample_abs_pos_embed(right, [14, 14], old_size=[7, 28])
    torch.testing.assert_close(helper, resample(right, (7, 28), (14, 14)))


def test_dynamic_size_of_equal_count_is_resampled(monkeypatch):
    model = pretrained(table=learned_table(), img_size=(112, 448), dynamic_img_size=True).eval()
    fixed = pretrained(table=learned_table()).eval()
    weights = model.state_dict()
    weights["pos_embed"] = resample(weights["pos_embed"], (7, 28), (14, 14))
    fixed.load_state_dict(weights)
    x = torch.randn(1, 1, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(model(x), fixed(x))


def test_the_helper_takes_256_for_a_square_when_it_is_not_told():
    wide = resample(learned_table(), (14, 14), (8, 32))
    assert torch.equal(resample_abs_pos_embed(wide, [16, 16]), wide)  # 8 x 32, untouched
    assert scrambled(wide, (16, 16))


@pytest.mark.parametrize("name", ["cait_xxs24_224", "convit_tiny"])
def test_other_families_still_copy_equal_counts(name):
    weights = timm.create_model(name, depth=1).state_dict()
    weights["pos_embed"] = learned_table(num_prefix_tokens=0)[:, :, : weights["pos_embed"].shape[-1]]
    overlay = {"state_dict": weights, "custom_load": False}
    model = timm.create_model(name, depth=1, pretrained=True, pretrained_cfg_overlay=overlay, img_size=(112, 448))
    assert torch.equal(model.pos_embed, weights["pos_embed"])
    assert positions.is_scrambled(model)


def test_two_other_loaders_still_compare_sizes_alone(tmp_path):
    """When this fails, timm has mended them: tell so in deeper/03."""
    table = learned_table()
    beit = Beit(img_size=(112, 448), depth=1, embed_dim=DIM, num_heads=3, use_abs_pos_emb=True)
    assert torch.equal(beit_filter({"pos_embed": table}, beit)["pos_embed"], table)
    weights = {
        "embedding/kernel": torch.zeros(16, 16, 3, DIM),
        "embedding/bias": torch.zeros(DIM),
        "cls": torch.zeros(1, 1, DIM),
        "Transformer/posembed_input/pos_embedding": table,
        "Transformer/encoder_norm/scale": torch.ones(DIM),
        "Transformer/encoder_norm/bias": torch.zeros(DIM),
    }
    np.savez(tmp_path / "paper.npz", **{name: weight.numpy() for name, weight in weights.items()})
    vit = timm.create_model(VIT, depth=0, img_size=(112, 448))
    vit.load_pretrained(str(tmp_path / "paper.npz"))
    assert torch.equal(vit.pos_embed, table)


# ------------------------------------------------------------------------------------------------------- is_scrambled
def test_old_timm_is_caught():
    """What releases before 1.0.31 left behind, of every pair of grids that audio meets."""
    table = learned_table()
    for old, new in [
        ((14, 14), (7, 28)),
        ((8, 32), (16, 16)),
        ((7, 28), (14, 14)),
        ((16, 16), (8, 32)),
        ((24, 24), (12, 48)),
        ((24, 24), (8, 72)),
    ]:
        own = resample(table, (14, 14), old)
        assert not scrambled(own, old)
        assert scrambled(own, new)


def test_table_of_the_session_is_caught_in_every_case():
    """The real ViT-Tiny's where VISION_WEIGHTS names it, the nano ViT's, whose fold may hide, elsewhere."""
    here = SimpleNamespace(weights=session.folder("VISION_WEIGHTS"))
    table = backbones.create(session.PROFILES["laptop" if here.weights else "offline"].vit, here).pos_embed.detach()
    wide = resample(table, (14, 14), (8, 32))
    for healthy, grid in [(table, (14, 14)), (wide, (8, 32)), (resample(table, (14, 14), (8, 16)), (8, 16))]:
        assert not scrambled(healthy, grid)
        assert scrambled(shuffled(healthy), grid)
    assert scrambled(table, (7, 28))
    assert scrambled(resample(table, (14, 14), (7, 28)), (14, 14))
    assert scrambled(wide, (16, 16))
    if here.weights:
        assert scrambled(resample(wide, (16, 16), (8, 16)), (8, 16))


def test_error_rates_with_the_table_of_the_session():
    """On random grids: no false alarm worth the name, and a table read at half its width or shuffled is found."""
    here = SimpleNamespace(weights=session.folder("VISION_WEIGHTS"))
    table = backbones.create(session.PROFILES["laptop" if here.weights else "offline"].vit, here).pos_embed.detach()
    generator, found = torch.Generator().manual_seed(0), []
    for index in range(25):
        rows = torch.randint(7, 17, (), generator=generator).item()
        cols = 2 * torch.randint(6, 25, (), generator=generator).item()
        healthy = resample(table, (14, 14), (rows, cols))
        noisy = healthy + 0.05 * healthy.std() * torch.randn(healthy.shape, generator=generator)
        half, mixed = scrambled(healthy, (2 * rows, cols // 2)), scrambled(shuffled(healthy, index), (rows, cols))
        found.append([scrambled(healthy, (rows, cols)), scrambled(noisy, (rows, cols)), half, mixed])
    as_it_was, with_noise, read_at_half_its_width, in_another_order = np.mean(found, axis=0)
    assert max(as_it_was, with_noise) <= 0.1
    assert min(read_at_half_its_width, in_another_order) >= 0.9


def test_a_mirrored_map_is_clear_and_its_fold_is_caught():
    """Where left mirrors right, a fold lays each moment on its image, and time keeps hardly any variance."""
    middle = (torch.linspace(-1, 1, 14)[None, :, None] ** 2) * torch.randn(
        DIM, generator=torch.Generator().manual_seed(0)
    )
    height = torch.linspace(-1, 1, 14)[:, None, None] * torch.randn(DIM, generator=torch.Generator().manual_seed(1))
    table = torch.cat([torch.zeros(1, 1, DIM), (middle + height).flatten(0, 1)[None]], dim=1)
    wide = resample(table, (14, 14), (8, 32))
    for healthy, grid in [(table, (14, 14)), (wide, (8, 32)), (resample(table, (14, 14), (8, 16)), (8, 16))]:
        assert not scrambled(healthy, grid)
    assert scrambled(resample(wide, (16, 16), (8, 16)), (8, 16))


def test_shuffled_tables_are_caught_rows_and_columns_too():
    for grid in [(14, 14), (8, 16), (8, 32)]:
        table = resample(learned_table(), (14, 14), grid)
        places = table[:, 1:].unflatten(1, grid)
        order = torch.Generator().manual_seed(1)
        rows = places[:, torch.randperm(grid[0], generator=order)].flatten(1, 2)
        cols = places[:, :, torch.randperm(grid[1], generator=order)].flatten(1, 2)
        assert scrambled(shuffled(table), grid)
        assert scrambled(rows, grid)
        assert scrambled(cols, grid)


def rates(grids, seeds=6):
    """Share of tables called scrambled, by what was done to them, over random grids and tables."""
    generator, count = torch.Generator().manual_seed(0), {}
    for index, grid in enumerate(grids):
        table = resample(learned_table(seed=index % seeds), (14, 14), grid)
        tokens = grid[0] * grid[1]
        others = [
            (rows, tokens // rows) for rows in range(4, tokens // 6 + 1) if tokens % rows == 0 and rows != grid[0]
        ]
        cases = {"resampled": table, "shuffled": shuffled(table, index)}
        cases["fine-tuned"] = table + 0.1 * table.std() * torch.randn(table.shape, generator=generator)
        cases["from nothing"] = 0.02 * torch.randn(table.shape, generator=generator)
        cases["AST's rule"] = positions.cut_or_interpolate(
            learned_table(seed=index % seeds), old_grid=(14, 14), new_grid=grid, num_prefix_tokens=1
        )
        verdicts = {name: scrambled(case, grid) for name, case in cases.items()}
        if others:
            verdicts["trapped"] = scrambled(table, others[index % len(others)])
        if grid[0] >= 6:
            wide = resample(learned_table(seed=index % seeds), (14, 14), (grid[0], 4 * grid[0]))
            square = (2 * grid[0], 2 * grid[0])
            verdicts["folded"] = scrambled(resample(wide, square, (grid[0], 2 * grid[0])), (grid[0], 2 * grid[0]))
        for name, verdict in verdicts.items():
            count.setdefault(name, []).append(verdict)
    return {name: sum(verdicts) / len(verdicts) for name, verdicts in count.items()}


def test_error_rates_on_random_grids():
    generator = torch.Generator().manual_seed(0)
    grids = [tuple(torch.randint(4, high, (1,), generator=generator).item() for high in (17, 65)) for _ in range(40)]
    found = rates([(rows, max(cols, 6)) for rows, cols in grids])
    print(found)
    assert found["resampled"] <= 0.02
    assert found["fine-tuned"] <= 0.05
    assert found["from nothing"] == 0
    assert found["AST's rule"] <= 0.05
    assert found["shuffled"] >= 0.95
    assert found["trapped"] >= 0.95
    assert found["folded"] >= 0.75


@pytest.mark.parametrize("embed_dim", [48, 192, 768])
@pytest.mark.parametrize("grid", [(14, 14), (8, 16), (8, 64), (4, 8)])
def test_a_table_without_structure_is_never_called_scrambled(embed_dim, grid):
    noise = torch.randn(1, 1 + grid[0] * grid[1], embed_dim)
    assert not scrambled(noise, grid)
    assert not scrambled(shuffled(noise), grid)
    assert not scrambled(torch.zeros_like(noise), grid)


def test_a_model_trained_from_nothing_is_not_judged():
    assert not positions.is_scrambled(timm.create_model(VIT, depth=1, img_size=(128, 512), in_chans=1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_verdict_in_half_precision(dtype):
    table = resample(learned_table(), (14, 14), (8, 32)).to(dtype)
    assert not scrambled(table, (8, 32))
    assert scrambled(table, (16, 16))


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    "name",
    ["swin_tiny_patch4_window7_224", "vit_small_patch16_rope_224", "mobilenetv3_small_050", "mvitv2_tiny"],
)
def test_model_without_absolute_positions(name):
    with pytest.raises(ValueError, match="no table of absolute positions"):
        positions.is_scrambled(timm.create_model(name))


def test_model_whose_grid_and_table_differ():
    model = empty((128, 256))
    model.patch_embed.grid_size = (12, 25)
    with pytest.raises(ValueError, match="12 x 25"):
        positions.is_scrambled(model)


@pytest.mark.parametrize(
    ("grid", "prefix"), [((14, 14), 0), ((14, 14), 2), ((14, 13), 1), ((197, 0), 0), ((-14, -14), 1)]
)
def test_grid_or_prefix_that_does_not_match(grid, prefix):
    table = learned_table()
    for call in (
        lambda: resample(table, grid, (8, 16), prefix),
        lambda: positions.similarity(table, grid=grid, num_prefix_tokens=prefix),
        lambda: positions.cut_or_interpolate(table, old_grid=grid, new_grid=(8, 8), num_prefix_tokens=prefix),
        lambda: positions.separate(table, grid=grid, num_prefix_tokens=prefix),
        lambda: positions.steps(table, grid=grid, num_prefix_tokens=prefix),
    ):
        with pytest.raises(ValueError, match="pos_embed must be"):
            call()


@pytest.mark.parametrize(
    ("mode", "antialias", "new_grid"),
    [
        ("cubic", False, (8, 16)),
        ("nearest", True, (8, 16)),
        ("area", True, (8, 16)),
        ("bicubic", True, (0, 16)),
    ],
)
def test_unknown_mode_or_grid(mode, antialias, new_grid):
    with pytest.raises(ValueError, match="must be") as error:
        resample(learned_table(), (14, 14), new_grid, mode=mode, antialias=antialias)
    assert str(new_grid) in str(error.value) or mode in str(error.value)
