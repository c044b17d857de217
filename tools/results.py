"""`python -m tools.results` writes the tables of README.md from the recorded runs in `experiments/*.csv`."""

from pathlib import Path

import pandas as pd

from experiments import records
from helpers import recorded
from helpers.fine_tuning import bootstrap_interval

README = Path(__file__).resolve().parents[1] / "README.md"
START, END = "<!-- results -->\n", "<!-- end of results -->"
VIT, CONVNET = "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "mobilenetv2_100"
MODELS = {
    "ViT-Tiny": ("esc10", VIT),
    "MobileNetV2": ("esc10", CONVNET),
    "nano ViT (included)": ("nano", "vit_nano_patch16_224"),
}
STARTS = {
    "from random weights": "variant == 'full' and not pretrained",
    "new head alone": "variant == 'frozen'",
    "all layers": "variant == 'full' and pretrained",
}
NOT_RUN = ("nano", "new head alone")
OVERLAP = "without layer decay, patches that overlap"
BEST = {  # what is done: experiment, variant, model
    "ViT-Tiny and MobileNetV2, averaged": ("averaged", "averaged", f"{VIT} + {CONVNET}"),
    "ViT-Tiny, one learning rate for all layers, patches that overlap": ("recipe", OVERLAP, VIT),
    "the same with 50 epochs": ("recipe", f"{OVERLAP}, 50 epochs", VIT),
    "three seeds of that, averaged": ("averaged", f"three seeds averaged, {OVERLAP}, 50 epochs", VIT),
    "five seeds of that, averaged": ("averaged", f"five seeds averaged, {OVERLAP}, 50 epochs", VIT),
}


def tables() -> str:
    """Mean accuracy on the five official folds of ESC-10: from where models start, and the best results."""
    lines = [f"| accuracy on ESC-10, % | {' | '.join(STARTS)} |", "|---|---|---|---|"]
    for name, (experiment, model) in MODELS.items():
        rows = recorded.read(experiment)
        rows = rows[rows["model"] == model]
        cells = [_accuracy(rows.query(how)) if (experiment, start) != NOT_RUN else "" for start, how in STARTS.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| best results | accuracy, % | minutes a fold |", "|---|---|---|", "| human listeners | 95.7 | |"]
    for what, (experiment, variant, model) in BEST.items():
        rows = recorded.read(experiment)
        rows = rows[(rows["variant"] == variant) & (rows["model"] == model)]
        lines.append(f"| {what} | {_accuracy(rows)} | {records.summary(rows)['minutes'].iloc[0]:.0f} |")
    return "\n".join(lines) + "\n"


def _accuracy(rows: pd.DataFrame) -> str:
    """Mean over folds and seeds with its 95 % interval over clips, and with the spread over seeds where there are several.

    Raises:
        ValueError: If there are no rows, or a fold is missing.
    """
    line = records.summary(rows)
    if len(line) != 1 or line["folds"].iloc[0] != 5:
        raise ValueError(f"a cell of README.md needs one kind of run on five folds, got {len(rows)} rows.")
    line, bounds = line.iloc[0], map(recorded.percent, bootstrap_interval(recorded.by_clip(recorded.balanced(rows))))
    seeds = f" ± {100 * line['seed_spread']:.1f}" if line["seeds"] > 1 else ""
    return f"**{recorded.percent(line['accuracy'])}**{seeds} ({'–'.join(bounds)})"


def with_tables(text: str) -> str:
    before, rest = text.split(START)
    return before + START + tables() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
