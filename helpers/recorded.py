"""Recorded runs: one row a training in `experiments/*.csv`, for what takes longer than a lesson may.

`python -m experiments.run NAME` makes them, on ESC-10, whatever this session has. What lessons ask of them is one call each, from
`runs` on; what stands above it reads and compares rows.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from helpers import esc
from helpers.fine_tuning import bootstrap_interval

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
COLUMNS = {
    "experiment": str,
    "dataset": str,
    "model": str,
    "pretrained": bool,
    "variant": str,  # what is special about it, "full" for nothing
    "fold": int,  # the official fold that it was tested on
    "seed": int,
    "epochs": int,  # of an average: those of the member that was trained longest
    "clips": int,  # trained on
    "accuracy": float,  # share of the test clips
    "correct": str,  # y or n for each test clip, in the order of the split
    "minutes": float,
    "clips_per_second": float,
    "device": str,
    "precision": str,  # as Accelerate names it: "no" is float32
    "profile": str,
    "torch": str,
    "timm": str,
    "run": str,  # digest of all that decides a run: equal in two experiments where they share one
    "seal": str,  # digest of the row
}
VIT, CONVNET = "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "mobilenetv2_100"
NAMES = {VIT: "ViT-Tiny", CONVNET: "MobileNetV2", "vit_nano_patch16_224": "nano ViT"}
NAMES |= {"deit_nano_distilled_patch16_224": "nano DeiT", "convnext_nano_patch4_224": "nano ConvNeXt"}
ONE_RATE = "without layer decay"
OVERLAP = f"{ONE_RATE}, patches that overlap"
LONG = f"{OVERLAP}, 50 epochs"
STEPS = {"whole recipe": "whole recipe", ONE_RATE: "one rate", OVERLAP: "and overlap", LONG: "and 50 epochs"}


def read(name: str) -> pd.DataFrame:
    """The runs of one experiment, a row each in the order in which they ended; no rows where none was run yet.

    Raises:
        ValueError: If the file has other columns, or a row was changed after it was written.
    """
    file = FOLDER / f"{name}.csv"
    text = file.read_text(encoding="utf-8") if file.exists() else ",".join(COLUMNS)
    lines = list(csv.reader(io.StringIO(text)))
    if not lines or lines[0] != list(COLUMNS):
        raise ValueError(f"{file.name} must have the columns {', '.join(COLUMNS)}: restore it with git.")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(COLUMNS) or line[-1] != seal(line[:-1]):
            raise ValueError(
                f"Line {number} of {file.name} is not as it was written: take the line out, and "
                f"`python -m experiments.run {name}` makes it again, or restore the file with git."
            )
    table = pd.DataFrame(lines[1:], columns=list(COLUMNS))
    table["pretrained"] = table["pretrained"] == "True"
    return table.astype(COLUMNS)


def seal(line: Sequence[str]) -> str:
    """Digest of a row, its last value."""
    return hashlib.sha256(csv_line(line).encode()).hexdigest()[:8]


def csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def correct(rows: pd.DataFrame) -> np.ndarray:
    """Which test clips each run named rightly: bool (runs, clips), for runs whose test folds are of one size."""
    return np.array([[letter == "y" for letter in letters] for letters in rows["correct"]])


def balanced(rows: pd.DataFrame, by: Sequence[str] = ("model", "pretrained", "variant")) -> pd.DataFrame:
    """The rows of those seeds that were tested on all folds that their group has: another one would weigh some folds more."""
    folds = rows.groupby([*by, "seed"])["fold"].transform("nunique")
    return rows[folds == rows.assign(folds=folds).groupby(list(by))["folds"].transform("max")]


def by_clip(rows: pd.DataFrame) -> np.ndarray:
    """How often each clip was named rightly, as a mean over seeds: the clips of the first test fold, of the second, and so on."""
    return np.concatenate([correct(runs).mean(axis=0) for _, runs in rows.groupby("fold")])


def compare(one: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float, float]:
    """Accuracy of some runs minus that of others on the same folds, `by_clip`: (difference, low, high), a 95 % interval."""
    difference = by_clip(one) - by_clip(other)
    return float(difference.mean()), *bootstrap_interval(difference)


def differences(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """What each variant has above the runs of `reference` with the same seeds, `compare` in points: difference, low, high, seeds.

    The lowest comes first; what has no seed in common with them, or other folds, is left out.
    """
    lines, reference = {}, balanced(reference)
    for variant, runs in balanced(rows).groupby("variant"):
        both = set(runs["seed"]) & set(reference["seed"])  # these met the same order of clips
        one, other = (some[some["seed"].isin(both)] for some in (runs, reference))
        if set(one["fold"]) == set(other["fold"]) != set():
            lines[variant] = [100 * share for share in compare(one, other)] + [one["seed"].nunique()]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["difference", "low", "high", "seeds"])
    return table.sort_values("difference")


def in_points(difference: float, low: float, high: float) -> str:
    """What `compare` gives, for readers: +2.6 (+1.1 to +4.2)."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*(round(100 * share, 1) + 0.0 for share in (difference, low, high)))


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of a value a clip, such as right or wrong, with its 95 % interval over clips, all in per cent: (mean, low, high)."""
    return 100 * float(np.mean(values)), *(100 * end for end in bootstrap_interval(np.ravel(values)))


def percent(share: float) -> str:
    """With one decimal, a half rounded up: 0.8775, which is 351 of 400 clips, is 87.8."""
    return f"{100 * share + 1e-6:.1f}"


def runs(experiment: str, variant: str = "full", model: str = VIT, *, pretrained: bool = True) -> pd.DataFrame:
    """The rows of one kind of run, whole seeds only, sorted by seed and fold.

    Raises:
        ValueError: If there are none.
    """
    rows = read(experiment)
    found = rows[(rows["variant"] == variant) & (rows["model"] == model) & (rows["pretrained"] == pretrained)]
    if found.empty:
        kinds = ", ".join(sorted(set(rows["variant"]))) or "none"
        raise ValueError(f"{experiment}.csv has no runs {variant!r} of {model}: its variants are {kinds}.")
    return balanced(found).sort_values(["seed", "fold"])


def right(experiment: str, variant: str = "full", model: str = VIT, *, pretrained: bool = True) -> np.ndarray:
    """Which of ESC-10's 400 clips each seed named rightly when their fold was the test: bool (seeds, 5, 80), fold 1 first."""
    rows = runs(experiment, variant, model, pretrained=pretrained)
    return correct(rows).reshape(rows["seed"].nunique(), rows["fold"].nunique(), -1)


def averages(variant: str) -> dict[str, np.ndarray]:
    """`right` of the ViT's probabilities averaged over three and over five seeds, and of the single seeds."""
    names = [f"{many} seeds averaged" for many in ("three", "five")]
    return {name: right("averaged", f"{name}, {variant}") for name in names} | {"one model": right("recipe", variant)}


def recordings() -> np.ndarray:
    """The recording that each clip of `right` is cut from: (5, 80)."""
    table = pd.read_csv(esc.MANIFEST, dtype={"recording": str}, encoding="utf-8").sort_values("fold", kind="stable")
    return table["recording"].to_numpy().reshape(5, -1)


def probabilities(
    experiment: str, variant: str = "full", model: str = VIT, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What a seed whose answers are kept said of the clips of `right`: probabilities (400, classes) and labels (400,)."""
    rows = runs(experiment, variant, model)
    kept = [np.load(FOLDER / "predictions" / f"{run}.npz") for run in rows[rows["seed"] == seed]["run"]]
    logits, labels = (np.concatenate([one[name] for one in kept]) for name in ("logits", "labels"))
    return softmax(logits, axis=1), labels


def tried() -> pd.DataFrame:
    """Everything that was trained to be chosen from, on validation clips: model, right, clips, the best share first."""
    rows = read("tuning").assign(model=lambda rows: rows["model"].map(NAMES))
    counts = rows.groupby(["model", "variant"])["correct"].agg("".join)
    table = pd.DataFrame({"right": counts.str.count("y"), "of": counts.str.len()})
    return table.loc[(table["right"] / table["of"]).sort_values(ascending=False).index]


def starts() -> dict[str, dict[str, float]]:
    """What five models reach from random weights, with a new head alone where it was run, and in full: per cent, best first."""
    rows = pd.concat([read(name) for name in ("esc10", "nano")])
    rows = balanced(rows[rows["variant"].isin(["frozen", "full"])])
    way = rows["variant"].where(rows["pretrained"], "from scratch")
    means = 100 * rows.groupby([rows["model"].map(NAMES), way])["accuracy"].mean().unstack()
    return {model: line.dropna().to_dict() for model, line in means.sort_values("full", ascending=False).iterrows()}


def changes() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fourteen changes of the recipe, one at a time, above the whole (`differences`, seed 0); and what two new seeds say of the best."""
    rows = read("recipe").query("model == @VIT and pretrained")
    alone = rows[~rows["variant"].isin(["whole recipe", OVERLAP, LONG])]
    whole = rows[rows["variant"] == "whole recipe"]
    first = differences(alone[alone["seed"] == 0], whole)
    best = alone[(alone["variant"] == first.index[-1]) & (alone["seed"] > 0)]
    return first, differences(best, whole)


def parts() -> dict[str, pd.DataFrame]:
    """Other stems, position tables and heads above ours, all layers trained but for one: {what: `differences`}."""
    found, heads = {}, []
    for what, name, ours in (("stem", "channels", "sum"), ("positions", "positions", "interpolated")):
        rows = read(name)
        found[f"{what}, above {ours}"] = differences(rows[rows["variant"] != ours], rows[rows["variant"] == ours])
    ways = ((CONVNET, True, "frozen"), (CONVNET, True, ""), (VIT, True, ""), (CONVNET, False, ""), (VIT, False, ""))
    for model, pretrained, alone in ways:
        pair = (f"timm's head, {alone}", alone) if alone else ("timm's head", "whole recipe")
        one, zeros = (runs("recipe", variant, model, pretrained=pretrained) for variant in pair)
        name = NAMES[model] + (", head alone" if alone else "" if pretrained else ", scratch")
        heads.append(differences(one, zeros).set_axis([name]))
    return found | {"timm's head, above zeros": pd.concat(heads)}


def promises() -> pd.DataFrame:
    """Four recipes of the ViT, each with one change more, in per cent: on validation clips, on the test folds, and where each fold chose."""
    rows = {name: read(name).query("model == @VIT and pretrained") for name in ("recipe", "tuning", "nested")}
    mean = {name: 100 * balanced(some).groupby("variant")["accuracy"].mean() for name, some in rows.items()}
    chosen = ("", ", layer decay too", ", overlap too", ", 50 epochs too")
    columns = {"validation": mean["tuning"].rename({"recipe": "whole recipe"})[list(STEPS)].to_numpy()}
    columns["test"] = mean["recipe"][list(STEPS)].to_numpy()
    columns["each fold chooses"] = mean["nested"][[f"chosen in each fold{one}" for one in chosen]].to_numpy()
    return pd.DataFrame(columns, index=list(STEPS.values()))


def learning_curve() -> dict[str, dict[int, np.ndarray]]:
    """The fine-tuned ViT with few clips, {"pretrained" or "scratch": {clips a class: per cents, a fold each}}."""
    rows = balanced(read("learning_curve"))
    table = 100 * rows.pivot_table("accuracy", ["pretrained", "clips"], "fold")
    names = {"pretrained": True, "scratch": False}
    return {
        name: {clips // 10: row.to_numpy() for clips, row in table.loc[way].iterrows()} for name, way in names.items()
    }


def digits() -> dict[str, dict[str, np.ndarray]]:
    """Accuracies on spoken digits, {model: {"clips shuffled", then "a speaker nobody trained on": one a test}}."""
    rows = read("digits").sort_values(["variant", "fold", "seed"], ascending=[False, True, True])
    return {
        NAMES[model]: {way: some["accuracy"].to_numpy() for way, some in of_model.groupby("variant", sort=False)}
        for model, of_model in rows.groupby("model", sort=False)
    }
