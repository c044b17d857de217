"""What the recorded experiments do to a new model: which parts learn, how its stem and its table of positions came about.

Each takes the model, which it changes in place, and its timm name.
"""

from types import SimpleNamespace

import torch
from timm import utils
from torch import Tensor, nn

from helpers import backbones, patches, positions, session


def freeze(model: nn.Module, name: str) -> None:
    """Only the heads learn; batch norms keep the statistics of photographs."""
    utils.freeze(model)
    utils.unfreeze(model, model.pretrained_cfg["classifier"])


def freeze_half(model: nn.Module, name: str) -> None:
    """The second half of the blocks learns, and all that comes after them; stem, tokens and positions stay.

    A ConvNeXt has stages in their place.
    """
    utils.freeze(model)
    children = [child for child, _ in model.named_children()]
    name_of_blocks = "blocks" if "blocks" in children else "stages"
    blocks, after = len(getattr(model, name_of_blocks)), children[children.index(name_of_blocks) + 1 :]
    utils.unfreeze(model, [f"{name_of_blocks}.{block}" for block in range(blocks // 2, blocks)] + after)


def average_stem(model: nn.Module, name: str) -> None:
    """timm summed the three colours; a third of the sum is their mean."""
    model.patch_embed.proj.weight.data.div_(3)


def redraw_stem(model: nn.Module, name: str) -> None:
    """As PyTorch draws it: a few times weaker than the one that was learned, and its bias drawn, too."""
    model.patch_embed.proj.reset_parameters()


def redraw_stem_as_strong(model: nn.Module, name: str) -> None:
    """Filters as strong as those that were learned, whose bias stays: lesson 02's random stem."""
    weight = model.patch_embed.proj.weight
    nn.init.normal_(weight, std=weight.std().item())


def copy_input(model: nn.Module, name: str) -> None:
    """The stem keeps its three colours, and each reads a copy of the spectrogram."""
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0].expand(-1, 3, -1, -1),))


def overlap_patches(model: nn.Module, name: str) -> None:
    """A patch every 10 mel bins and frames, as in AST, in place of every 16."""
    patches.overlap(model, 10)


def crop_table(model: nn.Module, name: str) -> None:
    """AST's rule: cut where the table is long enough, interpolate where it is not."""
    original = _original_table(model, name)
    grids = {"old_grid": _side(original, model), "new_grid": model.patch_embed.grid_size}
    _put(model, positions.cut_or_interpolate(original, **grids, num_prefix_tokens=model.num_prefix_tokens))


def redraw_table(model: nn.Module, name: str) -> None:
    _put(model, nn.init.trunc_normal_(torch.empty_like(model.pos_embed), std=0.02))


def shuffle_table(model: nn.Module, name: str) -> None:
    prefix = model.num_prefix_tokens
    order = torch.randperm(model.pos_embed.shape[1] - prefix)
    _put(model, torch.cat([model.pos_embed[:, :prefix], model.pos_embed[:, prefix:][:, order]], dim=1))


def trap_table(model: nn.Module, name: str) -> None:
    """The equal-count trap: a table of as many places, of a grid that stands upright, is taken as it is."""
    original, (rows, columns) = _original_table(model, name), model.patch_embed.grid_size
    grids = {"old_grid": _side(original, model), "new_grid": (columns, rows)}
    _put(model, positions.resample_pos_embed(original, **grids, num_prefix_tokens=model.num_prefix_tokens))


def _original_table(model: nn.Module, name: str) -> Tensor:
    """The table that the pretrained model has for photographs."""
    here = SimpleNamespace(weights=session.folder("VISION_WEIGHTS"))
    return backbones.create(name, here).pos_embed.detach()


def _side(table: Tensor, model: nn.Module) -> tuple[int, int]:
    side = round((table.shape[1] - model.num_prefix_tokens) ** 0.5)
    return side, side


def _put(model: nn.Module, table: Tensor) -> None:
    model.pos_embed.data.copy_(table)
