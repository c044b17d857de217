"""What all drawings share: colours, scales, axes that a cell shows once, and the picture of a log-mel spectrogram."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


def new_axes(width: float = 6.4, height: float = 2.8) -> Axes:
    """One empty Axes in a Figure (inches) that a cell shows once, as its value."""
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    plt.close(figure)  # otherwise the inline backend shows it a second time
    return axes


def plot_log_mel(
    log_mel,
    *,
    sample_rate: int,
    hop_length: int,
    title: str,
    ax: Axes | None = None,
    label: str = "ln power",
    colorbar: bool = True,
) -> Figure:
    """Draw one log-mel spectrogram (n_mels, frames) over seconds and mel bins."""
    ax = ax or new_axes()
    seconds = log_mel.shape[-1] * hop_length / sample_rate
    extent = (0, seconds, 0, log_mel.shape[-2])
    image = ax.imshow(log_mel, origin="lower", aspect="auto", extent=extent, cmap=LEVEL_MAP, interpolation="nearest")
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
    share = {"sharex": True, "sharey": True, "squeeze": False}
    fig, panels = plt.subplots(rows, columns, figsize=(7, 0.5 + 1.7 * rows), layout="constrained", **share)
    plt.close(fig)
    for ax, (title, picture) in zip(panels.flat, pictures.items(), strict=False):
        timing = {"sample_rate": sample_rate, "hop_length": hop_length}
        plot_log_mel(picture, **timing, title=title, ax=ax, colorbar=False)
        ax.title.set_fontsize(9)
        ax.images[0].set_clim(*limits)
        ax.label_outer()
    for ax in panels.flat[len(pictures) :]:
        ax.remove()
    fig.colorbar(panels[0, 0].images[0], ax=fig.axes, label=label)
    return fig
