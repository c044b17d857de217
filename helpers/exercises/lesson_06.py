"""Exercises of lesson 06: split by recording, choose a threshold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from helpers.exercises import Verdict, grade

# --- 6.1: split by recording -------------------------------------------------------------------------------------------

# who is heard in each clip, how many of them to hold out
SPLIT_CASES = [
    (np.array(list("aaabbcdddee")), 2),
    (np.array([7, 3, 3, 9, 7, 1, 4, 4, 4, 9, 5, 8]), 3),
    (np.array(["x", "y", "y", "z", "u", "v", "u", "w"]), 1),
]


def check_split_by_recording(answer) -> Verdict:
    """`split_by_recording(recordings, num_test, seed)`: places of (training, test) clips; `num_test` recordings, drawn, are for the test."""
    return grade(
        _described(answer),
        reference=_described(_split),
        cases=SPLIT_CASES,
        mistakes={message: _described(mistake) for message, mistake in MISTAKES["split_by_recording"].items()},
        right="Whoever is heard in the test was never heard in training.",
    )


def _described(answer: Any) -> Any:
    """What a split is like, in place of the split: any draw is as good as another."""
    if not callable(answer):
        return answer

    def facts(recordings: np.ndarray, num_test: int) -> tuple | None:
        draws = []
        for seed in [0] * 8 + [1, 2, 3, 4, 5, 6, 7, 8]:
            found = answer(recordings.copy(), num_test, seed)
            if found is None or found is ...:
                return None
            train, test = (np.atleast_1d(np.asarray(part)).astype(int) for part in found)
            draws.append((train, test))
        whole = all(sorted([*train, *test]) == list(range(len(recordings))) for train, test in draws)
        shared = sum(len(set(recordings[train]) & set(recordings[test])) > 0 for train, test in draws)
        counts = [len(set(recordings[test])) for _, test in draws]
        again = all(test.tolist() == draws[0][1].tolist() for _, test in draws[:8])
        others = len({tuple(sorted(test)) for _, test in draws}) > 1
        return whole, shared > 0, counts == [num_test] * len(draws), again, others

    return facts


def _split(recordings: np.ndarray, num_test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    held = np.random.default_rng(seed).choice(np.unique(recordings), num_test, replace=False)
    inside = np.isin(recordings, held)
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _clips_shuffled(recordings, num_test, seed):
    order = np.random.default_rng(seed).permutation(len(recordings))
    count = round(len(recordings) * num_test / len(np.unique(recordings)))
    return order[count:], order[:count]


def _always_the_first(recordings, num_test, seed):
    inside = np.isin(recordings, np.unique(recordings)[:num_test])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def _without_seed(recordings, num_test, seed):
    return _split(recordings, num_test, None)


def _masks(recordings, num_test, seed):
    train, _ = _split(recordings, num_test, seed)
    inside = np.isin(np.arange(len(recordings)), train)
    return inside, ~inside


# --- 6.2: choose a threshold -------------------------------------------------------------------------------------------


def _curve(thresholds, hits, alarms) -> pd.DataFrame:
    return pd.DataFrame({"hits": hits, "false alarms an hour": alarms}, index=thresholds)


STEPS = [0.1, 0.3, 0.5, 0.7, 0.9]
THRESHOLD_CASES = [
    (_curve(STEPS, [0.98, 0.95, 0.90, 0.71, 0.35], [900, 320, 55, 12, 0]), _curve(STEPS, [0.93, 0.90, 0.85, 0.60, 0.21], [990, 58, 44, 30, 4]), 60),
    (_curve(STEPS, [0.9, 0.8, 0.7, 0.5, 0.2], [70, 40, 20, 9, 3]), _curve(STEPS, [0.9, 0.8, 0.7, 0.5, 0.2], [30, 9, 8, 7, 2]), 10),
    (_curve(STEPS, [0.9, 0.8, 0.7, 0.5, 0.2], [5, 4, 3, 2, 1]), _curve(STEPS, [0.9, 0.8, 0.7, 0.5, 0.2], [50, 40, 30, 20, 4]), 5),
]  # fmt: skip


def check_threshold(answer) -> Verdict:
    """`threshold(validation, test, most)`: the one with most hits among those with at most `most` false alarms an hour."""
    return grade(
        _as_number(answer),
        reference=_threshold,
        cases=THRESHOLD_CASES,
        mistakes=MISTAKES["threshold"],
        right="The test had no say, so what it now shows is worth something.",
    )


def _as_number(answer: Any) -> Any:
    if not callable(answer):
        return answer

    def number(*case):
        found = answer(*case)
        return found if found is None or found is ... or isinstance(found, str) else float(found)

    return number


def _threshold(validation: pd.DataFrame, test: pd.DataFrame, most: float) -> float:
    allowed = validation[validation["false alarms an hour"] <= most]
    return float(allowed["hits"].idxmax())


MISTAKES: dict[str, dict[str, Callable]] = {
    "split_by_recording": {
        "A recording lies on both sides: draw recordings, and let their clips follow.": _clips_shuffled,
        "Every seed holds out the same recordings: draw them with `np.random.default_rng(seed)`.": _always_the_first,
        "The same seed must give the same split: hand it to `np.random.default_rng`.": _without_seed,
        "The sides are swapped: training comes first, and the test holds `num_test` recordings.": lambda *case: _split(*case)[::-1],
        "Those are masks: `np.flatnonzero(mask)` gives the places.": _masks,
        "Clips are missing: what is not held out is for training, all of it.": lambda *case: (_split(*case)[0][1:], _split(*case)[1]),
    },
    "threshold": {
        "You have looked at the test clips: then they cannot test any more.": lambda validation, test, most: _threshold(test, test, most),
        "That is the highest threshold: it has the fewest false alarms, and the fewest hits.": lambda validation, test, most: STEPS[-1],
        "Most hits, whatever the false alarms: keep only the rows with at most `most`.": lambda validation, test, most: float(validation["hits"].idxmax()),
        "That is the share of hits: the index of the table holds the thresholds.": lambda validation, test, most: float(validation.loc[_threshold(validation, test, most), "hits"]),
        "At most `most` includes `most` itself: `<=`.": lambda validation, test, most: float(validation[validation["false alarms an hour"] < most]["hits"].idxmax()),
    },
}  # fmt: skip
