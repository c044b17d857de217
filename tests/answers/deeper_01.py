"""Right answers to deeper/01 in several spellings."""

import math

import numpy as np
import torch
from torchaudio.functional import melscale_fbanks


def shortest_window(sample_rate, gap_ms, gap_hz):
    return round(2.5 * sample_rate / gap_hz), int(gap_ms / 1000 * sample_rate / 4)


def power_of_two(sample_rate, gap_ms, gap_hz):
    return 2 ** math.ceil(math.log2(2.2 * sample_rate / gap_hz)), round(gap_ms * sample_rate / 5000)


def every_sample(sample_rate, gap_ms, gap_hz):
    return round(2.5 * sample_rate / gap_hz), 1


def from_the_clicks(sample_rate, gap_ms, gap_hz):
    gap = gap_ms * sample_rate // 1000
    return torch.tensor(2 * gap).item(), gap // 3


def with_formulas(sample_rate, n_fft, n_mels):
    nyquist = sample_rate / 2
    mel = torch.linspace(0, 15 + 27 * math.log(nyquist / 1000) / math.log(6.4), n_mels + 2, dtype=torch.float64)
    edges = torch.where(mel < 15, 200 * mel / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))
    bins = torch.linspace(0, nyquist, n_fft // 2 + 1, dtype=torch.float64)[:, None]
    left, top, right = edges[:-2], edges[1:-1], edges[2:]
    filters = torch.minimum((bins - left) / (top - left), (right - bins) / (right - top)).clamp(min=0)
    return filters * 2 / (right - left)


def with_interpolation(sample_rate, n_fft, n_mels):
    nyquist = sample_rate / 2
    mel = np.linspace(0, 15 + 27 * np.log(nyquist / 1000) / np.log(6.4), n_mels + 2)
    edges = np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    bins = np.linspace(0, nyquist, n_fft // 2 + 1)
    rows = [np.interp(bins, edges[n : n + 3], [0, 2 / (edges[n + 2] - edges[n]), 0]) for n in range(n_mels)]
    return np.stack(rows, axis=1)


def with_torchaudio(sample_rate, n_fft, n_mels):
    return melscale_fbanks(n_fft // 2 + 1, 0.0, sample_rate / 2, n_mels, sample_rate, "slaney", "slaney")


RIGHT = {
    "choose": [shortest_window, power_of_two, from_the_clicks, every_sample],
    "slaney_filters": [with_formulas, with_interpolation, with_torchaudio],
}
