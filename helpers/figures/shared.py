"""What all drawings share: colours, scales, axes that a cell shows once, and the picture of a log-mel spectrogram."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# said once for all drawings: a title states a finding in a whole line, so it is small
plt.rcParams.update({"axes.titlesize": 10, "legend.fontsize": 8})

# name of a thing -> its colour in every lesson
COLORS = {
    "by hand": "#0072B2",
    "library": "#E69F00",
    "sum": "#0072B2",
    "average": "#E69F00",
    "copy": "#56B4E9",
    "random": "#999999",
    "interpolated": "#0072B2",
    "cropped": "#E69F00",
    "trapped": "#D55E00",
    "vit": "#0072B2",
    "deit": "#009E73",
    "convnet": "#D55E00",
    "pretrained": "#0072B2",
    "scratch": "#999999",
    "waveform": "#333333",
}
LEVEL_MAP = "magma"  # levels: spectrograms, energies (dark is quiet; reads in grey)
SIMILARITY_MAP = "viridis"  # cosines and other similarities
SIGNED_MAP = "PuOr_r"  # values around zero: weights, differences
UPWARDS = {"origin": "lower", "aspect": "auto"}  # how `imshow` draws frequency over time: low ones at the bottom


def new_panels(rows: int, columns: int, size: tuple[float, float], **options) -> tuple[Figure, np.ndarray]:
    """A Figure (inches) that a cell shows once, as its value, and its Axes, as `plt.subplots` gives them."""
    figure, panels = plt.subplots(rows, columns, figsize=size, layout="constrained", **options)
    plt.close(figure)  # otherwise the inline backend shows it a second time
    return figure, panels


def new_axes(width: float = 6.4, height: float = 2.8) -> Axes:
    """One empty Axes in a Figure (inches) of its own."""
    return new_panels(1, 1, (width, height))[1]


def plot_log_mel(
    log_mel,
    *,
    sample_rate: int,
    hop_length: int,
    title: str,
    ax: Axes | None = None,
    label: str = "ln power",
    limits: tuple[float | None, float | None] = (None, None),
    colorbar: bool = True,
) -> Figure:
    """Draw one log-mel spectrogram (n_mels, frames) over seconds and mel bins, its colours between `limits`."""
    ax = ax or new_axes()
    extent = (0, log_mel.shape[-1] * hop_length / sample_rate, 0, log_mel.shape[-2])
    image = ax.imshow(log_mel, **UPWARDS, extent=extent, cmap=LEVEL_MAP, interpolation="nearest")
    image.set_clim(*limits)
    ax.set(xlabel="time (s)", ylabel="mel bin", title=title)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=label)
    return ax.figure


def plot_pictures(
    pictures: dict,
    *,
    sample_rate: int,
    hop_length: int,
    label: str = "standardised",
    limits=(-1, 1.25),
    columns: int = 2,
) -> Figure:
    """Draw spectrograms {title: (n_mels, frames)}, `columns` a row, with one scale and one colour bar for all."""
    rows = -(-len(pictures) // columns)
    fig, panels = new_panels(rows, columns, (7, 0.5 + 1.7 * rows), sharex=True, sharey=True, squeeze=False)
    look = {"sample_rate": sample_rate, "hop_length": hop_length, "limits": limits, "colorbar": False}
    for ax, (title, picture) in zip(panels.flat, pictures.items(), strict=False):
        plot_log_mel(picture, title=title, ax=ax, **look)
        ax.title.set_fontsize(9)
        ax.label_outer()
    for ax in panels.flat[len(pictures) :]:
        ax.remove()
    fig.colorbar(panels[0, 0].images[0], ax=fig.axes, label=label)
    return fig
