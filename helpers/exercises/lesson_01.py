"""Checks of lesson 01: frames and spectra, window and hop, a filterbank, a pipeline to repair."""

import math
from typing import Any

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks, resample
from torchaudio.transforms import MelSpectrogram

from helpers.exercises import TODO, Verdict, grade
from helpers.spectrograms import count_tones_and_clicks


def check_power_frames(answer: Any) -> Verdict:
    generator = torch.Generator().manual_seed(0)
    cases = [(torch.randn(n, generator=generator), w, h, f) for n, w, h, f in ((203, 40, 17, 64), (150, 30, 30, 30))]
    right = "Your frames are those of a speech toolkit."
    return grade(
        answer, reference=_power_frames, mistakes=MISTAKES["power_frames"], right=right, cases=cases, atol=1e-4
    )


def _power_frames(waveform, win_length, hop_length, n_fft, *, window=None, power=2) -> Tensor:
    frames = waveform.unfold(0, win_length, hop_length)
    window = torch.hann_window(win_length, periodic=False) if window is None else window
    return torch.fft.rfft(frames * window, n=n_fft).abs() ** power


def _padded_frames(waveform, win_length, hop_length, n_fft, *, window=None) -> Tensor:
    half = win_length // 2
    padded = torch.nn.functional.pad(waveform[None], (half, half), mode="reflect")[0]
    return _power_frames(padded, win_length, hop_length, n_fft, window=window)


def check_choose(answer: Any) -> Verdict:
    """Every pair of numbers that keeps ten clicks and two tones apart is right, so it is tried and not compared."""
    for sample_rate, gap_ms, gap_hz in ((16_000, 40, 50), (32_000, 25, 80), (16_000, 4, 500)):
        try:
            chosen = answer(sample_rate, gap_ms, gap_hz)
            if chosen is None or chosen is ...:
                return TODO
            n_fft, hop_length = chosen
            whole = n_fft == int(n_fft) and hop_length == int(hop_length)
        except Exception as error:
            return Verdict("wrong", f"Your code raised `{type(error).__name__}: {error}`.")
        if not whole or not 0 < hop_length <= sample_rate or not 2 <= n_fft <= sample_rate:
            return Verdict("wrong", NOT_SAMPLES)
        _, tones, clicks = count_tones_and_clicks(
            int(n_fft), int(hop_length), sample_rate=sample_rate, gap_hz=gap_hz, gap_ms=gap_ms
        )
        if tones < 2:
            return Verdict("wrong", TONES_MERGE)
        if clicks < 10:
            return Verdict("wrong", HOP_TOO_LONG if n_fft < 2.5 * gap_ms / 1000 * sample_rate else CLICKS_MERGE)
    return Verdict("right", "Both stay apart in all three cases.")


NOT_SAMPLES = (
    "`n_fft` and `hop_length` are whole numbers of samples, at least 2 and 1 and at most one second: mind ms and Hz."
)
TONES_MERGE = "The two tones are one line: the bins, `sample_rate / n_fft` Hz, are too wide for `gap_hz`."
CLICKS_MERGE = "The clicks are one block: the window is longer than two and a half of their distances."
HOP_TOO_LONG = "Clicks are missed although the window is short enough: the hop must be at most half of their distance."


def check_slaney_filters(answer: Any) -> Verdict:
    right = "That is librosa's filterbank: every row catches about the same power of white noise."
    cases = [(16_000, 512, 20), (22_050, 1024, 40)]
    return grade(
        answer, reference=_slaney_filters, mistakes=MISTAKES["slaney_filters"], right=right, cases=cases, atol=1e-5
    )


def _slaney_filters(sample_rate, n_fft, n_mels, *, scale="slaney", norm="slaney", f_min=0.0) -> Tensor:
    return melscale_fbanks(n_fft // 2 + 1, f_min, sample_rate / 2, n_mels, sample_rate, norm=norm, mel_scale=scale)


def check_repaired(answer: Any) -> Verdict:
    generator = torch.Generator().manual_seed(0)
    mel = MelSpectrogram(16_000, 512, hop_length=300, n_mels=20, f_min=20.0)
    waveforms = 0.1 * torch.randn(3, 6_400, generator=generator)
    waveforms[1] += torch.sin(2 * math.pi * 15_000 / 32_000 * torch.arange(6_400))  # above the new Nyquist frequency
    waveforms[2] *= 3e-4  # near the floor
    waveforms[2, :3_200] = 0  # silence
    right = "Filter, floor, given statistics: all three are mended."
    cases = [(waveforms, mel, -3.0, 4.0), (waveforms[:1], mel, -1.0, 2.5)]
    return grade(answer, reference=_repaired, mistakes=MISTAKES["repaired"], right=right, cases=cases, atol=1e-3)


def _repaired(waveforms, mel, mean, std, *, filtered=True, floor=1e-7, own=False, factor=2) -> Tensor:
    waveforms = resample(waveforms, 32_000, 16_000) if filtered else waveforms[:, ::2]
    picture = mel(waveforms).clamp(min=floor).log()
    if own:
        mean, std = picture.mean(), picture.std()
    return ((picture - mean) / (factor * std)).unsqueeze(1)


def _floor_after_log(waveforms, mel, mean, std) -> Tensor:
    picture = mel(resample(waveforms, 32_000, 16_000)).log().clamp(min=1e-7)
    return ((picture - mean) / (2 * std)).unsqueeze(1)


MISTAKES = {
    "power_frames": {
        "This is section 2's version: padded, with a periodic window, frequencies first.": lambda x, w, h, n: (
            _padded_frames(x, n, h, n, window=torch.hann_window(n)).T
        ),
        "The result is complex: take `abs()` and square.": lambda x, w, h, n: torch.fft.rfft(
            x.unfold(0, w, h) * torch.hann_window(w, periodic=False), n=n
        ),
        "There are too many frames: nothing is padded here, only whole frames count.": _padded_frames,
        "The frames have no window: multiply each by the Hann window before the transform.": lambda x, w, h, n: (
            _power_frames(x, w, h, n, window=torch.ones(w))
        ),
        "The window is the periodic one; this toolkit's is symmetric: `periodic=False`.": lambda x, w, h, n: (
            _power_frames(x, w, h, n, window=torch.hann_window(w))
        ),
        "These are magnitudes: power is their square.": lambda x, w, h, n: _power_frames(x, w, h, n, power=1),
        "Time comes first here: (frames, frequencies). Yours is the other way round.": lambda x, w, h, n: (
            _power_frames(x, w, h, n).T
        ),
        "The frames are transformed without the zeros behind them: `rfft(frames, n=n_fft)`.": lambda x, w, h, n: (
            _power_frames(x, w, h, w)
        ),
        "The frames are `n_fft` samples long: cut `win_length`, the zeros come after.": lambda x, w, h, n: (
            _power_frames(x, n, h, n)
        ),
    },
    "choose": {
        NOT_SAMPLES: lambda sample_rate, gap_ms, gap_hz: (
            int(2.5 * sample_rate / gap_hz),
            int(gap_ms * sample_rate / 4),
        ),
        TONES_MERGE: lambda sample_rate, gap_ms, gap_hz: (sample_rate // gap_hz, 20),
        CLICKS_MERGE: lambda sample_rate, gap_ms, gap_hz: (16 * sample_rate // gap_hz, 20),
        HOP_TOO_LONG: lambda sample_rate, gap_ms, gap_hz: (
            int(2.5 * sample_rate / gap_hz),
            int(gap_ms / 1000 * sample_rate),
        ),
    },
    "slaney_filters": {
        "The scale is HTK's: use the two formulas of the exercise.": lambda s, f, n: _slaney_filters(
            s, f, n, scale="htk"
        ),
        "The triangles all have height 1: divide each by half its width in Hz.": lambda s, f, n: _slaney_filters(
            s, f, n, norm=None
        ),
        "Scale and height are both still HTK's: start from the two formulas.": lambda s, f, n: _slaney_filters(
            s, f, n, scale="htk", norm=None
        ),
        "The lowest edge is not 0 Hz.": lambda s, f, n: _slaney_filters(s, f, n, f_min=20.0),
        "The axes are swapped: (n_fft // 2 + 1, n_mels) is expected.": lambda s, f, n: _slaney_filters(s, f, n).T,
        "Each triangle is divided by its whole width: half of it is meant.": lambda s, f, n: (
            _slaney_filters(s, f, n) / 2
        ),
    },
    "repaired": {
        "One fault is left: samples are dropped without a filter, and 15,000 Hz comes back as 1,000 Hz.": lambda *a: (
            _repaired(*a, filtered=False)
        ),
        "One fault is left: silence has no logarithm, it needs the floor of 1e-7 first.": lambda *a: _repaired(
            *a, floor=0
        ),
        "One fault is left: mean and spread are those of the batch, not those that are given.": lambda *a: _repaired(
            *a, own=True
        ),
        "The floor comes after the logarithm: it must come before.": _floor_after_log,
        "The spread is divided by once: twice is meant.": lambda *a: _repaired(*a, factor=1),
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
