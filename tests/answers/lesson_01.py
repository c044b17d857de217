"""Right answers to lesson 01 in several spellings."""

import math

import numpy as np
import torch
import torchaudio
from scipy.signal import get_window
from torchaudio.functional import melscale_fbanks, resample


def with_unfold(waveform, win_length, hop_length, n_fft):
    frames = waveform.unfold(0, win_length, hop_length) * torch.hann_window(win_length, periodic=False)
    return torch.fft.rfft(frames, n=n_fft).abs().square()


def with_a_loop(waveform, win_length, hop_length, n_fft):
    window = torch.hann_window(win_length, periodic=False)
    starts = range(0, len(waveform) - win_length + 1, hop_length)
    spectra = [torch.fft.rfft(waveform[s : s + win_length] * window, n_fft) for s in starts]
    return torch.stack([spectrum.real**2 + spectrum.imag**2 for spectrum in spectra])


def with_numpy(waveform, win_length, hop_length, n_fft):
    frames = np.lib.stride_tricks.sliding_window_view(waveform.numpy(), win_length)[::hop_length]
    return np.abs(np.fft.rfft(frames * get_window("hann", win_length, fftbins=False), n_fft)) ** 2


def shortest_window(sample_rate, gap_ms, gap_hz):
    return round(2.5 * sample_rate / gap_hz), int(gap_ms / 1000 * sample_rate / 4)


def power_of_two(sample_rate, gap_ms, gap_hz):
    return 2 ** math.ceil(math.log2(2.2 * sample_rate / gap_hz)), round(gap_ms * sample_rate / 5000)


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


def step_by_step(waveforms, mel, mean, std):
    waveforms = resample(waveforms, 32_000, 16_000)
    picture = mel(waveforms).clamp(min=1e-7).log()
    return ((picture - mean) / (2 * std)).unsqueeze(1)


def with_transforms(waveforms, mel, mean, std):
    halve = torchaudio.transforms.Resample(32_000, 16_000)
    picture = torch.log(torch.clamp_min(mel(halve(waveforms)), 1e-7))
    return (picture[:, None] - mean) / std / 2


def clip_by_clip(waveforms, mel, mean, std):
    pictures = [mel(resample(one, 2, 1)).numpy() for one in waveforms]
    return (np.log(np.maximum(np.stack(pictures), 1e-7))[:, None] - mean) / (2 * std)


RIGHT = {
    "power_frames": [with_unfold, with_a_loop, with_numpy],
    "choose": [shortest_window, power_of_two, from_the_clicks],
    "slaney_filters": [with_formulas, with_interpolation, with_torchaudio],
    "repaired": [step_by_step, with_transforms, clip_by_clip],
}
