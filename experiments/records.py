"""Rows of recorded runs and the answers of their models, written whole or not at all; `helpers.recorded` reads them.

`predictions` checks the answers against their rows. `summary` is for those who write about them: the tables of README.md.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy.special import softmax

from helpers import clips, recorded

ANSWERS = ("logits", "labels", "clips", "rates")  # of a run, where they are kept; clips and rates are those of training


def append(name: str, row: Mapping) -> None:
    """Add one run: whole or not at all, and in turn where several processes record.

    Raises:
        ValueError: If a value is missing or empty.
        OSError: If the file cannot be written; the rows that are there stay.
    """
    columns = list(recorded.COLUMNS)
    if missing := [column for column in columns[:-1] if str(row.get(column, "")) == ""]:
        raise ValueError(f"a recorded run must say {', '.join(missing)}; nothing was written to {name}.csv.")
    file, line = recorded.FOLDER / f"{name}.csv", [str(row[column]) for column in columns[:-1]]
    with FileLock(file.with_suffix(".lock")):
        text = file.read_text(encoding="utf-8") if file.exists() else recorded.csv_line(columns)
        rows = recorded.read(name)
        if ((rows["run"] == row["run"]) & (rows["variant"] == row["variant"])).any():
            return  # two processes made the same run: the first to end is the one that counts
        try:
            with clips.whole(file) as part:
                line = recorded.csv_line([*line, recorded.seal(line)])
                part.write_text(text + line, encoding="utf-8", newline="\n")
        except OSError as error:
            raise OSError(
                f"{file.name} cannot be written ({error}): make room, or close what has it open, then start again."
            ) from error


def answers_file(run: str) -> Path:
    """Where the answers of a run are kept; `run` is its digest."""
    return recorded.FOLDER / "predictions" / f"{run}.npz"


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


def predictions(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What runs whose answers were kept said: probabilities (clips, classes) and labels (clips,) of their test clips.

    Raises:
        ValueError: If answers cannot be read, or are not those of their row.
    """
    kept = [answers(run) for run in rows["run"]]
    for run, letters, each in zip(rows["run"], rows["correct"], kept, strict=True):
        if as_letters(each["logits"].argmax(axis=1) == each["labels"]) != letters:
            raise ValueError(f"predictions/{run}.npz has other clips right than the row of that run: {_way_out(run)}")
    logits, labels = (np.concatenate([each[name] for each in kept]) for name in ("logits", "labels"))
    return softmax(logits, axis=1), labels


def _way_out(run: str) -> str:
    return (
        f"restore it with git, or delete it and the rows of run {run}, and run their experiments again "
        "(`python -m experiments.run`)."
    )


def as_letters(right: np.ndarray) -> str:
    """The column `correct` of a row: y or n for each test clip."""
    return "".join("y" if each else "n" for each in right)


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


def summary(rows: pd.DataFrame, by: Sequence[str] = ("model", "pretrained", "variant")) -> pd.DataFrame:
    """Mean accuracy of each group of `recorded.balanced` runs, its spread over folds and seeds (standard deviations), and its size.

    The spread over folds is that of the folds' means over seeds, and the other way round; NaN where there is only one.
    """
    by, rows = list(by), recorded.balanced(rows, by)
    folds, seeds = (
        rows.groupby([*by, each], sort=False)["accuracy"].mean().groupby(by, sort=False) for each in ("fold", "seed")
    )
    means = rows.groupby(by, sort=False)[["minutes", "clips_per_second"]].mean()
    spreads = {"accuracy": folds.mean(), "fold_spread": folds.std(), "seed_spread": seeds.std()}
    return pd.DataFrame(
        spreads | {"folds": folds.size(), "seeds": seeds.size(), "runs": rows.groupby(by, sort=False).size()}
    ).join(means)
