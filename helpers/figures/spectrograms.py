"""Drawings of lesson 01 and its deeper companion."""

import math

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from helpers import spectrograms
from helpers.figures.shared import COLORS, LEVEL_MAP, UPWARDS, new_axes, new_panels, plot_log_mel, plot_pictures


def plot_sound(waveform: Tensor, log_mel: Tensor, *, sample_rate: int, hop_length: int) -> Figure:
    """A waveform (samples,) above its log-mel spectrogram (n_mels, frames), over the same seconds."""
    _, (above, below) = new_panels(2, 1, (7, 4.2), sharex=True)
    above.plot(torch.arange(len(waveform)) / sample_rate, waveform, color=COLORS["waveform"], linewidth=0.4)
    above.set(ylabel="amplitude", title=f"When it is loud: {len(waveform):,} amplitudes")
    title = "And at which frequencies: {} x {} levels".format(*log_mel.shape)
    return plot_log_mel(log_mel, sample_rate=sample_rate, hop_length=hop_length, title=title, ax=below)


def plot_sweeps(waveforms: dict[str, Tensor], *, sample_rate: int) -> Figure:
    """Spectrograms of {name: waveform (samples,)} in Hz side by side; a title says what the last half second holds."""
    n_fft, hop_length, seconds = 512, 128, 0.5
    fig, panels = new_panels(1, len(waveforms), (7, 2.8), sharey=True)
    for ax, (name, waveform) in zip(panels, waveforms.items(), strict=True):
        stft = torch.stft(waveform, n_fft, hop_length, window=torch.hann_window(n_fft), return_complex=True)
        decibels = 20 * (stft.abs() / stft.abs().max()).clamp(min=1e-6).log10()  # (bins, frames)
        end = decibels[:, -round(seconds * sample_rate / hop_length) :]
        heard = "a tone that falls" if end[:, 0].argmax() > end[:, -1].argmax() else "a tone that rises"
        ending = f"the end is at {end.max():.0f} dB" if end.max() < -30 else f"at the end {heard}"
        extent = (0, len(waveform) / sample_rate, 0, sample_rate / 2)
        image = ax.imshow(decibels, **UPWARDS, extent=extent, cmap=LEVEL_MAP, vmin=-40)
        ax.set(xlabel="time (s)", ylabel="frequency (Hz)", title=f"{name}: {ending}")
        ax.label_outer()
    fig.colorbar(image, ax=panels, label="dB relative to the peak")
    return fig


def plot_windows(settings: list[tuple[int, int]]) -> Figure:
    """Two tones 40 Hz apart, then ten clicks 10 ms apart, at 16 kHz, through windows of several (n_fft, hop_length)."""
    sample_rate = 16_000
    fig, panels = new_panels(1, len(settings), (8, 2.7), sharey=True, squeeze=False)
    for ax, (n_fft, hop_length) in zip(panels[0], settings, strict=True):
        power, tones, clicks = spectrograms.count_tones_and_clicks(n_fft, hop_length, sample_rate=sample_rate)
        decibels = 10 * (power / power.max()).clamp(min=1e-5).log10()
        step, width = hop_length / sample_rate, sample_rate / n_fft
        extent = (-step / 2, (power.shape[1] - 0.5) * step, -width / 2, (power.shape[0] - 0.5) * width)
        image = ax.imshow(decibels, **UPWARDS, extent=extent, cmap=LEVEL_MAP, interpolation="nearest")
        title = f"window {1000 * n_fft / sample_rate:.0f} ms, hop {1000 * step:g} ms:\n"
        ax.set_title(title + f"{tones} of 2 tones, {clicks} of 10 clicks", fontsize=9)
        ax.set(xlabel="time (s)", ylabel="frequency (Hz)", xlim=(0.42, 0.74), ylim=(900, 1150))
        ax.label_outer()
    fig.colorbar(image, ax=panels, label="dB relative to the peak")
    return fig


def plot_leakage(tone: Tensor, windows: dict[str, Tensor], *, far: int) -> Figure:
    """The spectrum of one frame (n_fft,) under each of two windows; the title compares their levels at bin `far`."""
    ax, found = new_axes(7, 2.8), []
    for (name, window), (color, line) in zip(windows.items(), (("library", "--"), ("by hand", "-")), strict=True):
        power = torch.fft.rfft(tone * window).abs().square()
        decibels = 10 * (power / power.max()).log10()
        label = f"{name}: {1 - power.topk(2).values.sum() / power.sum():.0%} outside the two nearest bins"
        ax.plot(decibels, line, color=COLORS[color], label=label, linewidth=1)
        found.append(f"{name} {decibels[far]:.0f} dB")
    ax.set(xlim=(0, 4 * far / 3), ylim=(-175, 5), xlabel="bin", ylabel="dB relative to the peak")
    ax.set_title(f"Far from the tone, at bin {far}: {', '.join(found)}")
    ax.legend()
    return ax.figure


def plot_triangles(filters: dict[str, Tensor], *, sample_rate: int) -> Figure:
    """Filterbanks {scale: (n_freqs, n_mels)} over Hz, each in its own line; the title counts tops in the lowest quarter."""
    ax, found = new_axes(7, 2.3), []
    for (name, bank), (color, line) in zip(filters.items(), (("by hand", "-"), ("library", "--")), strict=False):
        hz = torch.linspace(0, sample_rate / 2, len(bank))
        drawn = bank.where(bank > 0, torch.nan)
        ax.plot(hz, drawn, line, color=COLORS[color], linewidth=1, label=[name] + ["_"] * (bank.shape[1] - 1))
        low = (hz[bank.argmax(dim=0)] < sample_rate / 8).sum()
        found.append(f"{name}: {low} of {bank.shape[1]} tops below {sample_rate / 8:,.0f} Hz")
    ax.set(xlabel="frequency (Hz)", ylabel="weight", title="; ".join(found))
    if len(filters) > 1:
        ax.legend(loc="upper right")
    return ax.figure


def plot_empty_filters(edges: Tensor, bins: Tensor) -> Figure:
    """Triangles over their edges (n_mels + 2,) in Hz and the FFT's bins as dotted lines; those that hold no bin are thick."""
    ax, count = new_axes(7, 2.3), 0
    for left, top, right in edges.unfold(0, 3, 1):
        empty = not ((bins > left) & (bins < right)).any()
        count += empty
        color, width = ("trapped", 3) if empty else ("waveform", 1)
        ax.plot([left, top, right], [0, 1, 0], color=COLORS[color], linewidth=width)
    ax.vlines(bins, 0, 1, color=COLORS["random"], linestyle=":", label="FFT bins")
    ax.set(xlim=(0, edges[-1] + 5), ylim=(-0.05, 1.3), xlabel="frequency (Hz)", ylabel="weight")
    ax.set_title(f"{count} of the first {len(edges) - 2} triangles hold no bin")
    ax.legend(loc="upper left")
    return ax.figure


def plot_levels(log_mel: Tensor, standardized: Tensor) -> Figure:
    """Where the values of many clips lie: as power (on a logarithmic count), and as a model sees them."""
    fig, (left, right) = new_panels(1, 2, (7, 2.6))
    power, seen = log_mel.flatten()[::50].float().exp(), standardized.flatten()[::50]
    counts, *_ = left.hist(power, bins=60, color=COLORS["waveform"], log=True)
    left.set(xlabel="power", ylabel="values (log scale)")
    left.set_title(f"power: {counts.max() / counts.sum():.1%} in the first of 60 bars")
    left.locator_params(axis="x", nbins=3)
    right.hist(seen, bins=60, color=COLORS["waveform"])
    right.axvspan(-1, 1, color=COLORS["copy"], alpha=0.3, zorder=0, label="a photograph's range")
    right.set(xlabel="logarithm, standardised", ylabel="values")
    right.set_title(f"standardised: {(seen.abs() <= 1).float().mean():.0%} within -1 to 1")
    right.legend(loc="upper right")
    return fig


def plot_changed(pictures: dict[str, Tensor], *, sample_rate: int, hop_length: int) -> Figure:
    """Log-mel spectrograms {what was done: (n_mels, frames)} on the first one's scale; a title names the loudest row."""
    first = next(iter(pictures.values()))
    limits = first.min().item(), first.max().item()
    titled = {f"{name}: loudest in row {one.exp().mean(dim=1).argmax()}": one for name, one in pictures.items()}
    return plot_pictures(titled, sample_rate=sample_rate, hop_length=hop_length, label="ln power", limits=limits)


def plot_augmentations(data, here) -> Figure:
    """The bark of a session's data rolled, 10 dB quieter, masked, and mixed with a clip of another class.

    Args:
        data: What `session.Session.load` gives; stays as it is.
        here: The session: its seed decides the draws, so that two calls draw the same.
    """
    draws = {"generator": Generator().manual_seed(here.seed)}
    bark = data.sounds.bark
    other = int((data.labels != data.labels[bark]).nonzero()[0])
    pair, x, classes = [bark, other], data.pictures[[bark]], len(data.class_names)
    mixed, soft = spectrograms.mixup(data.pictures[pair], data.labels[pair], num_classes=classes, alpha=4.0, **draws)
    own, name = soft[0, data.labels[bark]].item(), data.class_names[data.labels[other]]
    rolled = spectrograms.roll(x, **draws)
    frames = next(count for count in range(x.shape[3]) if torch.equal(rolled, x.roll(count, dims=3)))
    shift = -math.log(10) / (2 * data.std)  # of 10 dB less, in standardised units
    masked = spectrograms.mask(x, max_mels=48, max_frames=96, **draws)
    pictures = {
        f"rolled by {frames} frames": rolled[0, 0],
        f"10 dB quieter: {shift:+.2f} everywhere": x[0, 0] + shift,
        f"masked: {(masked == 0).float().mean():.0%} hidden": masked[0, 0],
        f"mixup: {own:.0%} bark, {1 - own:.0%} {name}": mixed[0, 0],
    }
    return plot_pictures(pictures, sample_rate=here.sample_rate, hop_length=here.hop_length)
