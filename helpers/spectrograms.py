"""Lesson 01: waveforms to log-mel spectrograms, their statistics, and augmentation.

Everything works on batches: waveforms (batch, samples), spectrograms (batch, 1, n_mels, frames). The functions that the
lesson teaches are the ones in its cells, line by line.
"""

import hashlib
import json
import math
import warnings
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import find_peaks
from torch import Generator, Tensor, nn
from torchaudio.transforms import MelSpectrogram
from tqdm.auto import tqdm

from helpers import clips


class LogMel(nn.Module):
    """Waveforms (batch, samples) to log-mel spectrograms (batch, 1, n_mels, frames): natural log of power, floor first.

    There are exactly `samples // hop_length` frames. Frame t is centred on sample `t * hop_length`; the last one of
    torchaudio, centred on the end of the clip, is left out, so that 5.12 s give 256 frames and not 257.

    Args:
        sample_rate: Hz.
        n_fft, win_length, hop_length: Samples. The window (Hann) is as long as the FFT unless said.
        n_mels: Mel bins, HTK scale, triangles without area norm.
        f_min, f_max: Band in Hz; the upper end is half the sample rate unless said.
        log_floor: Least power before the logarithm. Rounding to 16 bits alone leaves about 3e-8 in a bin of a 1024-point FFT.
    Raises:
        ValueError: If a setting is out of its range, or mel bins stay empty because they fall between the FFT's.
    Source: torchaudio's `MelSpectrogram`, whose numbers these are.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        n_fft: int = 1024,
        win_length: int | None = None,
        hop_length: int = 320,
        n_mels: int = 128,
        f_min: float = 20.0,
        f_max: float | None = None,
        log_floor: float = 1e-7,
    ):
        super().__init__()
        win_length = n_fft if win_length is None else win_length
        f_max = sample_rate / 2 if f_max is None else f_max
        sizes = {"sample_rate": sample_rate, "n_fft": n_fft, "win_length": win_length}
        sizes |= {"hop_length": hop_length, "n_mels": n_mels}
        for name, size in sizes.items():
            if size != int(size) or size <= 0:
                raise ValueError(f"{name} must be a whole number above 0, got {size}.")
        if n_fft < win_length:
            raise ValueError(f"n_fft must be at least win_length, got {n_fft=} and {win_length=}: raise n_fft to it.")
        if not 0 <= f_min < f_max <= sample_rate / 2:
            band = f"0 <= f_min < f_max <= sample_rate / 2 = {sample_rate / 2:g} Hz"
            raise ValueError(f"The band must be {band}, got {f_min=} and {f_max=}.")
        if not log_floor > 0:
            raise ValueError(f"log_floor must be above 0, the logarithm of silence would be -inf; got {log_floor}.")
        self.settings = sizes | {"f_min": f_min, "f_max": f_max, "log_floor": log_floor}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchaudio warns of empty filters and goes on; below they are an error
            self.mel = MelSpectrogram(sample_rate, n_fft, win_length, hop_length, f_min, f_max, n_mels=n_mels)
        if empty := (self.mel.mel_scale.fb.amax(dim=0) == 0).nonzero().flatten().tolist():
            rows = f"rows {str(empty[:8])[1:-1]}{' ...' * (len(empty) > 8)}"
            raise ValueError(
                f"{len(empty)} of {n_mels} mel bins fall between the FFT's, {sample_rate / n_fft:.1f} Hz apart, and stay empty "
                f"({rows}): raise n_fft above {n_fft}, lower n_mels, or raise f_min."
            )

    def forward(self, waveforms: Tensor) -> Tensor:
        hop_length, dtype = self.settings["hop_length"], getattr(waveforms, "dtype", "no type")
        if dtype != self.mel.mel_scale.fb.dtype:
            got = f"{type(waveforms).__name__} of {dtype}: torch.as_tensor(waveforms).float() makes one"
            raise TypeError(f"waveforms must be a tensor of {self.mel.mel_scale.fb.dtype}, got {got}.")
        shortest = max(hop_length, self.settings["n_fft"] // 2 + 1)  # what padding by reflection needs
        if waveforms.ndim != 2 or waveforms.shape[-1] < shortest:
            raise ValueError(
                f"waveforms must be (batch, samples) with at least {shortest} samples, got {tuple(waveforms.shape)}: "
                "add the batch axis with [None], bring short clips to length with clips.fix_length."
            )
        power = self.mel(waveforms)[..., : waveforms.shape[-1] // hop_length]
        return power.clamp(min=self.settings["log_floor"]).log().unsqueeze(1)


@torch.inference_mode()
def features(sounds: clips.Clips, log_mel: LogMel, *, seconds: float) -> Tensor:
    """Log-mel spectrograms of all clips, float16 (clips, 1, n_mels, frames), computed once and then read from the cache folder.

    Args:
        sounds: Clips of `log_mel`'s sample rate.
        seconds: Length that every clip is brought to (repeated or cropped).
    Raises:
        ValueError: If the sample rates differ.
        OSError: If the cache folder cannot be written.
    """
    rate, expected = sounds.sample_rate, log_mel.settings["sample_rate"]
    if rate != expected:
        raise ValueError(f"sounds have {rate} Hz and log_mel expects {expected} Hz: load both with one sample_rate.")
    num_samples = round(seconds * rate)
    digest = hashlib.sha256(json.dumps([log_mel.settings, num_samples], sort_keys=True).encode())
    digest.update(sounds.table.to_csv().encode())
    for clip in range(len(sounds)):  # one altered second, or another decoder: other features
        digest.update(zlib.crc32(sounds.waveforms(num_samples, [clip]).numpy()).to_bytes(4))
    path = clips.cache_folder() / f"{sounds.name}-{rate}Hz-log-mel-{digest.hexdigest()[:12]}.safetensors"

    def make() -> dict[str, Tensor]:
        device = next(log_mel.buffers()).device
        batches = torch.arange(len(sounds)).split(8)  # so few stay in a processor's cache: faster than 64 at a time
        batches = tqdm(batches, desc="log-mel", unit="batch", delay=3, leave=False)  # silent when it is quick
        waveforms = (sounds.waveforms(num_samples, batch.numpy()) for batch in batches)
        return {"log_mel": torch.cat([log_mel(some.to(device)).half().cpu() for some in waveforms])}

    return clips.cached(path, make)["log_mel"]


def fit_statistics(features: Tensor) -> tuple[float, float]:
    """Mean and standard deviation over all values: of the training clips only, see the lesson."""
    std, mean = torch.std_mean(features.float())
    return mean.item(), std.item()


def standardize(features: Tensor, mean: float, std: float) -> Tensor:
    """Centre on 0 with standard deviation 0.5, float32: what models with input mean and std of 0.5 were trained on.

    Source: AST, arXiv:2104.01778, which divides by twice the standard deviation.
    """
    return (features.float() - mean) / (2 * std)


def roll(x: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Turn each clip (batch, 1, n_mels, frames) around in time by its own random number of frames."""
    frames = x.shape[-1]
    shift = torch.randint(frames, (len(x), 1, 1, 1), generator=generator)
    source = (torch.arange(frames) - shift) % frames  # (batch, 1, 1, frames)
    return x.take_along_dim(source.to(x.device), dim=-1)


def gain(x: Tensor, *, std: float, max_db: float = 6.0, generator: Generator | None = None) -> Tensor:
    """Make each standardised clip louder or quieter by up to `max_db`. A factor on the waveform is a sum on its logarithm.

    Args:
        std: The one that `standardize` divided by, to turn decibels into standardised units.
    """
    db = max_db * (2 * torch.rand(len(x), 1, 1, 1, generator=generator) - 1)
    rise = db * math.log(10) / 10  # in ln power: 10 dB are ln 10
    return x + (rise / (2 * std)).to(x)


def random_bands(num_clips: int, size: int, max_width: int, generator: Generator | None = None) -> Tensor:
    """One random band for each clip, of 0 to `max_width` places: bool (num_clips, size)."""
    width = torch.randint(max_width + 1, (num_clips, 1), generator=generator)
    start = (torch.rand(num_clips, 1, generator=generator) * (size - width + 1)).long()
    place = torch.arange(size)
    return (start <= place) & (place < start + width)


def mask(x: Tensor, *, max_mels: int = 24, max_frames: int = 48, generator: Generator | None = None) -> Tensor:
    """Hide a band of mel bins and a span of frames in each standardised clip, its own ones, under 0, the training mean.

    Source: SpecAugment, arXiv:1904.08779, one mask of each kind.
    """
    mels = random_bands(len(x), x.shape[2], max_mels, generator)[:, None, :, None]
    frames = random_bands(len(x), x.shape[3], max_frames, generator)[:, None, None, :]
    return x.masked_fill((mels | frames).to(x.device), 0.0)


def mixup(
    x: Tensor, target: Tensor, *, num_classes: int, alpha: float = 0.3, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Blend each clip with another of the batch: mixed x, and soft targets (batch, num_classes).

    Args:
        target: Labels (batch,), integers.
        alpha: The larger, the more even the blends; each clip has its own weight from Beta(alpha, alpha).
    Source: mixup, arXiv:1710.09412.
    """
    seed = torch.randint(2**31, (), generator=generator).item()  # torch's own Beta takes no generator
    weight = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(x))).to(x)
    other = torch.randperm(len(x), generator=generator).to(x.device)
    soft = F.one_hot(target, num_classes).to(x)
    mixed = torch.lerp(x[other], x, weight[:, None, None, None])
    return mixed, torch.lerp(soft[other], soft, weight[:, None])


def count_tones_and_clicks(
    n_fft: int, hop_length: int, *, sample_rate: int = 16_000, gap_hz: float = 40, gap_ms: float = 10
) -> tuple[Tensor, int, int]:
    """Two tones `gap_hz` apart (1 kHz and above), a pause, then ten clicks, one every `gap_ms`, looked at through one window.

    Returns (power (bins, frames), tones told apart, clicks told apart). An event counts where a peak stands out of its
    surroundings by a tenth of the highest.
    """
    end, gap = 20 / gap_hz, gap_ms / 1000  # seconds
    time = torch.arange(round(end * sample_rate)) / sample_rate
    tones = 0.05 * sum(torch.sin(2 * math.pi * hz * time) for hz in (1000, 1000 + gap_hz))
    clicks = torch.zeros(round(30 * gap * sample_rate))
    clicks[(gap * sample_rate * torch.arange(10, 20)).round().long()] = 1
    how = {"window": torch.hann_window(n_fft), "pad_mode": "constant", "return_complex": True}
    power = torch.stft(torch.cat([tones, clicks]), n_fft, hop_length, **how).abs().square()
    seconds = torch.arange(power.shape[1]) * hop_length / sample_rate
    hz = torch.arange(power.shape[0]) * sample_rate / n_fft
    spectrum = power[:, (seconds > end / 4) & (seconds < 3 * end / 4)].sum(dim=1)[(hz - 1000).abs() < 4 * gap_hz]
    clicks = power[:, (seconds > end + 8.5 * gap) & (seconds < end + 20.5 * gap)][hz > 2000].sum(dim=0)
    return power, _count_peaks(spectrum), _count_peaks(clicks)


def _count_peaks(values: Tensor) -> int:
    if not len(values) or not values.max() > 0:
        return 0
    tilted = values / values.max() + torch.linspace(0, 1e-3, len(values))  # so that a plateau is one peak
    return len(find_peaks(F.pad(tilted, (1, 1)).numpy(), prominence=0.1)[0])
