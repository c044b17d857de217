"""Exercises of lesson 06: split by recording, choose a threshold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from helpers.exercises import Verdict, grade

# --- 6.1: split by recording -------------------------------------------------------------------------------------------

# the recording of each clip, how many recordings to hold out; no number of a recording is a place
SPLIT_CASES = [
    (np.array(list("aaabbcdddeef")), 2),
    (np.array([57, 53, 53, 59, 57, 51, 54, 54, 54, 59, 55, 58]), 2),
    (np.array(["x", "y", "y", "z", "u", "v", "u", "w"]), 1),
]
SEEDS = [0] * 8 + [1, 2, 3, 4, 5, 6, 7, 8]  # again and again, and then others


def check_split_by_recording(answer) -> Verdict:
    """`split_by_recording(recordings, num_test, seed)`: places of (training, test) clips, `num_test` drawn recordings for the test."""
    return grade(
        _judged(answer),
        reference="",
        cases=[(SPLIT_CASES,)],
        mistakes={message: _judged(mistake) for message, mistake in MISTAKES["split_by_recording"].items()},
        right="Whoever is heard in the test was never heard in training.",
    )


def _judged(answer: Any) -> Any:
    """The first fault of its splits, or "": any draw is as good as another, so splits cannot be compared."""
    if not callable(answer):
        return answer

    def fault(cases: list[tuple[np.ndarray, int]]) -> Any:
        faults = []
        for recordings, num_test in cases:
            found = [answer(recordings, num_test, seed) for seed in SEEDS]
            if any(each is None or each is ... for each in found):
                return next(each for each in found if each is None or each is ...)
            faults.append(_shape_fault(found, recordings) or _split_fault(found, recordings, num_test))
        return next(filter(None, faults), "")

    return fault


def _shape_fault(found: list, recordings: np.ndarray) -> str:
    """What the results are in place of two rows of places."""
    if any(not isinstance(each, (tuple, list)) or len(each) != 2 for each in found):
        return "not two"
    sides = [np.atleast_1d(np.asarray(side)) for each in found for side in each]
    if any(side.dtype == bool for side in sides):
        return "masks"
    if all(len(side) and np.isin(side.astype(str), recordings.astype(str)).all() for side in sides):
        return "recordings"
    places = np.arange(len(recordings))
    if any(len(side) and (side.dtype.kind not in "iu" or not np.isin(side, places).all()) for side in sides):
        return "no places"
    return ""


def _split_fault(found: list, recordings: np.ndarray, num_test: int) -> str:
    splits = [(np.asarray(train, dtype=int).tolist(), np.asarray(test, dtype=int).tolist()) for train, test in found]
    heard = [[{recordings[clip] for clip in side} for side in each] for each in splits]
    counts = [[len(side) for side in each] for each in heard]
    held_out = [tuple(sorted(test)) for _, test in splits]
    if any(set(train) & set(test) for train, test in splits):
        return "clips on both sides"
    if any(train & test for train, test in heard):
        return "recordings on both sides"
    if any(len(set(train + test)) < len(recordings) for train, test in splits):
        return "clips lost"
    if any(len(train + test) > len(recordings) for train, test in splits):
        return "clips twice"
    if all(train == num_test < test for train, test in counts):
        return "swapped"
    if any(test != num_test for _, test in counts):
        return "another number" if len({test for _, test in counts}) == 1 else "now this number, now that"
    if len(set(held_out[:8])) > 1:
        return "another split each time"
    return "always the same split" if len(set(held_out)) == 1 else ""


def _split(recordings: np.ndarray, num_test: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    held_out = np.random.default_rng(seed).choice(np.unique(recordings), num_test, replace=False)
    inside = np.isin(recordings, held_out)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _clips_drawn(recordings, num_test, seed):
    order = np.random.default_rng(seed).permutation(len(recordings))
    return order[num_test:], order[:num_test]


def _all_for_training(recordings, num_test, seed):
    return np.arange(len(recordings)), _split(recordings, num_test, seed)[1]


def _recordings_drawn_from_clips(recordings, num_test, seed):
    inside = np.isin(recordings, np.random.default_rng(seed).choice(recordings, num_test, replace=False))
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _always_the_first(recordings, num_test, seed):
    inside = np.isin(recordings, np.unique(recordings)[:num_test])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _first_clips(recordings, num_test, seed):
    names, first = np.unique(recordings, return_index=True)
    inside = np.isin(names, np.random.default_rng(seed).choice(names, num_test, replace=False))
    return first[~inside], first[inside]


def _clips_twice(recordings, num_test, seed):
    train, test = _split(recordings, num_test, seed)
    return np.concatenate([np.flatnonzero(recordings == recordings[clip]) for clip in train]), test


def _masks(recordings, num_test, seed):
    inside = np.isin(np.arange(len(recordings)), _split(recordings, num_test, seed)[1])
    return ~inside, inside


# --- 6.2: choose a threshold -------------------------------------------------------------------------------------------


def _table(hits: list[float], alarms: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"hits": hits, "false alarms an hour": alarms}, index=[0.1, 0.3, 0.5, 0.7, 0.9])


# Validation, test, the most false alarms an hour. In validation hits fall, as they do, so the lowest that is allowed is
# right, too; in the test they rise again, or a look at it would not show.
THRESHOLD_CASES = [
    (
        _table([0.98, 0.95, 0.90, 0.71, 0.35], [900, 320, 55, 12, 0]),
        _table([0.93, 0.92, 0.73, 0.74, 0.81], [990, 58, 44, 30, 4]),
        50,
    ),
    (
        _table([0.91, 0.82, 0.72, 0.51, 0.22], [70, 40, 20, 9, 3]),
        _table([0.94, 0.63, 0.53, 0.24, 0.44], [30, 9, 8, 7, 2]),
        11,
    ),
    (
        _table([0.89, 0.83, 0.69, 0.52, 0.25], [5, 4, 3, 2, 1]),
        _table([0.43, 0.84, 0.75, 0.54, 0.26], [50, 40, 30, 20, 4]),
        5,
    ),
]


def check_threshold(answer) -> Verdict:
    """`threshold(validation, test, most)`: the one with most hits in validation, of those with at most `most` false alarms an hour."""
    return grade(
        _as_number(answer),
        reference=_threshold,
        cases=THRESHOLD_CASES,
        mistakes=MISTAKES["threshold"],
        right="The test had no say, so what it now shows is worth something.",
    )


def _as_number(answer: Any) -> Any:
    """One value may come alone in an index, a column, an array."""
    if not callable(answer):
        return answer

    def number(*case):
        found = answer(*case)
        several = isinstance(found, (pd.Index, pd.Series, np.ndarray))
        return np.ravel(found)[0] if several and np.size(found) == 1 else found

    return number


def _allowed(table: pd.DataFrame, most: float) -> pd.DataFrame:
    return table[table["false alarms an hour"] <= most]


def _threshold(validation: pd.DataFrame, test: pd.DataFrame, most: float) -> float:
    return float(_allowed(validation, most)["hits"].idxmax())


def _then(what: Callable) -> Callable:
    """The right choice, and in its place something else that stands in its row: `what(validation, test, threshold)`."""
    return lambda validation, test, most: what(validation, test, _threshold(validation, test, most))


# --- all ---------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, dict[str, Callable]] = {
    "split_by_recording": {
        "Two results are wanted: the places of the training clips, and those of the test clips.": (
            lambda *case: _split(*case)[1]
        ),
        "Those are masks, true or false for each clip: `np.flatnonzero(mask)` gives the places.": _masks,
        "Those are recordings; the places of their clips are asked for: `np.isin` says which clips belong to them.": (
            lambda recordings, *case: [np.unique(recordings[side]) for side in _split(recordings, *case)]
        ),
        "Those are no places: a place is a whole number, the first is 0, the last `len(recordings) - 1`.": (
            lambda *case: [side + 1 for side in _split(*case)]
        ),
        "A clip lies on both sides: training has only those that are not held out.": _all_for_training,
        "A recording lies on both sides: draw recordings, and let all their clips follow.": _clips_drawn,
        "Clips are lost: every clip of a recording goes to that recording's side.": _first_clips,
        "A clip stands on its side more than once: each has one place.": _clips_twice,
        "The sides are swapped: training comes first, and the test holds `num_test` recordings.": (
            lambda *case: _split(*case)[::-1]
        ),
        "Another number of recordings is held out: `num_test` are asked for.": (
            lambda recordings, num_test, seed: _split(recordings, num_test + 1, seed)
        ),
        "Now more, now fewer recordings are held out: draw from `np.unique(recordings)`, without repeats.": (
            _recordings_drawn_from_clips
        ),
        "The same seed must give the same split: hand it to `np.random.default_rng`.": (
            lambda recordings, num_test, seed: _split(recordings, num_test, None)
        ),
        "Every seed holds out the same recordings: draw them with `np.random.default_rng(seed)`.": _always_the_first,
    },
    "threshold": {
        "You have looked at the test clips: then they cannot test any more.": (
            lambda validation, test, most: _threshold(test, validation, most)
        ),
        "Those are hits of the test: what is chosen by them is no longer tested by them.": (
            lambda validation, test, most: float(test.loc[_allowed(validation, most).index, "hits"].idxmax())
        ),
        "Those are false alarms of the test: what is chosen by them is no longer tested by them.": (
            lambda validation, test, most: float(validation.loc[_allowed(test, most).index, "hits"].idxmax())
        ),
        "That is the highest threshold: it has the fewest false alarms, and the fewest hits. `most` are allowed.": (
            lambda validation, test, most: float(validation["false alarms an hour"].idxmin())
        ),
        "That has nearest to `most` false alarms, and may have more: ask for at most, then for hits.": (
            lambda validation, test, most: float((validation["false alarms an hour"] - most).abs().idxmin())
        ),
        "Most hits, whatever the false alarms: keep only the rows with at most `most`.": (
            lambda validation, test, most: float(validation["hits"].idxmax())
        ),
        "At most `most` includes `most` itself: `<=`.": (
            lambda validation, test, most: float(validation[validation["false alarms an hour"] < most]["hits"].idxmax())
        ),
        "That is the share of hits: the thresholds stand in the index, and `idxmax` says where.": (
            _then(lambda validation, test, threshold: validation.loc[threshold, "hits"])
        ),
        "That is a share of hits of the test: a threshold is asked for, and the test has no say in it.": (
            _then(lambda validation, test, threshold: test.loc[threshold, "hits"])
        ),
        "That is the number of false alarms: the threshold that has them stands in the index.": (
            _then(lambda validation, test, threshold: validation.loc[threshold, "false alarms an hour"])
        ),
        "That is the number of the row: the threshold is what stands in the index there.": (
            _then(lambda validation, test, threshold: validation.index.get_loc(threshold))
        ),
    },
}
