"""Where am I? One call decides device, profile, models and sound, and says why.

    here = session.start()             # the best that this machine can have, every replacement said in a line
    here = session.start("laptop")     # exactly this profile, or an error that names what was tried

`python -m helpers.session` prints one block to paste into a bug report.

Environment variables. One that is set is looked at first and must be right; relative folders start at the project.

    PROFILE          offline, laptop, gpu or large: the profile that `start()` takes, as strictly as if it were named there
    AUDIO_DATA       the folder that holds `esc10/` and `esc50/`
    VISION_WEIGHTS   a folder of `<architecture>.<tag>.safetensors`, each with a `.json` of the same name where the model
                     needs more than timm's own configuration (`model_args`, `pretrained_cfg_overlay`)
    HF_HOME          the cache of the Hugging Face hub (its own variable)
    AUDIO_CACHE      decoded sound and features; without it, the user's cache folder
    RUNS             checkpoints and histories of training, may lie on a mounted drive; without it, `runs/` in the project
"""

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from packaging.requirements import Requirement
from torch import Tensor

from helpers import backbones, clips, esc, spectrograms

ROLES = {"vit": "ViT", "deit": "DeiT", "convnet": "ConvNet"}


@dataclass(frozen=True)
class Session:
    """What the lessons need to know about this machine. Sizes are (frequency, time); `img_size` is in mel bins and frames."""

    profile: str
    vit: str
    deit: str
    convnet: str
    dataset: str
    sample_rate: int  # Hz
    n_fft: int  # samples
    hop_length: int  # samples
    epochs: int
    seconds: float = 5.12
    n_mels: int = 128
    log_floor: float = 1e-2  # least power before the logarithm
    seed: int = 0
    device: torch.device = torch.device("cpu")
    data: Path | None = None
    weights: Path | None = None
    runs: Path = Path()

    @property
    def num_samples(self) -> int:
        """Samples in one clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def img_size(self) -> tuple[int, int]:
        """(mel bins, frames) of one clip."""
        return self.n_mels, self.num_samples // self.hop_length

    @property
    def log_mel(self) -> dict[str, int | float]:
        """The settings of `spectrograms.LogMel` for this profile."""
        return {name: getattr(self, name) for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "log_floor")}

    def load(self) -> "Data":
        """Sounds, pictures, labels and folds: all that the lessons from 02 on start with. Test fold 1 stays out of the statistics."""
        sounds = clips.load(self.dataset, sample_rate=self.sample_rate)
        log_mel = spectrograms.features(sounds, spectrograms.LogMel(**self.log_mel), seconds=self.seconds)
        train, test = sounds.split(test_fold=1)
        mean, std = spectrograms.fit_statistics(log_mel[train])
        labels, folds = (sounds.table[name].to_numpy() for name in ("label", "fold"))
        pictures = spectrograms.standardize(log_mel, mean, std)
        return Data(sounds, log_mel, pictures, torch.tensor(labels), folds, train, test, mean, std)


@dataclass(frozen=True, eq=False)
class Data:
    """The clips of a session as a vision model reads them.

    Attributes:
        sounds: Table, waveforms, credits.
        log_mel: Natural logarithm of power, (clips, 1, n_mels, frames).
        pictures: The same, standardised with `mean` and `std` of the training clips.
        labels: (clips,), whole numbers; `class_names` tells what they mean.
        folds: (clips,), the official ones.
        train, test: Indices of the clips outside and inside of fold 1.
    """

    sounds: clips.Clips
    log_mel: Tensor
    pictures: Tensor
    labels: Tensor
    folds: np.ndarray
    train: np.ndarray
    test: np.ndarray
    mean: float
    std: float

    @property
    def bark(self) -> Tensor:
        """The dog bark that runs through the series, (1, 1, n_mels, frames), standardised."""
        return self.pictures[[self.sounds.bark]]

    @property
    def class_names(self) -> list[str]:
        return self.sounds.class_names


# From the smallest to the largest: what one cannot have is replaced by what stands above it. `large` is taken by name only.
PROFILES = {
    "offline": Session(
        profile="offline",
        vit="vit_nano_patch16_224",
        deit="deit_nano_distilled_patch16_224",
        convnet="convnext_nano_patch4_224",
        dataset="synthetic",
        sample_rate=16_000,
        n_fft=1024,
        hop_length=320,
        epochs=5,
    ),
    "laptop": Session(
        profile="laptop",
        vit="vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        deit="deit_tiny_distilled_patch16_224.fb_in1k",
        convnet="mobilenetv2_100",
        dataset="esc10",
        sample_rate=32_000,
        n_fft=2048,
        hop_length=640,
        epochs=12,
    ),
}
PROFILES["gpu"] = replace(PROFILES["laptop"], profile="gpu", epochs=25)  # the same models and numbers, sooner
PROFILES["large"] = replace(
    PROFILES["gpu"],
    profile="large",
    vit="vit_base_patch16_224.augreg2_in21k_ft_in1k",
    deit="deit_base_distilled_patch16_224.fb_in1k",
    convnet="convnext_tiny",
    hop_length=320,
)
SOUND = ("dataset", "sample_rate", "n_fft", "hop_length")
SOURCES = clips.PLACES | {  # the places that `backbones.locate` and `clips.locate` name, in words
    "VISION_WEIGHTS": "from $VISION_WEIGHTS",
    "embedded": "embedded in the project",
    "network": "to be downloaded at first use",
}
MISSING = "\nin place of "
COSTS = {  # of profiles made for a GPU, without one
    "gpu": "\nwithout a CUDA device training takes twice as long as in laptop, and nothing else is gained",
    "large": "\nwithout a CUDA device each clip takes some thirty times as long as in laptop: hours a lesson",
}
WAY_OUT = "connect once, or put it into the folder that VISION_WEIGHTS (models) or AUDIO_DATA (sound) names"


def start(profile: str = "auto") -> Session:
    """Choose device, profile, models and data for this machine, and print the choice with its reasons.

    Args:
        profile: "offline", "laptop", "gpu" or "large": exactly that. "auto": `$PROFILE` where it is set; else "gpu" with CUDA and
            "laptop" without, and what cannot be had is replaced by the next smaller profile's, each time with a line.
    Raises:
        ValueError: If there is no such profile.
        OSError: If a named profile lacks a model or its data, or an environment variable names no folder.
    """
    here, lines = resolve(profile)
    for name, text in lines.items():
        if name not in ("DeiT", "ConvNet") or MISSING in text:  # each lesson has a ViT, and few the others
            print(f"{name:8} " + text.replace("\n", "\n" + 9 * " "))
    for name, verdict in _versions():
        if "WRONG" in verdict and not verdict.startswith("none"):  # who needs what is not there will say so
            print(f"{name:8} {verdict}")
    _show_figures()
    return here


def _show_figures() -> None:
    """In a notebook, draw below the cells although `$MPLBACKEND` names a backend that draws into files."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel") and os.environ.get("MPLBACKEND", "").lower() in ("agg", "cairo", "pdf", "ps", "svg"):
        shell.run_line_magic("matplotlib", "inline")


def resolve(profile: str = "auto") -> tuple[Session, dict[str, str]]:
    """The session that `start` returns, and its explanation as {what: why}, without printing."""
    device = _device()
    name, strict, reason = _choose(profile, device)
    data, weights = folder("AUDIO_DATA"), folder("VISION_WEIGHTS")
    backbones.hub_answers.cache_clear()  # there may be a network since the last start
    fault = f", since the CUDA device cannot be used ({fault})" if (fault := cuda_fault()) else ""
    chosen, lines = {}, {"profile": "", "device": describe(device) + fault}
    for role, title in ROLES.items():
        source, lines[title] = _first(role, name, strict, lambda model: backbones.locate(model, weights))
        chosen[role] = getattr(source, role)
    source, lines["sound"] = _first("dataset", name, strict, clips.locate)
    chosen |= {field: getattr(source, field) for field in SOUND}
    complete = not any(MISSING in text for text in lines.values())
    if name != "offline" and all(chosen[field] == getattr(PROFILES["offline"], field) for field in chosen):
        lines = {title: text.split(MISSING)[0] for title, text in lines.items()}
        name, reason = "offline", f"because nothing of {name} can be had here"
    lines["profile"] = f"{name}, {reason}{_advice(name, device)}"
    runs = esc.named_folder("RUNS") or esc.PROJECT / "runs"
    places = {"device": device, "data": data, "weights": weights, "runs": runs}
    here = replace(PROFILES[name], **chosen, **places)
    n_mels, frames = here.img_size
    clip = f"{here.seconds} s at {here.sample_rate / 1000:g} kHz"
    lines["picture"] = f"{n_mels} mel bins x {frames} frames, from {clip}"
    return here, lines if complete else lines | {"note": f"you can go on; for the original,\n{WAY_OUT}"}


def folder(variable: str) -> Path | None:
    """The folder that an environment variable names, or None where it is not set; relative ones start at the project.

    Raises:
        OSError: If there is no such folder.
    """
    path = esc.named_folder(variable)
    if path and not path.is_dir():
        raise OSError(
            f"${variable} is {os.environ[variable]!r}, which is no folder: correct it, or unset it to let the session choose."
        )
    return path


def _choose(profile: str, device: torch.device) -> tuple[str, bool, str]:
    """(profile, whether nothing may be replaced, why)."""
    reason = "as asked for in start()"
    if profile == "auto" and (profile := os.environ.get("PROFILE") or "auto") != "auto":
        reason = "as $PROFILE says"
    if profile == "auto":
        gpu = device.type == "cuda"
        return (
            ("gpu", False, "because there is a CUDA device")
            if gpu
            else ("laptop", False, "because there is no CUDA device")
        )
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of auto, {', '.join(PROFILES)}; got {profile!r}.")
    return profile, True, reason


def _first(field: str, profile: str, strict: bool, locate: Callable[[str], str | None]) -> tuple[Session, str]:
    """The largest profile, from `profile` down, whose `field` can be had, and one line on where that comes from."""
    names = list(PROFILES)[: list(PROFILES).index(profile) + 1]
    missing = []
    for candidate in [PROFILES[profile]] if strict else [PROFILES[name] for name in reversed(names)]:
        name = getattr(candidate, field)
        if name in missing:
            continue
        if place := locate(name):
            instead = f"{MISSING}{' and '.join(missing)}" if missing else ""
            return candidate, f"{name}, {SOURCES[place]}{instead}"
        missing.append(name)
    raise OSError(
        f"Profile {profile!r} needs {missing[0]}, which no local folder or cache holds and the network does not give: {WAY_OUT}."
    )


def _device() -> torch.device:
    if torch.cuda.is_available() and not cuda_fault():
        torch.backends.cudnn.allow_tf32 = False  # else convolutions on newer GPUs move logits by 7e-3
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def cuda_fault() -> str:
    """Why a CUDA device that is there cannot be used, or "": PyTorch has no kernels for older ones, and says so at the first."""
    try:
        return "" if not torch.cuda.is_available() or torch.ones(1, device="cuda").sum() == 1 else "it counts wrongly"
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]


def _advice(profile: str, device: torch.device) -> str:
    """What a profile costs without the GPU that it was made for, and where Colab has one."""
    if device.type == "cuda":
        return ""
    colab = "\nRuntime > Change runtime type > T4 GPU is several times as fast" if "google.colab" in sys.modules else ""
    return COSTS.get(profile, "") + colab


def describe(device: torch.device) -> str:
    """The kind of a device, and the name of a CUDA one: "cpu", "mps", "cuda, NVIDIA T4"."""
    return f"cuda, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else device.type


def report() -> str:
    """One block for a bug report: versions with OK or the way to mend them, device, profile and why, caches, free disk."""
    lines = [("python", platform.python_version()), ("system", platform.platform()), *_versions()]
    try:
        lines += resolve()[1].items()
    except (OSError, ValueError) as error:
        lines.append(("profile", f"WRONG: {error}"))
    for variable in ("PROFILE", "AUDIO_DATA", "VISION_WEIGHTS", "HF_HOME", "AUDIO_CACHE", "RUNS"):
        lines.append((f"${variable}", os.environ.get(variable, "not set")))
    for title, find in {
        "cache": clips.cache_folder,
        "runs": lambda: esc.named_folder("RUNS") or esc.PROJECT / "runs",
    }.items():
        try:
            existing = next(path for path in [find(), *find().parents] if path.exists())
            usable = "" if existing.is_dir() and os.access(existing, os.W_OK) else "WRONG: takes no files, "
            lines.append((title, f"{usable}{find()}, {shutil.disk_usage(existing).free / 1e9:.0f} GB free"))
        except OSError as error:
            lines.append((title, f"WRONG: {error}"))
    return "\n".join(f"{name:18} {text}".replace("\n", " ") for name, text in lines)


def _versions() -> list[tuple[str, str]]:
    """(package, version and verdict) for each dependency that pyproject.toml names."""
    project = tomllib.loads((esc.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = []
    for requirement in map(Requirement, project["dependencies"]):
        name, fits = requirement.name, partial(requirement.specifier.contains, prereleases=True)
        installed = next((one.version for one in metadata.distributions(name=name)), "none")
        loaded = str(getattr(sys.modules.get(name), "__version__", installed))
        mend = f"{installed} is installed" if fits(installed) else f'run python -m pip install "{requirement}"'
        lines.append((name, f"{loaded} OK" if fits(loaded) else f"{loaded} WRONG: {mend}, restart the kernel"))
    return lines


if __name__ == "__main__":
    print(report())
