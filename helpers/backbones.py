"""Vision models by name: from a local folder, the hub, or the three nano models that the project carries.

Importing this module registers the nano models in timm. They are ordinary timm models whose weights, float16 on
disk, are package data: `timm.create_model("vit_nano_patch16_224", pretrained=True, in_chans=1)` sums their colour
channels, resamples their positions and replaces their heads as it does for every other model.
"""

import difflib
import json
from functools import cache
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name
from safetensors import SafetensorError, safe_open
from timm.layers import to_2tuple
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    get_arch_name,
    get_model_traits,
    get_pretrained_cfg,
    is_model_pretrained,
    register_model,
    split_model_name_tag,
)
from timm.models.convnext import ConvNeXt
from timm.models.deit import VisionTransformerDistilled
from timm.models.naflexvit import NaFlexVit
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from helpers import esc, patches

NANO = Path(__file__).parent / "nano"


CFGS = {
    "vit_nano_patch16_224": dict(fixed_input_size=True, first_conv="patch_embed.proj", classifier="head"),
    "deit_nano_distilled_patch16_224": dict(
        fixed_input_size=True, first_conv="patch_embed.proj", classifier=("head", "head_dist")
    ),
    "convnext_nano_patch4_224": dict(pool_size=(7, 7), first_conv="stem.0", classifier="head.fc"),
}
HALF = (0.5, 0.5, 0.5)
SHARED = dict(input_size=(3, 224, 224), num_classes=1000, mean=HALF, std=HALF, crop_pct=1.0, license="apache-2.0")
default_cfgs = generate_default_cfgs(
    {
        f"{name}.tiny_imagenet": SHARED | entries | {"file": str(NANO / f"{name}.safetensors")}
        for name, entries in CFGS.items()
    }
)
VIT = dict(patch_size=16, embed_dim=192, depth=4, num_heads=3)
VIT_FEATURES = dict(out_indices=3, feature_cls="getter")
CONVNEXT_FEATURES = dict(out_indices=(0, 1, 2, 3), flatten_sequential=True)


def _in_float32(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Widen the float16 tensors first: a colour sum rounded to float16 would no longer equal three copies."""
    state_dict = {name: tensor.float() for name, tensor in state_dict.items()}
    return checkpoint_filter_fn(state_dict, model) if isinstance(model, VisionTransformer) else state_dict


def _nano(model_class: type[nn.Module], name: str, pretrained: bool, features: dict, **arguments) -> nn.Module:
    file = NANO / f"{name}.safetensors"
    if pretrained and (fault := _fault(file, name)):
        way_out = f"restore it with `git checkout -- helpers/nano/{file.name}`, or download the project again"
        raise OSError(f"helpers/nano/{file.name} {fault}: {way_out}")
    arguments |= {"feature_cfg": dict(features), "pretrained_filter_fn": _in_float32}
    return build_model_with_cfg(model_class, name, pretrained, **arguments)


@register_model
def vit_nano_patch16_224(pretrained: bool = False, **kwargs) -> VisionTransformer:
    """ViT-Tiny's width and patches, 4 of its 12 blocks, 2.2 million parameters."""
    return _nano(VisionTransformer, "vit_nano_patch16_224", pretrained, VIT_FEATURES, **VIT | kwargs)


@register_model
def deit_nano_distilled_patch16_224(pretrained: bool = False, **kwargs) -> VisionTransformerDistilled:
    """The same with a distillation token and a second head, 2.4 million parameters."""
    name = "deit_nano_distilled_patch16_224"
    return _nano(VisionTransformerDistilled, name, pretrained, VIT_FEATURES, **VIT | kwargs)


@register_model
def convnext_nano_patch4_224(pretrained: bool = False, **kwargs) -> ConvNeXt:
    """A ConvNeXt of stages (2, 2, 4, 2) and widths (32, 64, 128, 256), 2.2 million parameters."""
    sizes = dict(depths=(2, 2, 4, 2), dims=(32, 64, 128, 256))
    return _nano(ConvNeXt, "convnext_nano_patch4_224", pretrained, CONVNEXT_FEATURES, **sizes | kwargs)


# -------------------------------------------------------------------------------------------------- a model by its name
def create(name: str, session, *, pretrained: bool = True, **timm_arguments) -> nn.Module:
    """Build a timm model with the weights that this session may use, in the mode timm returns it (training).

    Weights are looked for in `session.weights` (the folder of `$VISION_WEIGHTS`), then where timm has them: the
    hub's cache, the hub, or, for the nano models, the project itself. New layers, such as a head for other classes,
    are drawn from torch's global generator, as always in timm: call `torch.manual_seed` first to have the same ones.
    A stem for one channel answers it as the pretrained one answers three copies, also where timm's own does not.

    Args:
        name: A timm name, with or without the tag of its weights: `vit_tiny_patch16_224.augreg_in21k_ft_in1k`.
        session: What `session.start()` returned; only `.weights` is read.
        pretrained: Whether to load weights at all.
        **timm_arguments: As for `timm.create_model`: in_chans, img_size, num_classes and so on.
    Raises:
        ValueError: If timm has no such model, no weights for it or for so many channels, or the file holds another's.
        OSError: If a weights file is damaged, or the hub cannot be reached.
    """
    _check_name(name)
    file = _local_file(name, session.weights)
    if not pretrained:  # the same layers as with the weights: the file beside them may ask for another padding
        arguments = _extra(file).get("model_args", {}) if file else {}
        return _build(name, False, **arguments | timm_arguments)
    if file is not None:
        return _create_from(file, get_arch_name(name), timm_arguments)
    if not is_model_pretrained(name):
        tags = ", ".join(timm.list_pretrained(f"{get_arch_name(name)}.*")) or "none of its kind has any"
        raise ValueError(f"timm knows no weights for {name!r} ({tags}): use pretrained=False or another name")
    if not locate(name, None):  # at once, and not after the hub's many attempts
        fault = f"the weights of {name!r} are not in the hub's cache and the hub does not answer"
        folder = f"set VISION_WEIGHTS to a folder that holds {get_arch_name(name)}.*.safetensors"
        raise OSError(f"{fault}: connect and start the session again, {folder}, or use the offline profile")
    try:
        return _build(name, True, **timm_arguments)
    except SafetensorError as error:
        repo, _, _ = get_pretrained_cfg(name).hf_hub_id.partition("@")
        way_out = f"remove the folder {repo_folder_name(repo_id=repo, repo_type='model')} there"
        raise OSError(f"the weights of {name!r} in the hub's cache are damaged ({error}): {way_out}") from error


def locate(name: str, folder: Path | None) -> str | None:
    """Say where a model's weights would come from, without loading them; the hub has four seconds to answer.

    Returns:
        "VISION_WEIGHTS", "embedded", "cache", "network", or None if they cannot be had. In the order in which
        `create` looks for them.
    """
    _check_name(name)
    if _local_file(name, folder) is not None:
        return "VISION_WEIGHTS"
    if not is_model_pretrained(name):
        return None
    if get_arch_name(name) in default_cfgs:
        return "embedded"
    hub_id = get_pretrained_cfg(name).hf_hub_id
    if hub_id and _is_cached(hub_id):
        return "cache"
    return "network" if hub_answers() else None


def _check_name(name: str) -> None:
    if not timm.is_model(name):
        near = difflib.get_close_matches(get_arch_name(name), timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else 'timm.list_models("*part of a name*") lists them'
        raise ValueError(f"{name!r} is no model of timm {timm.__version__}: {hint}")


def _build(name: str, pretrained: bool, **arguments) -> nn.Module:
    """timm's model; where timm would spoil or drop its pretrained stem for this number of channels, with one of ours."""
    in_chans = arguments.get("in_chans") or 3
    ours = [] if in_chans == 3 else _stems_of_ours(name, pretrained, arguments)
    model = timm.create_model(name, pretrained, **arguments | ({"in_chans": 3} if ours else {}))
    for stem in ours:
        colours_last = isinstance(model, NaFlexVit)  # Gemma4-ViT has (colour, height, width)
        model.set_submodule(stem, patches.adapt_stem(model.get_submodule(stem), in_chans, colours_last=colours_last))
        model.in_chans = in_chans
    return model


def _stems_of_ours(name: str, pretrained: bool, arguments: dict) -> list[str]:
    """Names of the stems that standardise their weights, which timm spoils, and of linear ones, which it draws anew."""
    with torch.device("meta"):
        model = timm.create_model(name, **arguments)
    if (model.pretrained_cfg.get("input_size") or (3,))[0] != 3:  # a checkpoint that was not made for colours
        return []
    modules, names = dict(model.named_modules()), get_model_traits(model).get("first_conv") or ()
    stems = {stem: modules.get(stem) for stem in ([names] if isinstance(names, str) else names)}
    for stem in stems.values():
        if pretrained and isinstance(stem, nn.Conv2d) and stem.in_channels != model.in_chans > 1:
            fault = f"in_chans must be 1 or 3 for {name!r}, whose stem takes blocks of pixels, got {model.in_chans}"
            raise ValueError(f"{fault}: timm would draw it anew")
    return [stem for stem, module in stems.items() if isinstance(module, (nn.Linear, *patches.STANDARDIZING))]


def _create_from(file: Path, architecture: str, timm_arguments: dict) -> nn.Module:
    """Build from a file of the folder, once it is known to hold this architecture."""
    extra = _extra(file)
    arguments = extra.get("model_args", {})
    overlay = _source(architecture, arguments) | extra.get("pretrained_cfg_overlay", {})
    if fault := _fault(file, architecture, pretrained_cfg_overlay=overlay, **arguments):
        error = OSError if "damaged" in fault else ValueError
        raise error(
            f"$VISION_WEIGHTS/{file.name} {fault}: copy it again, under the name of its own model, with a json beside it "
            'that holds what it was made with if that is not timm\'s own, say {"model_args": {"num_classes": 7}}'
        )
    overlay = overlay | timm_arguments.pop("pretrained_cfg_overlay", {}) | {"file": str(file)}
    return _build(architecture, True, pretrained_cfg_overlay=overlay, **arguments | timm_arguments)


def _source(architecture: str, model_args: dict) -> dict:
    """What a checkpoint made with these arguments was, in timm's configuration: it decides which head and positions fit."""
    in_chans, *size = getattr(get_pretrained_cfg(architecture), "input_size", None) or (3, 224, 224)
    input_size = (model_args.get("in_chans", in_chans), *to_2tuple(model_args.get("img_size", size)))
    return {"input_size": input_size} | {name: model_args[name] for name in ("num_classes",) if name in model_args}


def _local_file(name: str, folder: Path | None) -> Path | None:
    """The file of `folder` for this model; without a tag the only one of its architecture, or that of timm's own tag."""
    if folder is None:
        return None
    architecture, tag = split_model_name_tag(name)
    if tag:
        file = folder / f"{architecture}.{tag}.safetensors"
        return file if file.exists() else None
    files = sorted(folder.glob(f"{architecture}.*.safetensors"))
    if len(files) > 1:
        cfg = get_pretrained_cfg(architecture)
        files = [file for file in files if cfg and file.name == f"{architecture}.{cfg.tag}.safetensors"] or files
    if len(files) > 1:
        stems = ", ".join(file.stem for file in files)
        raise ValueError(f"$VISION_WEIGHTS holds several files for {name!r}: name one of {stems}")
    return files[0] if files else None


def _extra(file: Path) -> dict:
    """What a file needs beyond timm's own configuration, from the json of the same name if there is one."""
    beside = file.with_suffix(".json")
    try:
        return json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    except ValueError as error:
        raise ValueError(f"$VISION_WEIGHTS/{beside.name} is no valid json ({error}): copy it again") from None


def _fault(file: Path, architecture: str, **arguments) -> str:
    """What is wrong with a weights file, or "": names and shapes must be the architecture's, every one.

    timm's own load is lax when the head is new: tensors of another model would be skipped with a warning.
    """
    try:
        with safe_open(file, "pt") as stored:
            found = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}
    except (OSError, SafetensorError) as error:
        return f"is missing or damaged ({type(error).__name__})"
    with torch.device("meta"):
        weights = timm.create_model(architecture, **arguments).state_dict()
    expected = {name: tuple(value.shape) for name, value in weights.items()}
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if not differing:
        return ""
    first = differing[0]
    held, expected = found.get(first, "absent"), expected.get(first, "absent")
    return f"does not hold {architecture}: {len(differing)} tensors differ, {first} is {held} instead of {expected}"


def _is_cached(hub_id: str) -> bool:
    repo, _, revision = hub_id.partition("@")
    files = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(repo, file, revision=revision or None), str) for file in files)


@cache
def hub_answers() -> bool:
    """Whether the hub answers; asked once a session, which has several models."""
    try:
        return not constants.HF_HUB_OFFLINE and esc.reach(constants.ENDPOINT) is None
    except ConnectionError:
        return False
