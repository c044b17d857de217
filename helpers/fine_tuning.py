"""Lesson 05: full fine-tuning: one epoch in 25 lines, and what makes a long run dependable around it.

Hugging Face Accelerate does device, mixed precision, checkpoints and several processes; timm gives layer-wise learning
rates and the schedule. `accelerate launch` runs the same code on several GPUs or machines.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import safetensors.torch as safetensors
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors import SafetensorError, safe_open
from scipy.stats import bootstrap
from timm.models import get_model_args, get_model_input_config
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from helpers import backbones, checkpoints, devices, patches, spectrograms
from helpers.clips import whole


@dataclass(frozen=True)
class Recipe:
    """All that decides how a model is fine-tuned. `dataclasses.replace(recipe, lr=1e-4)` changes one thing."""

    epochs: int = 12
    batch_size: int = 16
    lr: float = 2e-4  # of the head; the blocks before it get less
    layer_decay: float | None = 0.75  # each block learns at this share of the rate of the one above it; None: all alike
    weight_decay: float = 0.05  # not on positions, tokens, norms and biases
    warmup: float = 0.1  # share of the updates over which the rate rises
    clip_norm: float = 1.0  # longest gradient
    mixup: float = 0.5  # alpha of the Beta distribution; 0 turns it off
    roll: bool = True
    gain_db: float = 6.0
    max_mels: int = 24  # widest masks
    max_frames: int = 48
    precision: str = "auto"  # "no", "bf16", "fp16"; "auto" is what is fast on the device, see `devices.fast_precision`
    seed: int = 0


MOST = {"layer_decay": 1, "warmup": 1} | dict.fromkeys(("lr", "weight_decay", "clip_norm", "mixup"), math.inf)


def train_one_epoch(model, loader, optimizer, scheduler, augment, accelerator, *, epoch, clip_norm) -> float:
    """Train on every batch once and return the mean loss per clip.

    Args:
        loader: Gives (log-mel (batch, 1, n_mels, frames), target (batch,)).
        scheduler: timm's, counted in updates.
        augment: (log-mel, target) -> (log-mel, soft target (batch, num_classes)).
        epoch: Counted from 0; it places the epoch on the schedule.
        clip_norm: Longest gradient, all parameters taken as one vector; a longer one is shortened to it.
    Raises:
        FloatingPointError: If the loss of a batch is not finite; the weights are still those before it.
    """
    model.train()
    losses = []
    for update, (log_mel, target) in enumerate(loader, start=epoch * len(loader)):
        scheduler.step_update(update)  # once an update, not once an epoch
        log_mel, target = augment(log_mel, target)
        with accelerator.autocast():
            loss = F.cross_entropy(model(log_mel).float(), target)
        if not loss.isfinite():
            raise FloatingPointError(f"Loss {loss} in update {update + 1}: lower lr.")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses += [loss.item()] * len(target)  # a short batch counts as short
    return sum(losses) / len(losses)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW by timm: less rate for each block further from the head, no decay on positions, tokens, norms and biases.

    Layers of one's own around a timm model learn at the head's rate. The groups carry `lr_scale`, which timm's scheduler
    multiplies in: under a scheduler that does not know it, or none, every block learns at the full rate.
    """
    inner = next((part for part in model.modules() if hasattr(part, "group_matcher")), model)
    given = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "layer_decay": recipe.layer_decay}
    optimizer, known = create_optimizer_v2(inner, "adamw", **given), set(inner.parameters())
    own = [parameter for parameter in model.parameters() if parameter not in known and parameter.requires_grad]
    for is_matrix, decay in ((True, recipe.weight_decay), (False, 0.0)):
        if some := [parameter for parameter in own if (parameter.ndim > 1) == is_matrix]:
            optimizer.add_param_group({"params": some, "weight_decay": decay, "lr_scale": 1.0})
    return optimizer


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, num_updates: int) -> CosineLRScheduler:
    """A rise over the first `recipe.warmup` of the updates, then a cosine down to nothing."""
    warmup = round(recipe.warmup * num_updates)
    return CosineLRScheduler(optimizer, t_initial=num_updates, warmup_t=warmup, warmup_prefix=False, t_in_epochs=False)


def make_augment(recipe: Recipe, *, num_classes: int, std: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Roll, gain, masks and mixup, each with its own draw for each clip."""

    def augment(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        x = spectrograms.roll(x) if recipe.roll else x
        x = spectrograms.gain(x, std=std, max_db=recipe.gain_db)
        x = spectrograms.mask(x, max_mels=recipe.max_mels, max_frames=recipe.max_frames)
        if recipe.mixup == 0:
            return x, F.one_hot(target, num_classes).to(x)
        return spectrograms.mixup(x, target, num_classes=num_classes, alpha=recipe.mixup)

    return augment


@torch.inference_mode()
def evaluate(model: nn.Module, features: Tensor, *, mean: float, std: float, batch_size: int = 64) -> Tensor:
    """Logits (clips, num_classes), float32 on the CPU, of features (clips, 1, n_mels, frames) before standardising."""
    _check_statistics(mean, std)
    features = _pictures(features)
    model.eval()  # dropout and drop path off, batch norms on their running statistics
    device = next(model.parameters()).device
    batches = (spectrograms.standardize(batch, mean, std).to(device) for batch in features.split(batch_size))
    return torch.cat([model(batch).float().cpu() for batch in batches])


def accuracy(logits: Tensor, labels: Tensor | np.ndarray) -> float:
    """Share of clips whose largest logit is the label's; ValueError where that is no share: NaN, or not a label a clip."""
    labels = _as_numbers(labels)
    if logits.isnan().any() or labels.shape != logits.shape[:1]:
        found = f"{tuple(logits.shape)}, {int(logits.isnan().sum())} of them NaN, for labels {tuple(labels.shape)}"
        raise ValueError(f"logits must be numbers, a row for each label, got {found}.")
    return (logits.argmax(dim=1) == labels).double().mean().item()


def train(
    model: nn.Module,
    features: Tensor,
    labels: Tensor | np.ndarray,
    recipe: Recipe,
    *,
    num_classes: int,
    mean: float,
    std: float,
    folder: Path | None = None,
    after_epoch: Callable[[nn.Module, list[dict]], None] | None = None,
) -> list[dict]:
    """Fine-tune a model in place for exactly `recipe.epochs` epochs, and return its history, a dict an epoch.

    With a `folder`, each epoch ends in a checkpoint there. A run that was killed goes on from the newest whole one and ends
    with the same weights as one that was not, to the bit on a CPU. Several processes, by `accelerate launch`, share each
    batch; where the last batch of an epoch is short, Accelerate fills it up with other clips, which one process does not.

    Args:
        features: Log-mel spectrograms (clips, 1, n_mels, frames) before standardising, any float type.
        labels: (clips,), 0 to num_classes - 1.
        mean, std: Of the training clips, see `spectrograms.fit_statistics`.
        folder: Of this run alone, on a disk that all machines see. To go on in it takes the same recipe, data, and model from
            the same start: set the seed before you create one. Where the precision is "auto" it stays what it was at first.
        after_epoch: Called with the model, which computes in float32 here, and the history so far: to draw, or to measure.
    Raises:
        ValueError: If features, labels or settings cannot be trained with, or `folder` holds another configuration's
            checkpoints.
        FloatingPointError: If a loss, or a weight at the end of an epoch, is not finite; the last checkpoint stays.
        OSError: If a checkpoint cannot be written, or another process is training in `folder`.
        MemoryError: If a batch does not fit.
    """
    features = _pictures(features)
    labels = _checked(labels, features, num_classes)
    _check_settings(model, recipe, num_classes)
    _check_statistics(mean, std)
    set_seed(recipe.seed)
    begun = None if folder is None else checkpoints.begun_with(Path(folder), "precision")
    how = {"precision": recipe.precision, "begun": begun, "batch_size": recipe.batch_size, "seed": recipe.seed}
    with devices.accelerated(**how) as accelerator, devices.suited(model, accelerator.device):
        clips = TensorDataset(spectrograms.standardize(features, mean, std), labels)
        loader = DataLoader(clips, batch_size=recipe.batch_size, shuffle=True)
        optimizer = make_optimizer(model, recipe)
        scheduler = make_scheduler(optimizer, recipe, num_updates=recipe.epochs * len(loader))
        augment = make_augment(recipe, num_classes=num_classes, std=std)
        settings = {"precision": accelerator.mixed_precision, "num_classes": num_classes, "mean": mean, "std": std}
        own = {"forward": model.forward} if "forward" in vars(model) else {}
        trained, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        for left in ("forward", "_original_forward", "_is_accelerate_prepared"):
            vars(model).pop(left, None)  # the loop casts, and the model may be trained again, on another device
        vars(model).update(own)
        history = []
        with checkpoints.claim(folder, accelerator) as place:
            if place is not None:
                configuration = asdict(recipe) | settings | _fingerprints(model, features, labels)
                checkpoints.refuse_other(place, configuration, accelerator)
                history = checkpoints.resume(accelerator, place)
            for epoch in _progress(range(len(history), recipe.epochs), accelerator):
                # no draw depends on the epochs before, and no two processes draw the same
                set_seed(recipe.seed + 1000 * (epoch + 1) + accelerator.process_index)
                loader.set_epoch(epoch)
                start = time.perf_counter()
                where = {"epoch": epoch, "clip_norm": recipe.clip_norm}
                loss = train_one_epoch(trained, loader, optimizer, scheduler, augment, accelerator, **where)
                seconds = time.perf_counter() - start
                _check_weights(model, epoch)
                row = {"epoch": epoch + 1, "loss": _over_processes(loss, accelerator)}
                history.append(row | {"clips_per_second": len(labels) / seconds})
                if after_epoch is not None:
                    after_epoch(model, history)
                if place is not None:
                    checkpoints.save(accelerator, place, history)
    return history


def save_model(model: nn.Module, path: Path | str, notes: dict) -> None:
    """Keep a model in one file: its weights, and notes of all that a prediction needs. It can run no code.

    What shapes the model (timm's arguments, pooling, stride) is read off it and added to the notes, and so is its answer to
    some noise. The file gets its name once a model that is made from it gives that answer.

    Args:
        model: As `backbones.create` makes it; in any mode, on any device.
        path: Of the file, say `model.safetensors`.
        notes: At least class_names, log_mel (the settings of `spectrograms.LogMel`), seconds, mean and std, as JSON has them.
    Raises:
        ValueError: If a note is missing or no JSON, or if the model would come back as another one.
        OSError: If the file cannot be written.
    """
    if missing := {"class_names", "log_mel", "seconds", "mean", "std"} - notes.keys():
        raise ValueError(f"notes must also have {', '.join(sorted(missing))}: without, nobody can use the model.")
    if not hasattr(model, "pretrained_cfg") or model.num_classes != len(notes["class_names"]):
        raise ValueError(f"model must be timm's, with {len(notes['class_names'])} classes, got {type(model).__name__}.")
    shape = {"architecture": model.pretrained_cfg["architecture"], "model_args": get_model_args(model)}
    shape |= {"stride": model.patch_embed.proj.stride if patches.has_patches_and_table(model) else None}
    try:
        text = json.dumps(notes | shape | {"answer": _answer(model)})
    except TypeError as error:
        raise ValueError(f"notes must be text, numbers, lists and dicts ({error}).") from error
    with whole(Path(path)) as part:
        safetensors.save_model(model, str(part), metadata={"notes": text, "seal": _digest(text.encode())})
        load_model(part)


def load_model(path: Path | str) -> tuple[nn.Module, spectrograms.LogMel, dict]:
    """What `save_model` kept: the model in evaluation mode on the CPU, the log-mel front end, and the notes.

    Raises:
        ValueError: If it is no such file, or the model is not the one that was saved: its answer differs.
        OSError: If there is no such file.
    """
    name = Path(path).name
    try:
        with safe_open(path, "pt") as file:
            notes, seal = (file.metadata()[key] for key in ("notes", "seal"))
        if seal != _digest(notes.encode()):
            raise ValueError(f"{name} has notes that were altered after it was saved: take the file as it was made.")
        notes = json.loads(notes)
        log_mel, nothing = spectrograms.LogMel(**notes["log_mel"]), SimpleNamespace(weights=None)
        model = backbones.create(notes["architecture"], nothing, pretrained=False, **notes["model_args"])
        if notes["stride"]:
            patches.overlap(model, tuple(notes["stride"]))
        safetensors.load_model(model, path)
    except (SafetensorError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name} holds no model that save_model can give back ({reason}).") from error
    now, then = torch.tensor(_answer(model)), torch.tensor(notes["answer"])
    apart, rounding = (now - then).abs().max(), 1e-2 * (then[0] - then[1]).abs().max() + 1e-4 * then.abs().max()
    if not apart <= rounding:
        raise ValueError(f"{name} gives back another model, which answers up to {apart:.2g} apart.")
    return model.eval(), log_mel, notes


@torch.inference_mode()
def _answer(model: nn.Module) -> list[list[float]]:
    """Logits of two pictures of noise, always the same."""
    size, training = get_model_input_config(model)["input_size"], model.training
    noise = 2 * torch.rand(2, *size, generator=torch.Generator().manual_seed(0)) - 1
    logits = model.eval()(noise.to(next(model.parameters()))).tolist()
    model.train(training)
    return logits


def bootstrap_interval(correct: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """95 % interval of the accuracy on very many clips of the same kind.

    Args:
        correct: One bool, or mean over seeds, a clip.
        groups: One value a clip, such as its recording: clips of one group are drawn together. Without, one by one.
    """
    values, how = np.asarray(correct, dtype=float), {"n_resamples": 10_000, "method": "percentile", "rng": 0}
    if groups is None:
        return tuple(bootstrap((values,), np.mean, **how).confidence_interval)
    totals = pd.DataFrame({"right": values, "clips": 1.0}).groupby(np.asarray(groups)).sum().to_numpy().T
    share = lambda right, clips, axis: right.sum(axis=axis) / clips.sum(axis=axis)  # noqa: E731
    return tuple(bootstrap(totals, share, paired=True, **how).confidence_interval)


def _as_numbers(labels) -> Tensor:
    """Labels of any kind (list, array, column of a table) in their order; ValueError for names."""
    if isinstance(labels, Tensor):
        return labels
    array = np.asarray(labels)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"labels must be whole numbers, got {array.flat[0]}: class_names.index(name) is one.")
    return torch.tensor(array)


def _pictures(features) -> Tensor:
    """A tensor of any array, of the shape that a model reads."""
    features = torch.as_tensor(features)
    if features.ndim != 4:
        raise ValueError(f"features must be (clips, 1, n_mels, frames), got shape {tuple(features.shape)}.")
    return features


def _checked(labels: Tensor | np.ndarray, features: Tensor, num_classes: int) -> Tensor:
    """Labels as whole numbers, one for each clip, and clips whose values are numbers; ValueError for anything else."""
    given = _as_numbers(labels)
    labels, clips = given.long(), len(features)
    if labels.shape != (clips,) or not clips:
        raise ValueError(f"labels must be one for each of the {clips} clips, at least one, got {tuple(labels.shape)}.")
    if (labels != given).any():
        raise ValueError(f"labels must be whole numbers, got {given[labels != given][0].item():g}.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels must be 0 to {num_classes - 1}, got {labels.min().item()} to {labels.max().item()}.")
    if bad := torch.nonzero(~features.flatten(1).isfinite().all(dim=1)).flatten().tolist():
        raise ValueError(f"Clips {bad[:8]} of features hold values that are not finite: leave them out.")
    return labels


def _check_settings(model: nn.Module, recipe: Recipe, num_classes: int) -> None:
    if recipe.epochs < 1 or recipe.batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got {recipe.epochs} and {recipe.batch_size}.")
    for name, most in MOST.items():
        value = getattr(recipe, name)
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{name} must be 0 to {most}, got {value}.")
    if any(getattr(part, "distilled_training", False) for part in model.modules()):
        raise ValueError("The model gives a pair of logits in training: call set_distilled_training(False) on it.")
    if (outputs := getattr(model, "num_classes", num_classes)) != num_classes:
        raise ValueError(f"The model has {outputs} outputs for {num_classes} classes: create it with {num_classes=}.")


def _check_statistics(mean: float, std: float) -> None:
    if not (0 < std < math.inf and math.isfinite(mean)):
        raise ValueError(f"std must be above 0, got {std}, and mean finite, got {mean}: are all features the same?")


def _check_weights(model: nn.Module, epoch: int) -> None:
    """A loss may be finite when the gradient is not: such weights go into no checkpoint."""
    if bad := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise FloatingPointError(
            f"After epoch {epoch + 1}, {bad[0]} is not finite: lower lr, the last checkpoint stays."
        )


def _fingerprints(model: nn.Module, features: Tensor, labels: Tensor) -> dict[str, str]:
    """What must not change between the parts of one run, beside its settings."""
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    size = sum(parameter.numel() for parameter in model.parameters())
    weights = [weight.cpu().contiguous().view(-1).view(torch.uint8).numpy() for weight in model.state_dict().values()]
    return {
        "model": f"{type(model).__name__}, {size} parameters, {_digest(str(model).encode())}",
        "learning": f"{len(learning)} tensors, {_digest(' '.join(learning).encode())}",
        "start": _digest(*weights),
        "data": _digest(features.float().cpu().contiguous().numpy(), labels.cpu().contiguous().numpy()),
    }


def _digest(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _progress(epochs: range, accelerator: Accelerator) -> Iterable[int]:
    """A bar in a terminal; silent in notebooks, which draw their curves, and where nobody looks."""
    silent = None if accelerator.is_main_process else True  # None: unless it is a terminal
    return tqdm(epochs, desc="training", unit="epoch", delay=3, leave=False, disable=silent)


def _over_processes(loss: float, accelerator: Accelerator) -> float:
    """The mean over all processes, which see equal shares of the clips."""
    if accelerator.num_processes == 1:
        return loss
    return accelerator.reduce(torch.tensor(loss, device=accelerator.device), "mean").item()
