"""Right answers to lesson 01 in several spellings."""

import numpy as np
import torch
import torchaudio
from scipy.signal import get_window
from torchaudio.functional import resample


def with_unfold(waveform, n_fft, hop_length):
    padded = torch.nn.functional.pad(waveform[None], (n_fft // 2, n_fft // 2), mode="reflect")[0]
    frames = padded.unfold(0, n_fft, hop_length) * torch.hann_window(n_fft)
    return torch.fft.rfft(frames).abs().square().T


def with_a_loop(waveform, n_fft, hop_length):
    half = n_fft // 2
    padded = torch.cat([waveform[1 : half + 1].flip(0), waveform, waveform[-half - 1 : -1].flip(0)])
    columns = []
    for start in range(0, len(padded) - n_fft + 1, hop_length):
        spectrum = torch.fft.rfft(padded[start : start + n_fft] * torch.hann_window(n_fft))
        columns.append(spectrum.real**2 + spectrum.imag**2)
    return torch.stack(columns, dim=1)


def with_numpy(waveform, n_fft, hop_length):
    padded = np.pad(waveform.numpy(), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    return np.abs(np.fft.rfft(frames * get_window("hann", n_fft))).T ** 2


def with_stft(waveform, n_fft, hop_length):
    window = torch.hann_window(n_fft)
    return torch.stft(waveform, n_fft, hop_length, window=window, return_complex=True).abs() ** 2


def with_all_frequencies(waveform, n_fft, hop_length):
    padded = torch.nn.functional.pad(waveform[None], (n_fft // 2, n_fft // 2), mode="reflect")[0]
    frames = padded.unfold(0, n_fft, hop_length) * torch.hann_window(n_fft)
    spectrum = torch.fft.fft(frames, dim=1)[:, : n_fft // 2 + 1]
    return (spectrum * spectrum.conj()).real.T


def step_by_step(waveforms, mel, mean, std):
    waveforms = resample(waveforms, 32_000, 16_000)
    picture = mel(waveforms).clamp(min=1e-2).log()
    return ((picture - mean) / (2 * std)).unsqueeze(1)


def with_transforms(waveforms, mel, mean, std):
    halve = torchaudio.transforms.Resample(32_000, 16_000)
    picture = torch.log(torch.clamp_min(mel(halve(waveforms)), 1e-2))
    return (picture[:, None] - mean) / std / 2


def clip_by_clip(waveforms, mel, mean, std):
    pictures = [mel(resample(one, 2, 1)).numpy() for one in waveforms]
    return (np.log(np.maximum(np.stack(pictures), 1e-2))[:, None] - mean) / (2 * std)


RIGHT = {
    "power_spectrogram": [with_unfold, with_a_loop, with_numpy, with_stft, with_all_frequencies],
    "repaired": [step_by_step, with_transforms, clip_by_clip],
}
