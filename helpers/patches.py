"""Lesson 02: from pixels to tokens: cutting patches, three input channels made one, overlap."""

from collections.abc import Sequence

import torch
from timm.layers import (
    Conv2dSame,
    PatchEmbed,
    ScaledStdConv2d,
    ScaledStdConv2dSame,
    StdConv2d,
    StdConv2dSame,
    resample_abs_pos_embed,
    to_2tuple,
)
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

STANDARDIZING = (StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)
Size = int | tuple[int, int]  # (freq, time)


def token_grid(img_size: Size, patch_size: Size, stride: Size | None = None) -> tuple[int, int]:
    """Count the patches along (freq, time).

    Args:
        img_size: Height and width of the input: mel bins and frames.
        patch_size: Height and width of a patch.
        stride: Step from one patch to the next; the patch size unless given.
    Returns:
        (rows, cols); the model sees rows * cols tokens and its prefix tokens. A last patch that does not fit whole is not counted.
    Raises:
        ValueError: If a size or stride is below 1, or the image is smaller than one patch.
    """
    sizes, patches = to_2tuple(img_size), to_2tuple(patch_size)
    steps = patches if stride is None else to_2tuple(stride)
    if min(*patches, *steps) < 1:
        raise ValueError(f"patch_size and stride must be at least 1, got {patch_size} and {stride}.")
    if sizes[0] < patches[0] or sizes[1] < patches[1]:
        smallest = f"{patches[0]} x {patches[1]} (freq x time)"
        raise ValueError(f"img_size must hold one patch of {smallest}, got {sizes[0]} x {sizes[1]}.")
    return tuple((size - patch) // step + 1 for size, patch, step in zip(sizes, patches, steps, strict=True))


def left_over(img_size: Size, patch_size: Size, stride: Size | None = None) -> tuple[int, int]:
    """Count the mel bins and frames at the upper edge and the end that no patch covers, for a stride up to the patch size."""
    grid, patches = token_grid(img_size, patch_size, stride), to_2tuple(patch_size)
    steps = patches if stride is None else to_2tuple(stride)
    covered = [(count - 1) * step + patch for count, step, patch in zip(grid, steps, patches, strict=True)]
    return tuple(size - end for size, end in zip(to_2tuple(img_size), covered, strict=True))


def extract_patches(image: Tensor, patch_size: int, stride: int) -> Tensor:
    """Cut patches: (batch, in_chans, freq, time) -> (batch, patches, in_chans * patch_size * patch_size).

    Rows of patches first, time fastest; inside a patch channels first, as in a convolution's weight, so that
    `extract_patches(image, 16, 16) @ conv.weight.flatten(1).T + conv.bias` is the patch embedding.

    Raises:
        RuntimeError: torch's own, if the image is smaller than one patch or the stride below 1.
    """
    strips = image.unfold(2, patch_size, stride)  # along frequency
    windows = strips.unfold(3, patch_size, stride)  # and along time
    # from (batch, in_chans, rows, cols, height, width)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def sum_input_channels(weight: Tensor, in_chans: int = 1) -> Tensor:
    """Adapt a stem's weight (embed_dim, 3, height, width) to another number of input channels, as timm does.

    One channel gets the sum of the three planes: its output equals that of three copies, exactly. More channels get
    the planes in turn, times 3 / in_chans: equal to copies where in_chans is a multiple of 3, near it otherwise.
    A stem behind a space-to-depth step (3 * n input channels) keeps its n spatial groups. It holds for the weight that
    the stem multiplies with: `effective_weight` gives that of a stem that standardises its own.

    Returns:
        Weight (embed_dim, in_chans, height, width), of the same dtype; the sum is taken in float32.
    Raises:
        ValueError: If `weight` is not a colour stem's, or cannot be given `in_chans` channels.
    """
    shape = tuple(weight.shape)
    if weight.ndim != 4 or shape[1] == 0 or shape[1] % 3:
        raise ValueError(f"weight must be (embed_dim, 3, height, width), a stem for colours, got {shape}.")
    if not isinstance(in_chans, int) or in_chans < 1 or (in_chans not in (1, 3) and shape[1] != 3):
        wanted = "a whole number from 1, and 1 or 3 behind space-to-depth"
        raise ValueError(f"in_chans must be {wanted}, got {in_chans!r} for {shape}.")
    return adapt_input_conv(in_chans, weight)


def effective_weight(stem: nn.Conv2d) -> Tensor:
    """The weight that a convolution multiplies with, (embed_dim, in_chans, height, width): its own, but for timm's Std kinds.

    `StdConv2d` and `ScaledStdConv2d` (NFNet, BiT, hybrid ViTs) standardise each filter, all its planes together, whenever
    they are called. They would standardise a sum anew, and answer it at 0.33 and 0.58 of what three copies give.
    Source: weight standardisation, arXiv:1903.10520.
    """
    if not isinstance(stem, STANDARDIZING):
        return stem.weight
    scale = (stem.gain * stem.scale).flatten() if hasattr(stem, "gain") else None
    filters = stem.weight.flatten(1)[None]
    return F.batch_norm(filters, None, None, scale, training=True, eps=stem.eps).view_as(stem.weight)


def adapt_stem(stem: nn.Module, in_chans: int, *, colours_last: bool = True) -> nn.Module:
    """A plain stem for `in_chans` channels in place of one for colours, by `sum_input_channels`, for kinds that timm spoils.

    Args:
        stem: A convolution, or a linear layer over flattened patches, as NaFlexViT has.
        colours_last: Whether such a patch is (height, width, colour), as in NaFlexViT, or (colour, height, width).
    """
    if isinstance(stem, nn.Linear):
        weight = stem.weight.detach()
        planes = weight.unflatten(1, (-1, 3)).transpose(1, 2) if colours_last else weight.unflatten(1, (3, -1))
        weight = sum_input_channels(planes[..., None], in_chans)[..., 0]  # (embed_dim, in_chans, height * width)
        weight = (weight.transpose(1, 2) if colours_last else weight).flatten(1)
        plain = nn.Linear(weight.shape[1], len(weight), bias=False)
    else:
        weight = sum_input_channels(effective_weight(stem).detach(), in_chans)
        kind = Conv2dSame if getattr(stem, "same_pad", False) else nn.Conv2d
        sizes = stem.kernel_size, stem.stride, stem.padding, stem.dilation
        plain = kind(in_chans, len(weight), *sizes, bias=False)
    plain.weight, plain.bias = nn.Parameter(weight.contiguous()), stem.bias
    return plain


def energy_kept(weight: Tensor) -> Tensor:
    """Share of each filter's energy that its summed form keeps: (embed_dim, 3, height, width) -> (embed_dim,).

    1 where the three planes are equal (grey filter), 1/3 on average for unrelated planes, 0 where they cancel (pure colour);
    nan for a filter that is all zeros. Look at the norms beside it: a dead filter's share says nothing.
    """
    summed = weight.sum(dim=1)
    return summed.square().sum(dim=(1, 2)) / (3 * weight.square().sum(dim=(1, 2, 3)))


def absorb_normalization(
    weight: Tensor, bias: Tensor | None, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> tuple[Tensor, Tensor]:
    """Absorb per-channel statistics into a stem, which then reads one raw channel.

    conv(three copies of x, each normalised by its mean and std) equals conv_absorbed(x), everywhere for a stem without
    padding, and off the border for one that pads with zeros (a zero after normalisation is not a zero before it).

    Args:
        weight: Of a stem for colours (embed_dim, 3, height, width), as `effective_weight` gives it; for a plain convolution.
        bias: (embed_dim,), or None for a stem without bias.
        mean, std: Three numbers each, on the scale of x.
    Returns:
        (weight (embed_dim, 1, height, width), bias (embed_dim,)).
    Raises:
        ValueError: If a shape does not fit or a standard deviation is not positive.
    """
    if weight.ndim != 4 or weight.shape[1] != 3:
        raise ValueError(f"weight must be (embed_dim, 3, height, width), got {tuple(weight.shape)}.")
    mean, std = (torch.as_tensor(values, dtype=weight.dtype, device=weight.device) for values in (mean, std))
    if mean.shape != (3,) or std.shape != (3,) or not (std > 0).all():
        got = f"{mean.tolist()} and {std.tolist()}"
        raise ValueError(f"mean and std must be three numbers each, std above 0, got {got}.")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have {len(weight)} values, one for each filter, got shape {tuple(bias.shape)}.")
    scaled = weight / std[:, None, None]
    shift = (scaled * mean[:, None, None]).sum(dim=(1, 2, 3))
    return scaled.sum(dim=1, keepdim=True), -shift if bias is None else bias - shift


def has_patches_and_table(model: nn.Module) -> bool:
    """Whether a model is timm's plain ViT or DeiT: its stem one convolution by patches, its positions one learned table."""
    plain = isinstance(model, VisionTransformer) and type(model.patch_embed) is PatchEmbed
    return plain and model.pos_embed is not None


def overlap(model: nn.Module, stride: int | tuple[int, int]) -> nn.Module:
    """Give a timm ViT (or DeiT) patches that overlap, and the positions of the new grid; every other weight stays.

    Changes the model and returns it. Set the input size first: a later `set_input_size` would count patches without overlap.

    Raises:
        ValueError: If the model has no patch convolution with an absolute position table, or the stride leaves gaps.
    Source: AST, arXiv:2104.01778, whose patches of 16 overlap by 6.
    """
    if not has_patches_and_table(model):
        kind = type(model).__name__
        raise ValueError(f"model must be a ViT with a table of positions, got {kind}.")
    stem, step = model.patch_embed, to_2tuple(stride)
    most = min(stem.patch_size)
    if not 1 <= min(step) <= max(step) <= most:
        raise ValueError(f"stride must be 1 to {most}, or gaps are left, got {stride}.")
    new_grid = token_grid(stem.img_size, stem.patch_size, step)
    sizes = list(new_grid), list(stem.grid_size)
    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    table = resample_abs_pos_embed(model.pos_embed.detach(), *sizes, prefix)
    model.pos_embed = nn.Parameter(table, requires_grad=model.pos_embed.requires_grad)
    stem.proj.stride, stem.grid_size = step, new_grid
    stem.num_patches = new_grid[0] * new_grid[1]
    return model
