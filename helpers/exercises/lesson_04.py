"""Exercises of lesson 04: a head's parameters, a head of one's own, DeiT's two heads, what to average."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.exercises import TODO, Verdict, grade

# --- 4.1: how many parameters has a head? ------------------------------------------------------------------------------

# embed_dim, num_classes, num_heads
COUNT_CASES = [(192, 10, 1), (192, 10, 2), (1280, 50, 1), (768, 527, 2)]


def check_head_parameters(answer) -> Verdict:
    """`head_parameters(embed_dim, num_classes, num_heads)`: weights and biases of all heads."""
    return grade(
        answer,
        reference=lambda dim, classes, heads: heads * classes * (dim + 1),
        cases=COUNT_CASES,
        mistakes=MISTAKES["head_parameters"],
        right="Each class is one row of weights and one bias, in each head.",
    )


# --- 4.2: a head of your own -------------------------------------------------------------------------------------------


def check_sound_head(answer) -> Verdict:
    """`sound_head(embed_dim, num_classes)`: a module, (batch, embed_dim) to logits (batch, num_classes)."""
    right = "Norm, dropout, linear: the first loss is ln(classes), however large the features are."
    return _first_fault(answer, _faults_of_head, [(48, 10), (20, 7)], right)


def _faults_of_head(answer: Callable, embed_dim: int, num_classes: int) -> dict[str, bool] | None:
    head = answer(embed_dim, num_classes)
    if head is None or head is ...:
        return None
    if not isinstance(head, nn.Module):
        return {f"The function returns a {type(head).__name__}; an `nn.Module` is expected.": True}
    features = 5 + 30 * torch.randn(64, embed_dim)
    first = head.eval()(features)
    if first.shape != (64, num_classes):
        return {f"The shape is {tuple(first.shape)}; expected {(64, num_classes)}.": True}
    first_loss = F.cross_entropy(first, torch.arange(64) % num_classes).item()
    last = [weight for weight in head.parameters() if weight.ndim == 2 and num_classes in weight.shape]
    if not last:
        return {NO_LINEAR: True}
    with torch.no_grad():
        last[-1].normal_()  # as if it had learnt something
    logits, louder = head(features), head(10 * features)
    in_training = head.train()(features)
    with torch.no_grad():
        last[-1].mul_(-2)
    doubled = head.eval()(features)
    sums = logits.sum(dim=1), logits.exp().sum(dim=1)  # of probabilities, of their logarithms
    return {
        SOFTMAX: any(torch.allclose(one, torch.ones(64), atol=1e-4) for one in sums),
        DEAD: not logits.any(),
        NO_NORM: not torch.allclose(logits, louder, atol=1e-2),
        RANDOM: abs(first_loss - math.log(num_classes)) > 1e-5,
        AFTER_LINEAR: not torch.allclose(doubled, -2 * logits, rtol=1e-3, atol=1e-3),
        FROZEN: not all(weight.requires_grad for weight in head.parameters()),
        NO_DROPOUT: torch.equal(in_training, logits),
        LATE_DROPOUT: bool((in_training == 0).any()),
    }


SOFTMAX = "There is a softmax at the end. `cross_entropy` applies its own: a head gives logits."
NO_NORM = "The logits grow with the features: begin with a LayerNorm (a batch norm would use stored statistics)."
AFTER_LINEAR = "Something follows the linear layer: its values are the logits, as they are."
DEAD = "The norm's own weight is zero as well, so nothing gets through: set the linear layer alone to zero."
NO_LINEAR = "There is no linear layer that ends in the classes: its weight would have `num_classes` rows."
RANDOM = "The first loss is not ln(classes): `nn.Linear` starts with a random weight and bias; set both to zero."
FROZEN = "Some weights are frozen (`requires_grad` is False): the head could not learn."
NO_DROPOUT = "Nothing is dropped in training: put `nn.Dropout` before the linear layer."
LATE_DROPOUT = "Whole logits are dropped: the dropout belongs before the linear layer, on the features."


def _sound_head(
    *,
    norm=True,
    dropout=0.2,
    zero=("weight", "bias"),
    order=("norm", "dropout", "linear"),
    last=nn.Identity,
    frozen=False,
) -> Callable:
    """A head like the right one, with something wrong."""

    def answer(embed_dim, num_classes):
        linear = nn.Linear(embed_dim, num_classes)
        for name in zero:
            nn.init.zeros_(getattr(linear, name))
        linear.requires_grad_(not frozen)
        layers = {
            "norm": nn.LayerNorm(embed_dim) if norm else nn.Identity(),
            "dropout": nn.Dropout(dropout),
            "linear": linear,
        }
        return nn.Sequential(*(layers[name] for name in order), last())

    return answer


# --- 4.3: both heads ---------------------------------------------------------------------------------------------------


def check_replace_both_heads(answer) -> Verdict:
    """`replace_both_heads(model, num_classes)`: DeiT with two new heads of zeros, the same model returned."""
    right = "Two new heads of zeros; the first loss is ln(classes) exactly."
    return _first_fault(answer, _faults_of_model, [(4,), (10,)], right)


def _faults_of_model(answer: Callable, num_classes: int) -> dict[str, bool] | None:
    sizes = {"embed_dim": 12, "depth": 1, "num_heads": 3, "img_size": 32, "num_classes": 7}
    model = timm.create_model("deit_tiny_distilled_patch16_224", **sizes)
    old, stem = (model.head, model.head_dist), model.patch_embed.proj.weight.detach().clone()
    result = answer(model, num_classes)
    if result is ... or (result is None and (model.head, model.head_dist) == old):
        return None
    head, head_dist = model.get_classifier()
    widths = [one.in_features for one in (head, head_dist) if isinstance(one, nn.Linear)]
    if len(widths) < 2 or widths != [model.embed_dim] * 2:
        return {WIDTH: True}
    if head.bias is None or head_dist.bias is None:
        return {NO_BIAS: True}
    return {
        NEITHER: head is old[0] and head_dist is old[1],
        ONE_OLD.format("head", "head_dist"): head_dist.out_features != num_classes,
        ONE_OLD.format("head_dist", "head"): head.out_features != num_classes,
        SHARED: head.weight is head_dist.weight,
        RANDOM_WEIGHTS: bool(head.weight.any() or head_dist.weight.any()),
        RANDOM_BIASES: bool(head.bias.any() or head_dist.bias.any()),
        ERASED: not torch.equal(model.patch_embed.proj.weight, stem),
        FROZEN: not all(weight.requires_grad for one in (head, head_dist) for weight in one.parameters()),
        OLD_NUMBER: model.num_classes != num_classes,
        NOT_RETURNED: result is not model,
    }


WIDTH = "Both heads are linear layers that read `model.embed_dim` features: `nn.Linear(model.embed_dim, num_classes)`."
NEITHER = "Neither head of the model that you were given is new: set `model.head` and `model.head_dist`."
ONE_OLD = "Only `{0}` is new. `{1}` still has the old classes, and a mean of the two cannot be taken."
SHARED = "The two heads are one and the same module: what one learns, the other learns. Make two."
RANDOM_WEIGHTS = "The weights are random, and the first loss is above ln(classes): set them to zero."
NO_BIAS = "A head lacks its bias: `nn.Linear` has one unless you leave it out."
ERASED = "Weights below the heads have changed, too: the pretrained model is what you want to keep."
RANDOM_BIASES = "The biases still are random: set them to zero as well."
OLD_NUMBER = "The heads are right, but `model.num_classes` still names the old number: timm and others read it."
NOT_RETURNED = "The heads are right, but your function does not return the model: end it with `return model`."


def _replace(
    *names: str, zero=("weight", "bias"), count=True, share=False, give_back=True, bias=True, frozen=False
) -> Callable:
    """Heads replaced by hand, with something forgotten."""

    def answer(model, num_classes):
        for name in names:
            head = nn.Linear(model.embed_dim, num_classes, bias=bias).requires_grad_(not frozen)
            for kind in zero:
                nn.init.zeros_(getattr(head, kind))
            setattr(model, name, head)
        if share:
            model.head_dist = model.head
        if count:
            model.num_classes = num_classes
        return model if give_back else None

    return answer


def _narrow(model, num_classes):
    model.head, model.head_dist = (nn.Linear(2 * model.embed_dim, num_classes) for _ in range(2))
    return model


def _on_a_copy(model, num_classes):
    return _reset(copy.deepcopy(model), num_classes)


def _zeroed(module):
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def _reset(model, num_classes):
    model.reset_classifier(num_classes)
    return model


# --- 4.4: what is averaged? --------------------------------------------------------------------------------------------

_draw = torch.Generator().manual_seed(4)
PAIR_CASES = [tuple(3 * torch.randn(2, 5, 4, generator=_draw)), tuple(torch.randn(2, 3, 7, generator=_draw))]


def check_joint_probabilities(answer) -> Verdict:
    """`joint_probabilities(class_logits, dist_logits)`: (batch, num_classes) each, to probabilities as timm's DeiT means them."""
    return grade(
        answer,
        reference=lambda one, two: ((one + two) / 2).softmax(dim=1),
        cases=PAIR_CASES,
        mistakes=MISTAKES["joint_probabilities"],
        right="The mean of the logits, then one softmax: what the model's own output means.",
    )


def _mean_of_softmaxes(one: Tensor, two: Tensor) -> Tensor:
    return (one.softmax(dim=1) + two.softmax(dim=1)) / 2


# --- all ---------------------------------------------------------------------------------------------------------------


def _first_fault(answer: Any, faults: Callable, cases: Sequence[tuple], right: str) -> Verdict:
    """Verdict on an answer that is judged by its properties, since many different ones are right."""
    if answer is ... or answer is None:
        return TODO
    for case in cases:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                found = faults(answer, *case)
            except Exception as error:
                return Verdict("wrong", f"Your code raised `{type(error).__name__}: {error}`.")
        if found is None:
            return TODO
        for message, is_there in found.items():
            if is_there:
                return Verdict("wrong", message)
    return Verdict("right", right)


MISTAKES: dict[str, dict[str, Any]] = {
    "head_parameters": {
        "The biases are missing: each head has one for each class.": lambda dim, classes, heads: heads * classes * dim,
        "A head has a bias for each class, not one in all.": lambda dim, classes, heads: heads * (classes * dim + 1),
        "That is one head, whatever `num_heads` says, and without its biases.": lambda dim, classes, heads: (
            classes * dim
        ),
        "That is one head, whatever `num_heads` says.": lambda dim, classes, heads: classes * (dim + 1),
        "All weights are there, but the biases of one head only.": lambda dim, classes, heads: (
            heads * classes * dim + classes
        ),
        "A bias belongs to an output, not to an input: `num_classes` of them in a head.": (
            lambda dim, classes, heads: heads * (classes * dim + dim)
        ),
        "That is one class too many: there is no background class.": lambda dim, classes, heads: (
            heads * (classes + 1) * (dim + 1)
        ),
    },
    "sound_head": {
        SOFTMAX: _sound_head(last=lambda: nn.LogSoftmax(dim=1)),
        AFTER_LINEAR: _sound_head(last=nn.Tanh),
        DEAD: lambda embed_dim, num_classes: _zeroed(_sound_head()(embed_dim, num_classes)),
        NO_NORM: _sound_head(norm=False),
        RANDOM: _sound_head(zero=("weight",)),
        FROZEN: _sound_head(frozen=True),
        NO_DROPOUT: _sound_head(dropout=0.0),
        LATE_DROPOUT: _sound_head(order=("norm", "linear", "dropout")),
    },
    "replace_both_heads": {
        WIDTH: _narrow,
        NEITHER: _on_a_copy,
        ONE_OLD.format("head", "head_dist"): _replace("head"),
        ONE_OLD.format("head_dist", "head"): _replace("head_dist"),
        SHARED: _replace("head", share=True),
        RANDOM_WEIGHTS: _reset,
        RANDOM_BIASES: _replace("head", "head_dist", zero=("weight",)),
        NO_BIAS: _replace("head", "head_dist", zero=("weight",), bias=False),
        ERASED: lambda model, num_classes: _zeroed(_reset(model, num_classes)),
        FROZEN: _replace("head", "head_dist", frozen=True),
        OLD_NUMBER: _replace("head", "head_dist", count=False),
        NOT_RETURNED: _replace("head", "head_dist", give_back=False),
    },
    "joint_probabilities": {
        "That is the mean of two softmaxes, as in the DeiT paper. timm averages logits, then applies one softmax.": _mean_of_softmaxes,
        "That is a softmax of the sum. Half of it is the mean; the sum makes the model too sure.": (
            lambda one, two: (one + two).softmax(1)
        ),
        "The softmax runs over the clips: each clip's classes must sum to 1, `dim=1`.": lambda one, two: (
            (one + two) / 2
        ).softmax(0),
        "These are logits: a softmax over the classes makes them probabilities.": lambda one, two: (one + two) / 2,
        "Two softmaxes, one after the other, push all probabilities together.": (
            lambda one, two: _mean_of_softmaxes(one, two).softmax(1)
        ),
        "That is the class head alone.": lambda one, two: one.softmax(1),
    },
}
