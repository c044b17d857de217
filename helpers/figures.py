"""The drawings that would fill a lesson's cells: each takes data and mostly an `Axes`, and returns the `Figure`.

The colours are those of Okabe and Ito, told apart by colour-blind readers and in print; line styles differ as well.
The same thing has the same colour in all lessons.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from helpers import positions, spectrograms
from helpers.patches import left_over, token_grid

# name of a thing -> its colour in every lesson
COLORS = {
    "by hand": "#0072B2",
    "library": "#E69F00",
    "sum": "#0072B2",
    "mean": "#E69F00",
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


# lesson 01


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


def plot_pictures(
    pictures: dict, *, sample_rate: int, hop_length: int, label: str = "standardised", limits=(-1, 1.25)
) -> Figure:
    """Draw spectrograms {title: (n_mels, frames)}, two a row, with one scale and one colour bar for all."""
    rows = -(-len(pictures) // 2)
    share = {"sharex": True, "sharey": True, "squeeze": False}
    fig, panels = plt.subplots(rows, 2, figsize=(7, 0.5 + 1.7 * rows), layout="constrained", **share)
    plt.close(fig)
    for ax, (title, picture) in zip(panels.flat, pictures.items(), strict=False):
        timing = {"sample_rate": sample_rate, "hop_length": hop_length}
        plot_log_mel(picture, **timing, title=title, ax=ax, colorbar=False)
        ax.title.set_fontsize(9)
        ax.images[0].set_clim(*limits)
        ax.label_outer()
    for ax in panels.flat[len(pictures) :]:
        ax.remove()
    fig.colorbar(panels[0, 0].images[0], ax=panels, label=label)
    return fig


# lesson 02


def plot_filters(
    weight: Tensor, peak: Tensor | None = None, *, title: str, ax: Axes | None = None, columns: int = 8
) -> Figure:
    """Draw filters (filters, 1 or 3, height, width) as small pictures: middle grey is 0, full colour `peak` (filters,).

    Each filter has its own scale unless `peak` says otherwise.
    """
    ax = ax or new_axes(4, 2)
    peak = weight.abs().amax(dim=(1, 2, 3)) if peak is None else peak
    tiles = 0.5 + weight / (2 * peak.clamp(min=1e-12)[:, None, None, None])
    tiles = tiles.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)  # (filters, height, width, 3)
    edge = max(1, weight.shape[3] // 8)  # white lines between the filters
    tiles = F.pad(tiles, (0, 0, edge, edge, edge, edge), value=1.0)
    rows = tiles.split(columns)
    rows = [torch.cat([*row, *[torch.ones_like(row[0])] * (columns - len(row))], dim=1) for row in rows]
    ax.imshow(torch.cat(rows).clamp(0, 1).numpy(), interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    return ax.figure


def plot_coverage(n_mels: int, frames: int, patch_size: int, stride: int, ax: Axes | None = None) -> Figure:
    """How many patches see each point of a picture, how many tokens that makes, what they cost, and what no patch sees."""
    ax = ax or new_axes(8, 2.8)
    stride = min(stride, patch_size)  # a larger one would leave gaps
    size = (n_mels, frames)
    grid, (lost_mels, lost_frames) = token_grid(size, patch_size, stride), left_over(size, patch_size, stride)
    along = [torch.zeros(length) for length in size]
    for axis, seen in enumerate(along):
        for place in range(grid[axis]):
            seen[place * stride : place * stride + patch_size] += 1
    picture = ax.imshow(
        torch.outer(*along).numpy(),
        origin="lower",
        aspect="auto",
        extent=(0, frames, 0, n_mels),
        cmap=SIMILARITY_MAP,
        vmin=0,
        interpolation="nearest",
    )
    hatched = dict(facecolor="white", edgecolor="#D55E00", hatch="////", linewidth=0)
    if lost_mels:
        ax.add_patch(Rectangle((0, n_mels - lost_mels), frames, lost_mels, **hatched))
    if lost_frames:
        ax.add_patch(Rectangle((frames - lost_frames, 0), lost_frames, n_mels, **hatched))
    tokens, without = grid[0] * grid[1], token_grid(size, patch_size)
    attention = (tokens / (without[0] * without[1])) ** 2
    title = f"{grid[0]} x {grid[1]} = {tokens} tokens, attention x {attention:.1f} of no overlap"
    title += f"; never seen: {lost_mels} mel bins, {lost_frames} frames"
    title += f"\n({n_mels} x {frames}, patch {patch_size}, stride {stride})"
    ax.set(xlabel="frame", ylabel="mel bin", title=title)
    ax.title.set_fontsize(9)
    ax.figure.colorbar(picture, ax=ax, label="patches that see it", ticks=MaxNLocator(nbins=5, integer=True))
    return ax.figure


# lesson 03


def plot_similarity(cosine, *, title: str, tiles: tuple[int, int] = (7, 8), ax: Axes | None = None) -> Figure:
    """Draw (rows, cols, rows, cols) as a grid of maps: the tile of a place shows its cosine to all places.

    At most `tiles` places are drawn, evenly spread over the map. Row 0 is the lowest frequency and lies at the bottom.
    """
    ax = ax or new_axes(7, 4)
    rows, cols = cosine.shape[:2]
    chosen = [
        torch.linspace(0, side - 1, min(side, most)).round().int()
        for side, most in zip((rows, cols), tiles, strict=True)
    ]
    maps = F.pad(cosine[chosen[0]][:, chosen[1]], (0, 1, 0, 1), value=torch.nan)  # a gap behind each tile
    picture = maps.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)[:-1, :-1].numpy()
    image = ax.imshow(picture, origin="lower", vmin=-1, vmax=1, cmap=SIMILARITY_MAP, interpolation="nearest")
    for axis, places, side in ((ax.yaxis, chosen[0], rows), (ax.xaxis, chosen[1], cols)):
        middles = [tile * (side + 1) + (side - 1) / 2 for tile in range(len(places))]
        axis.set_ticks(middles, [str(place) for place in places.tolist()])
    ax.set(xlabel="column of the place (time)", ylabel="row of the place\n(frequency)", title=title)
    ax.tick_params(length=0, labelsize=8)
    ax.figure.colorbar(image, ax=ax, label="cosine", shrink=0.8)
    return ax.figure


def plot_resampled(
    pos_embed,
    *,
    old_grid: tuple[int, int],
    new_grid: tuple[int, int],
    num_prefix_tokens: int,
    mode: str,
    antialias: bool,
    ax: Axes | None = None,
) -> Figure:
    """Similarity maps of a table on another grid, with two numbers: length of its vectors and largest step between lines."""
    new = positions.resample_pos_embed(
        pos_embed,
        old_grid=old_grid,
        new_grid=new_grid,
        num_prefix_tokens=num_prefix_tokens,
        mode=mode,
        antialias=antialias,
    )
    places = {"grid": new_grid, "num_prefix_tokens": num_prefix_tokens}
    length = (
        new[0, num_prefix_tokens:].norm(dim=-1).mean() / pos_embed[0, num_prefix_tokens:].norm(dim=-1).mean()
    ).item()
    largest = [f"{step.max():.2f}" if len(step) else "none" for step in positions.steps(new, **places)]
    title = f"{new_grid[0]} x {new_grid[1]}, {mode}{', antialias' if antialias else ''}: length {length:.2f}\nlargest step in frequency {largest[0]}, in time {largest[1]}"
    return plot_similarity(positions.similarity(new, **places), title=title, tiles=(4, 5), ax=ax)


# lesson 04


def plot_folds(accuracies: dict, *, title: str, ax: Axes | None = None, apart: bool = False) -> Figure:
    """One row a method, {name: accuracies of the folds}: a dot for each fold, a stroke at their mean.

    With `apart` the first fold's dot stands highest in its row and the last one's lowest, so that equal values do not
    hide each other.
    """
    ax = ax or new_axes(height=0.9 + 0.32 * len(accuracies))
    for row, values in enumerate(reversed(accuracies.values())):
        middle = (len(values) - 1) / 2
        heights = [row + 0.09 * apart * (middle - fold) for fold in range(len(values))]
        ax.plot(values, heights, "o", color=COLORS["by hand"], alpha=0.5, markeredgewidth=0)
        ax.plot([values.mean()], [row], "|", color="black", markersize=16, markeredgewidth=2)
    ax.set(yticks=range(len(accuracies)), yticklabels=reversed(accuracies), xlabel="accuracy in one fold")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(-0.6, len(accuracies) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_map(
    points,
    labels,
    class_names,
    *,
    title: str,
    chosen: int | None = None,
    other: int | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Clips as points (clips, 2), a colour and a marker for each class; `chosen` is ringed, a line leads to `other`."""
    ax = ax or new_axes(6.4, 4.6)
    colors = "#000000 #E69F00 #56B4E9 #009E73 #7F6A00 #0072B2 #D55E00 #CC79A7 #777777 #882255".split()
    for label, name in enumerate(class_names):
        round_, place = divmod(label, 10)  # after ten classes the colours return, with other markers
        x, y = points[labels == label].T
        look = {"color": colors[place], "marker": "os^vDP<X>*"[(place + round_) % 10], "linestyle": "none"}
        ax.plot(x, y, label=name, markersize=6, alpha=0.75, markeredgewidth=0, **look)
    if chosen is not None:
        ax.plot(*points[chosen], "o", markersize=18, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2)
    if other is not None:
        ax.plot(*points[[chosen, other]].T, color="white", linewidth=4, zorder=4)
        ax.plot(*points[[chosen, other]].T, color="black", linewidth=2, zorder=5)
    ax.set(title=title, xlabel="first axis (no unit)", ylabel="second axis (no unit)", xticks=[], yticks=[])
    columns = -(-len(class_names) // 20)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False, ncols=columns)
    return ax.figure


def plot_two_heads(
    class_logits, dist_logits, class_names, *, weight: float, truth: str, ax: Axes | None = None
) -> Figure:
    """Probabilities of one clip (num_classes,) by both heads, and of the blend with `weight` on the distillation head.

    Only the three classes are drawn that either head finds most likely.
    """
    ax = ax or new_axes(6.4, 3.2)
    blend = (1 - weight) * class_logits + weight * dist_logits
    heads = {
        "class head": (class_logits, "vit"),
        "distillation head": (dist_logits, "convnet"),
        "blend": (blend, "deit"),
    }
    likely = torch.maximum(class_logits.softmax(dim=0), dist_logits.softmax(dim=0))
    shown = likely.topk(min(3, len(class_names))).indices.sort().values
    for row, (name, (logits, color)) in enumerate(heads.items()):
        places = [place + 0.27 * (row - 1) for place in range(len(shown))]
        ax.bar(
            places,
            logits.softmax(dim=0)[shown].tolist(),
            width=0.27,
            color=COLORS[color],
            label=name,
            hatch=(None, "//", "...")[row],
        )
    verdict = class_names[int(blend.argmax())]
    ax.set(
        ylim=(0, 1), ylabel="probability", title=f"{100 * weight:.0f} % distillation head: {verdict} (it is: {truth})"
    )
    ax.set_xticks(range(len(shown)), [class_names[index] for index in shown.tolist()])
    ax.legend(fontsize=8)
    return ax.figure


# lesson 05


def plot_training(curves: dict, *, epochs: int, chance: float, what: str) -> Figure:
    """Loss and accuracy after each epoch: {"pretrained" or "scratch": {"loss": [...], `what`, an accuracy: [per cent, ...]}}."""
    fig, panels = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained", sharex=True)
    plt.close(fig)
    for ax, name, unit in zip(panels, ("loss", what), ("", " %"), strict=True):
        drawn = {start: curve[name] for start, curve in curves.items() if curve[name]}
        for start, values in drawn.items():
            line = {"pretrained": "o-", "scratch": "s--"}[start]
            ax.plot(range(1, len(values) + 1), values, line, color=COLORS[start], label=start)
        ends = ", ".join(f"{start} {values[-1]:.{1 if unit else 2}f}{unit}" for start, values in drawn.items())
        ax.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))
        ax.set_title(f"{name}: {ends}", fontsize=10)
    panels[0].set_ylabel("training loss")
    panels[1].set(ylabel=f"{what} (%)", ylim=(0, 100))
    panels[1].axhline(chance, color=COLORS["random"], linestyle=":")
    if drawn:
        panels[1].legend(fontsize=8)
    return fig


def plot_starts(means: dict, *, title: str) -> Figure:
    """One row a model, {model: {"from scratch", "full" and perhaps "frozen": per cent}}; the line between says the gap."""
    ax = new_axes(7, 1.1 + 0.42 * len(means))
    styles = {"from scratch": ("s", COLORS["scratch"], "random weights, all trained")}
    styles["frozen"] = ("o", "white", "photographs, new head trained")
    styles["full"] = ("o", COLORS["pretrained"], "photographs, all trained")
    for row, found in enumerate(reversed(means.values())):
        ends = found["from scratch"], found["full"]
        ax.plot(ends, [row, row], color=COLORS["scratch"], zorder=1)
        ax.text(sum(ends) / 2, row + 0.2, f"{ends[1] - ends[0]:+.1f}", ha="center", fontsize=8)
        for name, value in found.items():
            marker, color, label = styles[name]
            edge = COLORS["pretrained"] if name == "frozen" else color
            ax.plot(value, row, marker, color=color, markeredgecolor=edge, markersize=8, label=label)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    ax.set(
        yticks=range(len(means)), yticklabels=reversed(means), xlabel="accuracy, mean of five folds (%)", xlim=(0, 103)
    )
    ax.set_ylim(-0.6, len(means) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_differences(found, *, what: str, title: str, ax: Axes | None = None) -> Figure:
    """A row for each line of `recorded.differences`, lowest at the bottom: a dot, hollow for one seed, with its 95 % interval."""
    ax = ax or new_axes(7, 0.9 + 0.24 * len(found))
    ax.axvline(0, color="black", linestyle=":", linewidth=1, zorder=0)
    color, white = COLORS["pretrained"], {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    beside = {"textcoords": "offset points", "va": "center", "fontsize": 8, "bbox": white}
    for row, line in enumerate(found.itertuples()):
        ax.plot([line.low, line.high], [row, row], color=color, linewidth=1.5)
        ax.plot(line.difference, row, "o", color=color, markerfacecolor=color if line.seeds > 1 else "white")
        ax.annotate(f"{line.difference + 0.0:+.1f}", (line.high, row), (6, 0), **beside)
    ax.margins(x=0.25)  # for the numbers
    ax.set(yticks=range(len(found)), yticklabels=found.index, xlabel=what)
    ax.set_ylim(-0.6, len(found) - 0.4)
    ax.set_title(title, loc="right", fontsize=10)
    return ax.figure


def plot_rates(rates: dict, *, title: str, ax: Axes | None = None) -> Figure:
    """Learning rate at each update for three layers, {name: rates (updates,)}, over four powers of ten."""
    ax = ax or new_axes()
    top = max(max(values) for values in rates.values())
    for (name, values), line, color in zip(rates.items(), ("-", "--", ":"), ("vit", "deit", "convnet"), strict=True):
        ax.plot(values, line, color=COLORS[color], linewidth=2, label=f"{name}: at most {max(values):.1e}")
    ax.set(yscale="log", ylim=(top / 1e4, 2 * top), xlabel="update", ylabel="learning rate")
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, loc="lower center")
    return ax.figure


def plot_calibration(bars, *, title: str, ax: Axes | None = None) -> Figure:
    """A bar for each (mean probability, accuracy, clips), and the diagonal on which a calibrated model's bars end."""
    ax = ax or new_axes(5, 3.2)
    ax.plot([0, 1], [0, 1], color=COLORS["random"], linestyle="--", label="calibrated")
    for probability, accuracy, count in bars:
        ax.bar(probability, accuracy, width=0.06, color=COLORS["pretrained"], edgecolor="white")
        ax.text(probability, accuracy + 0.02, int(count), ha="center", fontsize=8)
    ax.set(xlabel="probability that the model gives its answer", ylabel="share of right answers")
    ax.set(xlim=(0, 1), ylim=(0, 1.15))
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, loc="upper left")
    return ax.figure


def plot_learning_curve(accuracies: dict, *, what: str, chance: float, ax: Axes | None = None) -> Figure:
    """Mean and spread over the number of clips: {"pretrained" or "scratch": DataFrame of per cents, sizes x draws}."""
    ax, found = ax or new_axes(6.4, 3), []
    for name, drawn in accuracies.items():
        line, end = {"pretrained": ("o-", 0), "scratch": ("s--", -1)}[name]
        mean = drawn.mean(axis=1)
        ax.errorbar(drawn.index, mean, drawn.std(axis=1), fmt=line, capsize=3, color=COLORS[name], label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(drawn.index, drawn.index)
        found += [f"{name} {mean.iloc[end]:.0f} % at {mean.index[end]}"] if len(mean) else []
    ax.axhline(chance, color=COLORS["random"], linestyle=":")
    ax.set(xlabel="training clips a class", ylabel="accuracy (%)", ylim=(0, 118), yticks=range(0, 101, 20))
    ax.set_title(f"{what}: {', '.join(found) or 'not run yet'}", fontsize=10)
    ax.legend(fontsize=8, loc="upper left", ncols=2)
    return ax.figure
