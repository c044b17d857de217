"""Checks of lesson 01: the power spectrogram, and a pipeline to repair."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from helpers.exercises import Verdict, grade


def check_power_spectrogram(answer: Any) -> Verdict:
    generator = torch.Generator().manual_seed(0)
    cases = [(torch.randn(n, generator=generator), f, h) for n, f, h in ((203, 40, 17), (150, 32, 16))]
    right = "That is a spectrogram: frequencies upwards, time to the right."
    mistakes = MISTAKES["power_spectrogram"]
    return grade(answer, reference=_power, mistakes=mistakes, right=right, cases=cases, atol=1e-4)


def _power(waveform, n_fft, hop_length, *, mode="reflect", window=torch.hann_window, power=2) -> Tensor:
    padding = (n_fft // 2, n_fft // 2) if mode else (0, 0)
    padded = F.pad(waveform[None], padding, mode=mode or "constant")[0]
    frames = padded.unfold(0, n_fft, hop_length) * window(n_fft)
    return torch.fft.rfft(frames).abs().T ** power


def _complex(waveform, n_fft, hop_length) -> Tensor:
    return torch.stft(waveform, n_fft, hop_length, window=torch.hann_window(n_fft), return_complex=True)


def _all_bins(waveform, n_fft, hop_length) -> Tensor:
    half = _power(waveform, n_fft, hop_length)
    return torch.cat([half, half[1 : n_fft - len(half) + 1].flip(0)])


def check_repaired(answer: Any) -> Verdict:
    generator = torch.Generator().manual_seed(0)
    mel = MelSpectrogram(16_000, 512, hop_length=300, n_mels=20, f_min=20.0)
    waveforms = 0.1 * torch.randn(3, 6_400, generator=generator)
    waveforms[1] += torch.sin(2 * math.pi * 15_000 / 32_000 * torch.arange(6_400))  # above the new Nyquist frequency
    waveforms[2] *= 0.1  # near the floor
    waveforms[2, :3_200] = 0  # silence
    right = "Filter, floor, given statistics: all three are mended."
    cases = [(waveforms, mel, -3.0, 4.0), (waveforms[:1], mel, -1.0, 2.5)]
    return grade(answer, reference=_repaired, mistakes=MISTAKES["repaired"], right=right, cases=cases, atol=1e-3)


def _repaired(waveforms, mel, mean, std, *, filtered=True, floor=1e-2, own=False, factor=2) -> Tensor:
    waveforms = resample(waveforms, 32_000, 16_000) if filtered else waveforms[:, ::2]
    picture = mel(waveforms).clamp(min=floor).log()
    if own:
        axes = (1, 2) if own == "clip" else (0, 1, 2)
        mean, std = picture.mean(dim=axes, keepdim=True), picture.std(dim=axes, keepdim=True)
    return ((picture - mean) / (factor * std)).unsqueeze(1)


def _added_floor(waveforms, mel, mean, std) -> Tensor:
    picture = (mel(resample(waveforms, 32_000, 16_000)) + 1e-2).log()
    return ((picture - mean) / (2 * std)).unsqueeze(1)


def _floor_after_log(waveforms, mel, mean, std) -> Tensor:
    picture = mel(resample(waveforms, 32_000, 16_000)).log().clamp(min=1e-2)
    return ((picture - mean) / (2 * std)).unsqueeze(1)


MISTAKES = {
    "power_spectrogram": {
        "The first frame starts at sample 0: pad `n_fft // 2` samples at both ends before you cut.": lambda x, n, h: (
            _power(x, n, h, mode=None)
        ),
        'The ends are padded with zeros: the recipe reflects them, `mode="reflect"`.': lambda x, n, h: _power(
            x, n, h, mode="constant"
        ),
        "The frames have no window: multiply each by the Hann window before the transform.": lambda x, n, h: _power(
            x, n, h, window=torch.ones
        ),
        "The window is a symmetric one: `torch.hann_window(n_fft)` as it is.": lambda x, n, h: _power(
            x, n, h, window=lambda length: torch.hann_window(length, periodic=False)
        ),
        "These are magnitudes: power is their square.": lambda x, n, h: _power(x, n, h, power=1),
        "The result is complex: take `abs()` and square.": _complex,
        "Frequency comes first here: (n_fft // 2 + 1, frames). Yours is the other way round.": lambda x, n, h: (
            _power(x, n, h).T
        ),
        "These are all `n_fft` frequencies: half of them mirror the others, `rfft` leaves them out.": _all_bins,
        "The frames do not overlap: a new one starts every `hop_length` samples.": lambda x, n, h: _power(x, n, n),
    },
    "repaired": {
        "One fault is left: samples are dropped without a filter, and 15,000 Hz comes back as 1,000 Hz.": lambda *a: (
            _repaired(*a, filtered=False)
        ),
        "One fault is left: silence has no logarithm, it needs the floor of 1e-2 first.": lambda *a: _repaired(
            *a, floor=0
        ),
        "One fault is left: mean and standard deviation are those of the batch, not those that are given.": lambda *a: (
            _repaired(*a, own=True)
        ),
        "One fault is left: mean and standard deviation are each clip's own, not those that are given.": lambda *a: (
            _repaired(*a, own="clip")
        ),
        "The floor comes after the logarithm: it must come before.": _floor_after_log,
        "The floor is added to every value: it is the least value, `clamp(min=1e-2)`.": _added_floor,
        "The floor is another one: 1e-2 is meant.": lambda *a: _repaired(*a, floor=1e-7),
        "You divide by the standard deviation once: twice is meant.": lambda *a: _repaired(*a, factor=1),
        "Two faults are left: the filter before samples are dropped, and the floor.": lambda *a: _repaired(
            *a, filtered=False, floor=0
        ),
        "Two faults are left: the filter before samples are dropped, and the statistics.": lambda *a: _repaired(
            *a, filtered=False, own=True
        ),
        "Two faults are left: the floor, and the statistics.": lambda *a: _repaired(*a, floor=0, own=True),
        "The faults are all still there: filter, floor, statistics.": lambda *a: _repaired(
            *a, filtered=False, floor=0, own=True
        ),
        "The channel axis is missing: (batch, 1, n_mels, frames) is expected.": lambda *a: _repaired(*a).squeeze(1),
    },
}
