"""Exercise of deeper/05: write the evaluation."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from helpers.exercises import Verdict, grade

# --- D5.1: the evaluation -----------------------------------------------------------------------------------------------


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
    with torch.random.fork_rng(devices=[]):  # nn.Linear draws its start from the learner's random numbers
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


# --- all ---------------------------------------------------------------------------------------------------------------

MISTAKES: dict[str, dict[str, Any]] = {
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
}
