"""Drawings of lesson 01 and its deeper companion."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import spectrograms
from helpers.figures.shared import LEVEL_MAP, new_axes, plot_log_mel


def plot_tones_and_clicks(n_fft: int, hop_length: int, ax: Axes | None = None) -> Figure:
    """Two tones 40 Hz apart, then ten clicks 10 ms apart, at 16 kHz, as a window of `n_fft` samples shows them."""
    ax = ax or new_axes()
    sample_rate = 16_000
    power, tones, clicks = spectrograms.count_tones_and_clicks(n_fft, hop_length, sample_rate=sample_rate)
    decibels = 10 * (power / power.max()).clamp(min=1e-5).log10().numpy()
    step, width = hop_length / sample_rate, sample_rate / n_fft
    extent = (-step / 2, (power.shape[1] - 0.5) * step, -width / 2, (power.shape[0] - 0.5) * width)
    image = ax.imshow(decibels, origin="lower", aspect="auto", extent=extent, cmap=LEVEL_MAP, interpolation="nearest")
    title = f"window {n_fft} ({1000 * n_fft / sample_rate:.0f} ms), hop {hop_length} ({1000 * step:g} ms):\n{tones} of 2 tones, {clicks} of 10 clicks"
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)", xlim=(0.42, 0.74), ylim=(900, 1150), title=title)
    ax.figure.colorbar(image, ax=ax, label="dB relative to the peak")
    return ax.figure


def plot_standardized(x, *, sample_rate: int, hop_length: int, title: str) -> Figure:
    """Draw what a model sees of a clip (n_mels, frames); 0 is the mean of the training clips."""
    figure = plot_log_mel(x, sample_rate=sample_rate, hop_length=hop_length, title=title, label="standardised")
    figure.axes[0].images[0].set_clim(-1, 1.25)  # the same colours at every setting
    return figure
