"""Exercises of lesson 05: find a leak, predict a file of one's own."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import nn

from helpers import clips, spectrograms
from helpers.exercises import Verdict, grade

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


# --- 5.2: a file of your own --------------------------------------------------------------------------------------------

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
    with torch.random.fork_rng(devices=[]):  # nn.Linear draws its start from the learner's random numbers
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
    "predict": {
        "The model is in training mode: `model.eval()` before it predicts.": _predict(evaluation=False),
        "You standardise by the file's own mean and standard deviation. The model knows those of its training clips: `notes`.": (
            _predict(statistics=lambda x, notes: spectrograms.fit_statistics(x))
        ),
        "You divide by the standard deviation; in training `spectrograms.standardize` divided by twice that.": (
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
