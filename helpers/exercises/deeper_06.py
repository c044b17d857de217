"""Exercises of "how sure": an interval for a difference, and a choice without the test fold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from helpers import clips, synthetic
from helpers.exercises import TODO, Verdict, _attempt, _Spoilt, grade

# --- D6.1: told apart? ---------------------------------------------------------------------------------------------------


def _pair(seed: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """How often two methods, three seeds each, name 400 clips rightly; most clips are easy or hard for both."""
    draw = np.random.default_rng(seed)
    easy = draw.beta(2.0, 0.5, size=400)
    one = draw.binomial(3, np.minimum(easy + gain, 1)) / 3
    return one, draw.binomial(3, easy) / 3


PAIRS = [_pair(1, 0.06), _pair(2, -0.09), _pair(3, 0.02)]


def check_paired_interval(answer) -> Verdict:
    """`paired_interval(one, other)`: (difference, low, high) of two methods' shares of right answers, clip by clip."""
    return grade(
        _as_tuple(answer),
        reference=_paired_interval(),
        cases=PAIRS,
        mistakes=MISTAKES["paired_interval"],
        right="One draw of clips serves both methods: what is hard for both cancels out.",
        atol=3e-3,
    )


def _as_tuple(answer: Any) -> Any:
    """Three numbers in an array or a tensor will do as well."""
    if not callable(answer):
        return answer

    def in_a_tuple(one, other):
        found = answer(one, other)
        return tuple(found) if isinstance(found, (np.ndarray, torch.Tensor)) and found.ndim == 1 else found

    return in_a_tuple


def _paired_interval(
    *, paired=True, level=(0.025, 0.975), scale=1.0, of: Callable = lambda one, other: one - other
) -> Callable:
    """An interval like the right one, with something wrong; `of` says of what."""

    def answer(one, other):
        draw, differ = np.random.default_rng(0), of(one, other)
        drawn = draw.choice(differ, size=(10_000, len(differ))).mean(axis=1)
        if not paired:
            means = [draw.choice(each, size=(10_000, len(each))).mean(axis=1) for each in (one, other)]
            drawn = means[0] - means[1]
        return tuple(scale * np.array([differ.mean(), *np.quantile(drawn, level)]))

    return answer


def _one_clip(one, other) -> tuple:
    differ = one - other
    return (differ.mean(), *np.quantile(differ, [0.025, 0.975]))


# --- D6.2: choose without the test fold ------------------------------------------------------------------------------------

RATES = [1e-4, 3e-4, 1e-3, 3e-3]
SCORES = {  # what a try of each rate gives: on clips that were trained on, on the test fold, on others
    "training": (0.60, 0.75, 0.90, 0.99),
    "test": (0.50, 0.58, 0.91, 0.70),
    "validation": (0.48, 0.83, 0.77, 0.62),
}
ORDERS = {2: RATES, 5: RATES[::-1]}  # for each test fold, another rate is the best


class _TryOut:
    """Stands in for a training: writes down which clips it was given, and scores as `SCORES` says."""

    def __init__(self, sounds: clips.Clips, test_fold: int):
        self.training, self.test = (set(some.tolist()) for some in sounds.split(test_fold))
        self.recordings = sounds.table["recording"].to_numpy()
        self.scores = {what: dict(zip(ORDERS[test_fold], some, strict=True)) for what, some in SCORES.items()}
        self.splits, self.saw_test, self.scored_training, self.siblings = {}, False, False, False
        self.swapped, self.few, self.wasted = False, False, False

    def __call__(self, lr: float, train, scored) -> float:
        train, scored = (self._places(some) for some in (train, scored))
        used = {*train.tolist(), *scored.tolist()}
        sees_test = bool(self.test & used)
        same = bool(np.isin(scored, train).any())
        split = frozenset(train.tolist()), frozenset(scored.tolist())
        self.splits.setdefault(float(lr), set()).add(split)
        self.saw_test |= sees_test
        self.scored_training |= same
        self.swapped |= len(train) < len(scored)
        self.few |= 10 * len(scored) < len(used)
        self.wasted |= not self.training <= used
        self.siblings |= bool(np.isin(self.recordings[scored], self.recordings[train]).any())
        return self.scores["training" if same else "test" if sees_test else "validation"][float(lr)]

    def _places(self, some) -> np.ndarray:
        """Clips by their places; true and false for each clip will do as well."""
        some = np.asarray(some)
        return np.flatnonzero(some) if some.dtype == bool else some


def check_choose_lr(answer) -> Verdict:
    """`choose_lr(rates, sounds, test_fold, try_out)`: the rate that is best on an inner validation part."""
    if answer is ... or answer is None:
        return TODO
    sounds = clips.Clips("synthetic", 16_000, synthetic.table(), source="", bark=0, folder=None, _waveforms=[])
    for test_fold in ORDERS:
        case = list(RATES), sounds, test_fold, _TryOut(sounds, test_fold)
        found = _attempt(lambda *given: (answer(*given), given[-1]), case)  # which is called with copies
        if isinstance(found, Exception):
            raised = f"Your code raised `{type(found).__name__}: {found}`."
            return Verdict("wrong", str(found) if isinstance(found, _Spoilt) else raised)
        chosen, try_out = found
        if chosen is ... or chosen is None:
            return TODO
        try:
            number = float(chosen + 0)  # a text cannot be added to
            chosen = next((rate for rate in RATES if np.isclose(number, rate, atol=0)), number)
        except (TypeError, ValueError, RuntimeError):
            chosen = None
        scores, tried = try_out.scores["validation"], try_out.splits
        faults = {
            TEST_SEEN: try_out.saw_test,
            TRAINED_ON: try_out.scored_training,
            SIBLINGS: try_out.siblings,
            SWAPPED: try_out.swapped,
            FEW: try_out.few,
            WASTED: try_out.wasted,
            NOT_ALL: tried.keys() != set(RATES),
            OTHER_CLIPS: any(split != tried.get(RATES[0]) for split in tried.values()),
            SEVERAL: chosen is None,
            SCORE: chosen in scores.values(),
            PLACE: chosen not in RATES,
            WORST: chosen == min(RATES, key=scores.get),
            NOT_BEST: chosen != max(RATES, key=scores.get),
        }
        for message, is_there in faults.items():
            if is_there:
                return Verdict("wrong", message)
    return Verdict("right", "The test fold has not been looked at: it can still tell what your choice is worth.")


TEST_SEEN = "Clips of the test fold went into `try_out`. Whatever is chosen on them, they can no longer judge."
TRAINED_ON = "You score on clips that the model was trained on: that rewards learning by heart."
SIBLINGS = "Takes of one recording lie on both sides of your split: `sounds.inner_split` keeps them together."
SWAPPED = "You train on the smaller part and score on the larger one: the other way round."
FEW = "You score on less than a tenth of the clips: too few to tell one rate from another."
WASTED = "Some clips of the training folds are on neither side: train on all that do not validate."
NOT_ALL = "Not every rate of `rates` was tried."
OTHER_CLIPS = "Each rate met other clips: the luck of the split chooses then. Cut once, before the first rate."
SEVERAL = "One rate is asked for, as a number: the one whose accuracy is the highest."
SCORE = "That is the accuracy of the best rate; the rate itself is asked for."
PLACE = "That is none of the `rates`: give the rate itself, not its place."
WORST = "That is the rate with the lowest accuracy."
NOT_BEST = "That is not the rate with the highest accuracy on the validation part."


def _choose_lr(split: Callable, *, pick=max, give=lambda rate, scores: rate, rates=slice(None)) -> Callable:
    """A choice like the right one, with something wrong; `split(sounds, test_fold)` gives what to train on and to score on."""

    def answer(all_rates, sounds, test_fold, try_out):
        train, scored = split(sounds, test_fold)
        scores = {rate: try_out(rate, train, scored) for rate in all_rates[rates]}
        chosen = pick(scores, key=scores.get)
        return give(chosen, scores)

    return answer


def _a_split_for_each_rate(rates, sounds, test_fold, try_out) -> float:
    scores = {lr: try_out(lr, *sounds.inner_split(test_fold, seed=place)) for place, lr in enumerate(rates)}
    return max(scores, key=scores.get)


def _inner(sounds, test_fold):
    return sounds.inner_split(test_fold)


def _shuffled_inner(sounds, test_fold):
    train = np.random.default_rng(0).permutation(sounds.split(test_fold)[0])
    return train[64:], train[:64]


def _uneven_inner(sounds, test_fold, trained, scored):
    """Parts of the inner split: the first so many clips of each side."""
    train, validation = sounds.inner_split(test_fold)
    return train[:trained], validation[:scored]


# --- all -------------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, dict[str, Any]] = {
    "paired_interval": {
        "You draw the clips of each method apart. Both met the same clips: draw from the differences, clip by clip.": (
            _paired_interval(paired=False)
        ),
        "The sign is the other way round: positive where `one` is better.": _paired_interval(
            of=lambda one, other: other - one
        ),
        "That is in points; give shares, between -1 and 1.": _paired_interval(scale=100),
        "Your interval is too narrow: it holds 68 of 100 draws. Take the quantiles 0.025 and 0.975.": (
            _paired_interval(level=(0.16, 0.84))
        ),
        "Your interval is too narrow: it holds 90 of 100 draws. 0.025 lies below and 0.025 above, 0.95 between.": (
            _paired_interval(level=(0.05, 0.95))
        ),
        "That is the range of single clips. Draw as many clips as there are, and take their mean, thousands of times.": (
            _one_clip
        ),
        "That is the accuracy of `one` alone; the difference from `other` is asked for.": _paired_interval(
            of=lambda one, other: one
        ),
        "You left out the clips on which both do the same. They count: with them the difference is smaller.": (
            _paired_interval(of=lambda one, other: (one - other)[one != other])
        ),
    },
    "choose_lr": {
        TEST_SEEN: _choose_lr(lambda sounds, fold: sounds.split(fold)),
        TRAINED_ON: _choose_lr(lambda sounds, fold: 2 * (sounds.split(fold)[0],)),
        SIBLINGS: _choose_lr(_shuffled_inner),
        SWAPPED: _choose_lr(lambda sounds, fold: sounds.inner_split(fold)[::-1]),
        FEW: _choose_lr(lambda sounds, fold: _uneven_inner(sounds, fold, None, 3)),
        WASTED: _choose_lr(lambda sounds, fold: _uneven_inner(sounds, fold, -20, None)),
        NOT_ALL: _choose_lr(_inner, rates=slice(2)),
        OTHER_CLIPS: _a_split_for_each_rate,
        SEVERAL: _choose_lr(_inner, give=lambda rate, scores: np.array(list(scores.values()))),
        SCORE: _choose_lr(_inner, give=lambda rate, scores: scores[rate]),
        PLACE: _choose_lr(_inner, give=lambda rate, scores: list(scores).index(rate)),
        WORST: _choose_lr(_inner, pick=min),
        NOT_BEST: _choose_lr(_inner, give=lambda rate, scores: max(scores)),
    },
}
