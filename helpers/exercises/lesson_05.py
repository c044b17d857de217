"""Exercises of lesson 05: find a leak, write the evaluation, choose without the test fold, predict a file of one's own."""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from helpers import clips, spectrograms, synthetic
from helpers.exercises import TODO, Verdict, grade

# --- 5.1: find the leak ------------------------------------------------------------------------------------------------

# recording of each clip, training clips, test clips
LEAK_CASES = [
    (np.array([507, 507, 913, 913, 913, 604, 821, 736, 736]), np.array([0, 2, 5, 7]), np.array([8, 1, 3, 4, 6])),
    (np.array([31, 44, 31, 58, 44, 62, 77]), np.array([6, 5, 4, 2]), np.array([3, 1, 0])),
    (np.array([12, 12, 15, 15, 19, 23]), np.array([0, 4]), np.array([3, 1, 2, 5])),  # 15 is twice in test, not in train
    (np.array([8, 8, 8, 3, 5, 3, 9]), np.array([2, 0, 5, 4]), np.array([6, 3, 1])),  # 8 is twice in train
]


def check_find_leaks(answer) -> Verdict:
    """`find_leaks(recordings, train, test)`: the test clips of which another take was trained on, in any order."""
    return grade(
        _in_order(answer),
        reference=_in_order(_leaks),
        cases=LEAK_CASES,
        mistakes={message: _in_order(mistake) for message, mistake in MISTAKES["find_leaks"].items()},
        right="No clip is on both sides, and yet these are not new to the model.",
    )


def _in_order(answer: Any) -> Any:
    if not callable(answer):
        return answer

    def sorted_answer(*case):
        found = answer(*case)
        return found if found is None or found is ... else np.sort(np.asarray(list(found)))

    return sorted_answer


def _twice(recordings: np.ndarray) -> np.ndarray:
    values, counts = np.unique(recordings, return_counts=True)
    return values[counts > 1]


def _leaks(recordings: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return test[np.isin(recordings[test], recordings[train])]


# --- 5.2: the evaluation -----------------------------------------------------------------------------------------------


class _Classifier(nn.Module):
    """A small model that notices whether gradients are recorded; in training mode its batch norm answers otherwise."""

    def __init__(self, seed: int):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.norm, self.head = nn.BatchNorm1d(6), nn.Linear(6, 4)
        self.norm.running_mean.copy_(torch.randn(6, generator=draw))
        self.norm.running_var.copy_(4 * torch.rand(6, generator=draw) + 0.1)
        for parameter in self.head.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draw)
        self.saw_gradients = False

    def forward(self, x: Tensor) -> Tensor:
        self.saw_gradients |= torch.is_grad_enabled()
        return self.head(self.norm(x))


def _evaluation_case(seed: int) -> tuple:
    """A model in training mode and batches of 16, 16 and 5 clips, of which it knows some more than half."""
    draw, model = torch.Generator().manual_seed(seed), _Classifier(seed)
    x = torch.randn(37, 6, generator=draw)
    with torch.no_grad():
        target = model.eval()(x).argmax(dim=1)
    target[::3] = (target[::3] + 1) % 4
    target[-4:] = (target[-4:] + 2) % 4
    model.saw_gradients = False
    return model.train(), list(zip(x.split(16), target.split(16), strict=True))


EVALUATION_CASES = [_evaluation_case(seed) for seed in (1, 2)]


def check_accuracy_of(answer) -> Verdict:
    """`accuracy_of(model, batches)`: share of all clips whose largest logit is the label's; the model comes in training mode."""
    verdict = grade(
        answer,
        reference=_accuracy_of(),
        cases=EVALUATION_CASES,
        mistakes=MISTAKES["accuracy_of"],
        right="Evaluation mode, no gradients, and every clip counts as one.",
    )
    if verdict.outcome == "right" and _records_gradients(answer):
        return Verdict("wrong", GRADIENTS)
    return verdict


GRADIENTS = "The number is right, but gradients are recorded for nothing: use `torch.inference_mode()`."


def _records_gradients(answer: Any) -> bool:
    model, batches = copy.deepcopy(EVALUATION_CASES[0])
    answer(model, batches)
    return model.saw_gradients


def _accuracy_of(*, evaluation=True, gradients=False, mean_of_batches=False, used=slice(None)) -> Callable:
    """An evaluation like the right one, with something wrong."""

    def answer(model, batches):
        model.train(not evaluation)
        with torch.set_grad_enabled(gradients):
            right = [(model(x).argmax(dim=1) == target).float() for x, target in batches[used]]
        return (torch.stack([batch.mean() for batch in right]) if mean_of_batches else torch.cat(right)).mean().item()

    return answer


# --- 5.3: choose without the test fold -----------------------------------------------------------------------------------

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
        self.tried, self.saw_test, self.scored_training, self.siblings = set(), False, False, False
        self.swapped, self.few, self.wasted = False, False, False

    def __call__(self, lr: float, train, scored) -> float:
        train, scored = (np.asarray(some) for some in (train, scored))
        used = {*train.tolist(), *scored.tolist()}
        sees_test = bool(self.test & used)
        same = bool(np.isin(scored, train).any())
        self.tried.add(float(lr))
        self.saw_test |= sees_test
        self.scored_training |= same
        self.swapped |= len(train) < len(scored)
        self.few |= 10 * len(scored) < len(used)
        self.wasted |= not self.training <= used
        self.siblings |= bool(np.isin(self.recordings[scored], self.recordings[train]).any())
        return self.scores["training" if same else "test" if sees_test else "validation"][float(lr)]


def check_choose_lr(answer) -> Verdict:
    """`choose_lr(rates, sounds, test_fold, try_out)`: the rate that is best on an inner validation part."""
    if answer is ... or answer is None:
        return TODO
    sounds = clips.Clips("synthetic", 16_000, synthetic.table(), source="", bark=0, folder=None, _waveforms=[])
    for test_fold in ORDERS:
        try_out = _TryOut(sounds, test_fold)
        try:
            chosen = answer(list(RATES), sounds, test_fold, try_out)
        except Exception as error:
            return Verdict("wrong", f"Your code raised `{type(error).__name__}: {error}`.")
        if chosen is ... or chosen is None:
            return TODO
        scores = try_out.scores["validation"]
        faults = {
            TEST_SEEN: try_out.saw_test,
            TRAINED_ON: try_out.scored_training,
            SIBLINGS: try_out.siblings,
            SWAPPED: try_out.swapped,
            FEW: try_out.few,
            WASTED: try_out.wasted,
            NOT_ALL: try_out.tried != set(RATES),
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


def _inner(sounds, test_fold):
    return sounds.inner_split(test_fold)


def _shuffled_inner(sounds, test_fold):
    train = np.random.default_rng(0).permutation(sounds.split(test_fold)[0])
    return train[64:], train[:64]


def _uneven_inner(sounds, test_fold, trained, scored):
    """Parts of the inner split: the first so many clips of each side."""
    train, validation = sounds.inner_split(test_fold)
    return train[:trained], validation[:scored]


# --- 5.4: a file of your own --------------------------------------------------------------------------------------------

NOTES = {"sample_rate": 8000, "seconds": 1.0, "mean": -7.0, "std": 3.0, "class_names": ["owl", "rain", "saw"]}
OTHER_NOTES = NOTES | {"seconds": 1.5, "mean": -6.0, "std": 2.5, "class_names": ["bell", "tide", "crow"]}


def check_predict(answer) -> Verdict:
    """`predict(path, model, log_mel, notes)`: (name of the class, its probability) of a sound file of any rate and length."""
    log_mel = spectrograms.LogMel(sample_rate=8000, n_fft=512, hop_length=125, n_mels=32)
    with tempfile.TemporaryDirectory() as folder:
        cases = []
        for seed, (rate, seconds, notes) in enumerate([(16_000, 0.3, NOTES), (8000, 1.7, OTHER_NOTES)]):
            draw = np.random.default_rng(seed)
            path = Path(folder) / f"{seed}.wav"
            time = np.arange(int(rate * seconds)) / rate
            tone = np.sin(2 * np.pi * (500 + 900 * time) * time) * (0.2 + 0.8 * (seed == 1))
            soundfile.write(path, 0.3 * tone + 0.01 * draw.standard_normal(len(time)), rate)
            cases.append((path, _listener(seed), log_mel, notes))
        return grade(
            answer,
            reference=_predict(),
            cases=cases,
            mistakes=MISTAKES["predict"],
            right="The file went the same way as the training clips.",
            atol=1e-4,
        )


def _listener(seed: int) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)
    norm, head = nn.BatchNorm2d(1), nn.Linear(16, 3)
    norm.running_mean.fill_(0.2)
    head.weight.data = torch.randn(head.weight.shape, generator=draw)
    return nn.Sequential(nn.AdaptiveAvgPool2d((4, 4)), norm, nn.Flatten(), head).train()


def _predict(
    *,
    evaluation=True,
    sample_rate: Callable = lambda notes: notes["sample_rate"],
    mode: str | None = "repeat",
    statistics: Callable = lambda x, notes: (notes["mean"], notes["std"]),
    squash: Callable = lambda logits: logits.softmax(dim=0),
    name: Callable = lambda notes, index: notes["class_names"][index],
) -> Callable:
    """A prediction like the right one, with something wrong."""

    def answer(path, model, log_mel, notes):
        waveform = clips.read_clip(path, sample_rate(notes))
        if mode:
            waveform = clips.fix_length(waveform, round(notes["seconds"] * notes["sample_rate"]), mode=mode)
        x = log_mel(waveform[None])
        x = spectrograms.standardize(x, *statistics(x, notes))
        model.train(not evaluation)
        with torch.inference_mode():
            values = squash(model(x)[0])
        best = int(values.argmax())
        return name(notes, best), values[best].item()

    return answer


# --- all ---------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, dict[str, Any]] = {
    "find_leaks": {
        "These are places within `test`; the numbers of the clips are `test[places]`.": lambda recordings, train, test: (
            np.flatnonzero(np.isin(recordings[test], recordings[train]))
        ),
        "You asked all clips, the training clips too; only those of `test` are wanted.": (
            lambda recordings, train, test: np.flatnonzero(np.isin(recordings, recordings[train]))
        ),
        "Two takes that both lie in `test` are no leak: the model has heard neither. Ask for those with a take in `train`.": (
            lambda recordings, train, test: test[np.isin(recordings[test], _twice(recordings))]
        ),
        "These are training clips. The test is what the leak spoils: which clips of `test`?": (
            lambda recordings, train, test: train[np.isin(recordings[train], recordings[test])]
        ),
        "No clip is on both sides, true. But a recording may be: compare `recordings`, not clip numbers.": (
            lambda recordings, train, test: test[np.isin(test, train)]
        ),
        "That is the other part: the clips whose recording the model has not heard.": lambda recordings, train, test: (
            test[~np.isin(recordings[test], recordings[train])]
        ),
        "A clip is named once for each of its takes in `train`: once is enough.": lambda recordings, train, test: (
            [clip for clip in test for other in train if recordings[clip] == recordings[other]]
        ),
        "These are recordings; the clips of `test` are asked for.": lambda recordings, train, test: np.intersect1d(
            recordings[test], recordings[train]
        ),
        "That is one value for each test clip, true or false; take the clips where it is true.": (
            lambda recordings, train, test: np.isin(recordings[test], recordings[train])
        ),
    },
    "accuracy_of": {
        "The model is still in training mode: its batch norm judges each clip by its batch. `model.eval()` comes first.": (
            _accuracy_of(evaluation=False)
        ),
        GRADIENTS: _accuracy_of(gradients=True),
        "That is the mean of the batches' accuracies: the last batch is shorter, and its clips count more than the others.": (
            _accuracy_of(mean_of_batches=True)
        ),
        "That is the accuracy of the last batch alone.": _accuracy_of(used=slice(-1, None)),
        "That is the accuracy of the first batch alone.": _accuracy_of(used=slice(1)),
        "That is how many are right; divide by the number of all clips.": (
            lambda model, batches: 37 * _accuracy_of()(model, batches)
        ),
        "That is in per cent; a share of all clips is asked for, between 0 and 1.": (
            lambda model, batches: 100 * _accuracy_of()(model, batches)
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
        SCORE: _choose_lr(_inner, give=lambda rate, scores: scores[rate]),
        PLACE: _choose_lr(_inner, give=lambda rate, scores: list(scores).index(rate)),
        WORST: _choose_lr(_inner, pick=min),
        NOT_BEST: _choose_lr(_inner, give=lambda rate, scores: max(scores)),
    },
    "predict": {
        "The model is in training mode: `model.eval()` before it predicts.": _predict(evaluation=False),
        "You standardise by the file's own mean and spread. The model knows those of its training clips: `notes`.": (
            _predict(statistics=lambda x, notes: spectrograms.fit_statistics(x))
        ),
        "You divide by the spread; in training `spectrograms.standardize` divided by twice the spread.": (
            _predict(statistics=lambda x, notes: (notes["mean"], notes["std"] / 2))
        ),
        "The log-mel is not standardised: the model has never seen such levels.": _predict(
            statistics=lambda x, _: (0.0, 0.5)
        ),
        "Silence was added at the end; in training, short clips were repeated.": _predict(mode="pad"),
        "The file has kept its own length: `clips.fix_length` brings it to that of the training clips.": _predict(
            mode=None
        ),
        "The file is read at another rate than `notes['sample_rate']`: all its pitches are wrong.": (
            _predict(sample_rate=lambda _: 16_000)
        ),
        "That is a logit: a softmax over the classes makes it a probability.": _predict(squash=lambda logits: logits),
        "The first value is the number of the class; `notes['class_names']` has its name.": (
            _predict(name=lambda notes, index: index)
        ),
    },
}
