"""Sliders over drawings: each explorer is one bank of ipywidgets over one function that draws.

What is explored stands as a static figure beside it, for readers of a printed or rendered page.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from IPython.display import display
from ipywidgets import Checkbox, Dropdown, FileUpload, IntSlider, interactive
from torch import Tensor
from torchaudio.functional import resample

from helpers import clips, figures, positions, spectrograms


def _slider(value: int, least: int, most: int, step: int = 1) -> IntSlider:
    """One that draws when it is let go."""
    return IntSlider(value, min=least, max=most, step=step, continuous_update=False)


def explore_resolution() -> interactive:
    """Two tones and ten clicks through a window of your choice."""

    def draw(n_fft: int, hop_length: int) -> None:
        display(figures.plot_windows([(n_fft, hop_length)]))

    return interactive(draw, n_fft=_slider(1024, 128, 2048, 64), hop_length=_slider(40, 20, 320, 20))


def augmented(
    waveform: Tensor,
    log_mel: spectrograms.LogMel,
    mean: float,
    std: float,
    *,
    roll_ms: int,
    gain_db: int,
    first_mel: int,
    mels: int,
    frames: int,
) -> tuple[Tensor, Tensor]:
    """One clip (samples,) rolled, made louder, masked: the sound (samples,) and what the model sees of it (n_mels, frames).

    Masked parts are silent in the sound and 0, the mean, in the picture.
    """
    settings = log_mel.settings
    sound = waveform.roll(round(roll_ms / 1000 * settings["sample_rate"])) * 10 ** (gain_db / 20)
    x = spectrograms.standardize(log_mel(sound[None]), mean, std)[0, 0]
    window, start = torch.hann_window(settings["n_fft"]), (x.shape[1] - frames) // 2
    stft = torch.stft(sound, settings["n_fft"], settings["hop_length"], window=window, return_complex=True)
    stft[log_mel.mel.mel_scale.fb[:, first_mel : first_mel + mels].sum(dim=1) > 0] = 0  # under the masked mel bins
    stft[:, start : start + frames] = 0
    x[first_mel : first_mel + mels] = 0
    x[:, start : start + frames] = 0
    return torch.istft(stft, settings["n_fft"], settings["hop_length"], window=window, length=len(sound)), x


def explore_augmentation(waveform: Tensor, log_mel: spectrograms.LogMel, mean: float, std: float) -> interactive:
    """Hear and see one clip rolled, louder, masked."""

    def draw(**settings: int) -> None:
        sound, x = augmented(waveform, log_mel, mean, std, **settings)
        timing = {name: log_mel.settings[name] for name in ("sample_rate", "hop_length")}
        look = {"label": "standardised", "limits": (-1, 1.25)}  # the same colours at every setting
        display(figures.plot_log_mel(x, **timing, **look, title="what the model sees"))
        sound = resample(sound, timing["sample_rate"], 16_000)  # half the bytes for the page at each move
        display(clips.player(sound, 16_000, "what you hear"))

    masks = {"first_mel": _slider(0, 0, 127), "mels": _slider(0, 0, 96, 4), "frames": _slider(0, 0, 128, 8)}
    return interactive(draw, roll_ms=_slider(0, 0, 2000, 100), gain_db=_slider(0, -30, 12, 3), **masks)


def explore_positions(pos_embed: Tensor, *, grid: tuple[int, int], num_prefix_tokens: int) -> interactive:
    """A position table on a grid, and by a way of interpolation, of your choice."""

    def draw(rows: int, cols: int, mode: str, antialias: bool) -> None:
        antialias = antialias and mode in positions.MODES[:2]  # the others know none
        options = {"old_grid": grid, "new_grid": (rows, cols), "mode": mode, "antialias": antialias}
        display(figures.plot_resampled(pos_embed, num_prefix_tokens=num_prefix_tokens, **options))

    way = {"mode": Dropdown(options=positions.MODES[:3]), "antialias": Checkbox(value=True)}
    return interactive(draw, rows=_slider(8, 2, 24), cols=_slider(16, 2, 64), **way)


def explore_map(points, neighbours, sounds: clips.Clips) -> interactive:
    """Walk over a map of the clips (clips, 2): see where a clip lies, hear it and its nearest neighbour."""
    labels = sounds.table["label"].to_numpy()

    def draw(clip: int) -> None:
        other = int(neighbours[clip])
        names = sounds.table["class_name"].iloc[[clip, other]].tolist()
        title = f"clip {clip}, {names[0]}; its nearest: clip {other}, {names[1]}"
        display(figures.plot_map(points, labels, sounds.class_names, chosen=clip, other=other, title=title))
        for index, name in zip((clip, other), names, strict=True):
            display(clips.player(sounds[index], sounds.sample_rate, f"clip {index}, {name}: {sounds.credits(index)}"))

    return interactive(draw, clip=_slider(sounds.bark, 0, len(sounds) - 1))


def explore_two_heads(class_logits: Tensor, dist_logits: Tensor, sounds: clips.Clips) -> interactive:
    """Blend DeiT's two heads, logits (clips, num_classes) each, for a clip of your choice."""

    def draw(clip: int, percent: int) -> None:
        pair = class_logits[clip], dist_logits[clip]
        truth = sounds.table["class_name"].iloc[clip]
        display(figures.plot_two_heads(*pair, sounds.class_names, weight=percent / 100, truth=truth))

    return interactive(draw, clip=_slider(sounds.bark, 0, len(class_logits) - 1), percent=_slider(50, 0, 100, 5))


def explore_coverage() -> interactive:
    """Tokens of a clip, their cost, and what no patch sees."""

    def draw(n_mels: int, frames: int, patch_size: int, stride: int) -> None:
        display(figures.plot_coverage(n_mels, frames, patch_size, stride))

    picture = {"n_mels": _slider(128, 64, 160, 2), "frames": _slider(512, 98, 1024, 2)}
    return interactive(draw, **picture, patch_size=Dropdown(options=(8, 16, 32), value=16), stride=_slider(16, 4, 32))


def explore_rates(rates: Callable[[float, float], dict]) -> interactive:
    """Learning rates of some layers, `rates(layer_decay, warmup)`, for a decay and a warm-up of your choice in percent."""

    def draw(layer_decay: int, warmup: int) -> None:
        title = f"layer decay {layer_decay / 100:.2f}, warm-up {warmup} % of the updates"
        display(figures.plot_rates(rates(layer_decay / 100, warmup / 100), title=title))

    return interactive(draw, layer_decay=_slider(75, 30, 100), warmup=_slider(10, 0, 50, 5))


def uploader() -> FileUpload:
    """A button that takes a sound file from this computer."""
    return FileUpload(accept="audio/*,video/webm", multiple=False, description="a sound of yours")


def uploaded(upload: FileUpload, folder: Path) -> Path | None:
    """The file that `uploader` took, written into `folder`; None where there is none yet. Nothing there is overwritten."""
    if not upload.value:
        return None
    values = upload.value.values() if isinstance(upload.value, dict) else upload.value  # ipywidgets 7, 8
    one = next(iter(values))
    name = Path(one.get("name") or one["metadata"]["name"]).name
    content = bytes(one["content"])
    path = Path(folder) / f"{hashlib.sha256(content).hexdigest()[:8]}_{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
