"""Recorded runs: one row a training in `experiments/*.csv`, for what takes longer than a lesson may.

`python -m experiments.run NAME` appends to them; lesson 05 draws its tables and figures from them.
"""

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy.special import softmax

from helpers import clips
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
ANSWERS = ("logits", "labels", "clips", "rates")  # of a run, where they are kept; clips and rates are those of training


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
        if len(line) != len(COLUMNS) or line[-1] != _seal(line[:-1]):
            raise ValueError(
                f"Line {number} of {file.name} is not as it was written: take the line out, and "
                f"`python -m experiments.run {name}` makes it again, or restore the file with git."
            )
    table = pd.DataFrame(lines[1:], columns=list(COLUMNS))
    table["pretrained"] = table["pretrained"] == "True"
    return table.astype(COLUMNS)


def append(name: str, row: Mapping) -> None:
    """Add one run: whole or not at all, and in turn where several processes record.

    Raises:
        ValueError: If a value is missing or empty.
        OSError: If the file cannot be written; the rows that are there stay.
    """
    if missing := [column for column in list(COLUMNS)[:-1] if str(row.get(column, "")) == ""]:
        raise ValueError(f"a recorded run must say {', '.join(missing)}; nothing was written to {name}.csv.")
    file, line = FOLDER / f"{name}.csv", [str(row[column]) for column in list(COLUMNS)[:-1]]
    with FileLock(file.with_suffix(".lock")):
        text = file.read_text(encoding="utf-8") if file.exists() else _csv_line(list(COLUMNS))
        rows = read(name)
        if ((rows["run"] == row["run"]) & (rows["variant"] == row["variant"])).any():
            return  # two processes made the same run: the first to end is the one that counts
        try:
            with clips.whole(file) as part:
                part.write_text(text + _csv_line([*line, _seal(line)]), encoding="utf-8", newline="\n")
        except OSError as error:
            raise OSError(
                f"{file.name} cannot be written ({error}): make room, or close what has it open, then start again."
            ) from error


def answers_file(run: str) -> Path:
    """Where the answers of a run are kept; `run` is its digest."""
    return FOLDER / "predictions" / f"{run}.npz"


def answers(run: str) -> dict[str, np.ndarray]:
    """What a run said of its test clips, by the names in `ANSWERS`.

    Raises:
        ValueError: If the file is not there, or not whole.
    """
    file = answers_file(run)
    try:
        with np.load(file) as kept:
            return {name: kept[name] for name in ANSWERS}
    except (OSError, EOFError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"predictions/{file.name} cannot be read ({error}): {_way_out(run)}") from error


def keep(run: str, found: Mapping[str, np.ndarray]) -> None:
    """Keep the answers of a run: whole or not at all.

    Raises:
        OSError: If they cannot be written.
    """
    file = answers_file(run)
    try:
        with clips.whole(file) as part, part.open("wb") as out:
            np.savez_compressed(out, **found)
    except OSError as error:
        raise OSError(
            f"predictions/{file.name} cannot be written ({error}): make room, then start again; the training is kept."
        ) from error


def as_letters(right: np.ndarray) -> str:
    """The column `correct` of a row: y or n for each test clip."""
    return "".join("y" if each else "n" for each in right)


def correct(rows: pd.DataFrame) -> np.ndarray:
    """Which test clips each run named rightly: bool (runs, clips), for runs whose test folds are of one size."""
    return np.array([[letter == "y" for letter in letters] for letters in rows["correct"]])


def balanced(rows: pd.DataFrame, by: Sequence[str] = ("model", "pretrained", "variant")) -> pd.DataFrame:
    """The rows of those seeds that were tested on all folds that their group has: another one would weigh some folds more."""
    folds = rows.groupby([*by, "seed"])["fold"].transform("nunique")
    return rows[folds == rows.assign(folds=folds).groupby(list(by))["folds"].transform("max")]


def summary(rows: pd.DataFrame, by: Sequence[str] = ("model", "pretrained", "variant")) -> pd.DataFrame:
    """Mean accuracy of each group of `balanced` runs, its spread over folds and seeds (standard deviations), and its size.

    The spread over folds is that of the folds' means over seeds, and the other way round; NaN where there is only one.
    """
    by, rows = list(by), balanced(rows, by)
    folds, seeds = (
        rows.groupby([*by, each], sort=False)["accuracy"].mean().groupby(by, sort=False) for each in ("fold", "seed")
    )
    means = rows.groupby(by, sort=False)[["minutes", "clips_per_second"]].mean()
    spreads = {"accuracy": folds.mean(), "fold_spread": folds.std(), "seed_spread": seeds.std()}
    return pd.DataFrame(
        spreads | {"folds": folds.size(), "seeds": seeds.size(), "runs": rows.groupby(by, sort=False).size()}
    ).join(means)


def table(
    rows: pd.DataFrame, by: Sequence[str] = ("model", "pretrained", "variant"), reference: str | None = None
) -> pd.DataFrame:
    """`summary` for readers: in per cent, with a bootstrap interval, and how many seeds a line stands on.

    With a `reference`, a variant, the interval is that of the difference from the runs of the same seeds that the same model,
    pretrained, has of it. Only groups that were tested on all folds of the rows are shown, those of one model together, the lowest accuracy
    first; spreads over seeds only where a group has several. No lines where there are no rows.
    """
    by, all_folds = list(by), rows["fold"].nunique()
    rows = rows.assign(model=rows["model"].str.replace(r"\.\w+", "", regex=True))  # without the weights' tags
    rows = balanced(rows, by).groupby(by).filter(lambda runs: runs["fold"].nunique() == all_folds)
    lines = []
    for group, runs in rows.groupby(by):
        found = summary(runs, by).iloc[0]
        line = {
            "accuracy (%)": percent(found["accuracy"]),
            "± folds": _points(found["fold_spread"]),
            "± seeds": _points(found["seed_spread"]),
        }
        if reference is None:
            line["95 % interval"] = "–".join(map(percent, bootstrap_interval(by_clip(runs))))
        else:
            line[f"points above {reference}"] = _above(rows[(rows["variant"] == reference) & rows["pretrained"]], runs)
        line["seeds"] = f"{found['seeds']:.0f}"
        lines.append(dict(zip(by, group, strict=True)) | line)
    if not lines:
        return pd.DataFrame(columns=by)
    lines.sort(key=lambda line: (line.get("model", ""), float(line["accuracy (%)"])))
    shown = pd.DataFrame(lines).set_index(by)
    return shown if shown["± seeds"].any() else shown.drop(columns="± seeds")


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
        one, other = _of_same_seeds(runs, reference)
        if set(one["fold"]) == set(other["fold"]) != set():
            lines[variant] = [100 * share for share in compare(one, other)] + [one["seed"].nunique()]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["difference", "low", "high", "seeds"])
    return table.sort_values("difference")


def in_points(difference: float, low: float, high: float) -> str:
    """What `compare` gives, for readers: +2.6 (+1.1 to +4.2)."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*(round(100 * share, 1) + 0.0 for share in (difference, low, high)))


def predictions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What runs whose answers were kept said: probabilities (clips, classes) and labels (clips,) of their test clips.

    Raises:
        ValueError: If answers cannot be read, or are not those of their row.
    """
    kept = [_of_row(run, correct) for run, correct in zip(rows["run"], rows["correct"], strict=True)]
    logits, labels = (np.concatenate([each[name] for each in kept]) for name in ("logits", "labels"))
    return softmax(logits, axis=1), labels


def percent(share: float) -> str:
    """With one decimal, a half rounded up: 0.8775, which is 351 of 400 clips, is 87.8."""
    return f"{100 * share + 1e-6:.1f}"


def _of_row(run: str, correct: str) -> dict[str, np.ndarray]:
    """The answers of a run, which must be right where its row says so."""
    kept = answers(run)
    if as_letters(kept["logits"].argmax(axis=1) == kept["labels"]) != correct:
        raise ValueError(
            f"predictions/{answers_file(run).name} has other clips right than the row of that run: {_way_out(run)}"
        )
    return kept


def _way_out(run: str) -> str:
    return (
        f"restore it with git, or delete it and the rows of run {run}, and run their experiments again "
        "(`python -m experiments.run`)."
    )


def _above(reference: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Difference from the reference's runs of the same model and seeds, in points, with its interval; empty where there is none."""
    runs, reference = _of_same_seeds(runs, reference[reference["model"] == runs["model"].iloc[0]])
    if reference.empty or set(reference["run"]) == set(runs["run"]):
        return ""
    return in_points(*compare(runs, reference)).replace(" ", "\N{NO-BREAK SPACE}")


def _of_same_seeds(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of both whose seeds both have: they met the same order of clips."""
    both = set(one["seed"]) & set(other["seed"])
    return one[one["seed"].isin(both)], other[other["seed"].isin(both)]


def _points(spread: float) -> str:
    """A standard deviation in points; empty where there is none."""
    return "" if np.isnan(spread) else f"{100 * spread:.1f}"


def _seal(line: Sequence[str]) -> str:
    return hashlib.sha256(_csv_line(line).encode()).hexdigest()[:8]


def _csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
