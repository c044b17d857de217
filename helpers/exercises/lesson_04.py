"""Exercises of lesson 04: a head of one's own, and DeiT's two heads."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.exercises import TODO, Verdict, _attempt, _Spoilt

# --- 4.1: a head of your own -------------------------------------------------------------------------------------------


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
    given = features.clone()
    first = head.eval()(given)
    if first.shape != (64, num_classes):
        return {f"The shape is {tuple(first.shape)}; expected {(64, num_classes)}.": True}
    first_loss = F.cross_entropy(first, torch.arange(64) % num_classes).item()
    into_classes = [weight for weight in head.parameters() if weight.ndim == 2 and len(weight) == num_classes]
    if not into_classes:
        return {NO_LINEAR: True}
    last = ([weight for weight in into_classes if not weight.any()] or into_classes)[-1]  # wherever it was declared
    with torch.no_grad():
        last.normal_()  # as if it had learnt something
        logits, louder, alone = head(features), head(10 * features), head(features[:2])
        again = head(features)
        in_training = head.train()(features)
        last.mul_(-2)
        doubled = head.eval()(features)
        last.zero_()
        wanted = torch.arange(1.0, num_classes + 1)
        biases = [one for one in head.parameters() if one.shape == (num_classes,) and not one.any()]
        for bias in biases:
            bias.copy_(wanted)
        scaled = bool(biases) and not torch.allclose(head(features), wanted.expand(64, -1), atol=1e-3)
    # rows that sum to 1 as they are, or as exponentials
    sums = [total for one in (logits, in_training) for total in (one.sum(dim=1), one.exp().sum(dim=1))]
    return {
        IN_PLACE: not torch.equal(given, features),
        SOFTMAX: any(torch.allclose(one, torch.ones(64), atol=1e-4) for one in sums),
        DEAD: not logits.any(),
        STILL_DROPS: not torch.equal(logits, again),
        NO_NORM: not torch.allclose(logits, louder, atol=1e-2),
        OVER_BATCH: not torch.allclose(logits[:2], alone, atol=1e-2),
        RANDOM: abs(first_loss - math.log(num_classes)) > 1e-5,
        AFTER_LINEAR: scaled or not torch.allclose(doubled, -2 * logits, rtol=1e-3, atol=1e-3),
        FROZEN: not (first.requires_grad and all(weight.requires_grad for weight in head.parameters())),
        ALL_DROPPED: not in_training.any(),
        NO_DROPOUT: torch.equal(in_training, logits),
        LATE_DROPOUT: bool((in_training[in_training.any(dim=1)] == 0).any()),
    }


IN_PLACE = "Your head writes into the features that it is given: the next head would read spoilt ones."
SOFTMAX = "There is a softmax at the end. `cross_entropy` applies its own: a head gives logits."
NO_NORM = "The logits grow with the features: begin with a LayerNorm (a batch norm would use stored statistics)."
OVER_BATCH = (
    "A clip's logits depend on the other clips of its batch: the norm is over the features, not over the clips."
)
AFTER_LINEAR = "Something follows the linear layer: its values are the logits, as they are."
STILL_DROPS = "In evaluation the logits differ from call to call: `nn.Dropout` stops by itself, `F.dropout` needs `self.training`."
ALL_DROPPED = "Everything is dropped in training: the number in `nn.Dropout` is the share that is lost, say 0.2."
DEAD = "Nothing gets through, whatever the linear layer learns: set that layer alone to zero, not the norm or another."
NO_LINEAR = "There is no linear layer that ends in the classes: its weight would have `num_classes` rows."
RANDOM = "The first loss is not ln(classes): `nn.Linear` starts with a random weight and bias; set both to zero."
FROZEN = "The head could not learn: some weights are frozen (`requires_grad` is False), or gradients are not recorded."
NO_DROPOUT = "Nothing is dropped in training: put `nn.Dropout` before the linear layer."
LATE_DROPOUT = "Whole logits are dropped: the dropout belongs before the linear layer, on the features."


class _Lambda(nn.Module):
    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _sound_head(
    *,
    norm=nn.LayerNorm,
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
        layers = {"norm": norm(embed_dim), "dropout": nn.Dropout(dropout), "linear": linear}
        return nn.Sequential(*(layers[name] for name in order), last())

    return answer


def _over_batch(embed_dim):
    return nn.BatchNorm1d(embed_dim, track_running_stats=False)


def _writes(embed_dim):
    return _Lambda(lambda x: x.sub_(x.mean(dim=1, keepdim=True)).div_(x.std(dim=1, keepdim=True)))


# --- 4.2: both heads ---------------------------------------------------------------------------------------------------


def check_replace_both_heads(answer) -> Verdict:
    """`replace_both_heads(model, num_classes)`: DeiT with two new heads of zeros, the same model returned."""
    right = "Two new heads of zeros; the first loss is ln(classes) exactly."
    return _first_fault(answer, _faults_of_model, [(4,), (10,)], right)


def _faults_of_model(answer: Callable, num_classes: int) -> dict[str, bool] | None:
    sizes = {"embed_dim": 12, "depth": 1, "num_heads": 3, "img_size": 32, "num_classes": 7}
    model = timm.create_model("deit_tiny_distilled_patch16_224", **sizes)
    old, before = (model.head, model.head_dist), copy.deepcopy(model).eval()
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
        OTHER_NUMBER: head is not old[0] and head.out_features == head_dist.out_features != num_classes,
        ONE_OLD.format("head", "head_dist"): head_dist.out_features != num_classes,
        ONE_OLD.format("head_dist", "head"): head.out_features != num_classes,
        SHARED: head.weight is head_dist.weight,
        RANDOM_WEIGHTS: bool(head.weight.any() or head_dist.weight.any()),
        RANDOM_BIASES: bool(head.bias.any() or head_dist.bias.any()),
        ERASED: not _equal(_below_heads(model), _below_heads(before)),
        FROZEN: not all(weight.requires_grad for one in (head, head_dist) for weight in one.parameters()),
        FROZEN_BELOW: not all(weight.requires_grad for weight in model.parameters()),
        OLD_NUMBER: model.num_classes != num_classes,
        NOT_RETURNED: result is not model,
        MODE: not model.training or model.distilled_training,
        CHANGED: head.out_features == head_dist.out_features and not _same_below(model, before),
    }


def _below_heads(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor outside the two heads."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith(("head.", "head_dist."))}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _same_below(model: nn.Module, before: nn.Module) -> bool:
    """Whether the tokens are those of the model that was given, and the logits as many as there are classes."""
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens, logits = model.eval().forward_features(x), model(x)
        return torch.equal(tokens, before.forward_features(x)) and logits.shape == (2, model.num_classes)


WIDTH = "Both heads are linear layers that read `model.embed_dim` features: `nn.Linear(model.embed_dim, num_classes)`."
NEITHER = "Neither head of the model that you were given is new: set `model.head` and `model.head_dist`."
OTHER_NUMBER = "Both heads are new, but for another number of classes: it is `num_classes`."
ONE_OLD = "Only `{0}` is new. `{1}` still has the old classes, and a mean of the two cannot be taken."
SHARED = "The two heads are one and the same module: what one learns, the other learns. Make two."
RANDOM_WEIGHTS = "The weights are random, and the first loss is above ln(classes): set them to zero."
NO_BIAS = "A head lacks its bias: `nn.Linear` has one unless you leave it out."
ERASED = "Weights below the heads have changed, too: the pretrained model is what you want to keep."
FROZEN_BELOW = (
    "Weights below the heads are frozen now: whether they learn is the business of training, not of new heads."
)
MODE = (
    "The heads are right, but the model is in another mode than you were given it: leave `train()` and `eval()` alone."
)
CHANGED = "The weights below the heads are the old ones, but the model computes something else with them."
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


def _zero_heads(model, num_classes):
    return _replace("head", "head_dist")(model, num_classes)


def _unfrozen_heads(model):
    model.requires_grad_(False)
    for head in model.get_classifier():
        head.requires_grad_()
    return model


def _without_block(model):
    model.blocks[0].forward = lambda x, **_: x
    return model


# --- all ---------------------------------------------------------------------------------------------------------------


def _first_fault(answer: Any, faults: Callable, cases: Sequence[tuple], right: str) -> Verdict:
    """Verdict on an answer that is judged by its properties, since many different ones are right."""
    if answer is ... or answer is None:
        return TODO

    def judge(*case):
        torch.manual_seed(0)
        return faults(answer, *case)

    for case in cases:
        found = _attempt(judge, case)
        if found is None:
            return TODO
        if isinstance(found, _Spoilt):
            return Verdict("wrong", str(found))
        if isinstance(found, Exception):
            return Verdict("wrong", f"Your code raised `{type(found).__name__}: {found}`.")
        for message, is_there in found.items():
            if is_there:
                return Verdict("wrong", message)
    return Verdict("right", right)


MISTAKES: dict[str, dict[str, Any]] = {
    "sound_head": {
        SOFTMAX: _sound_head(last=lambda: nn.LogSoftmax(dim=1)),
        AFTER_LINEAR: _sound_head(last=nn.Tanh),
        DEAD: lambda embed_dim, num_classes: _zeroed(_sound_head()(embed_dim, num_classes)),
        NO_NORM: _sound_head(norm=lambda embed_dim: nn.Identity()),
        OVER_BATCH: _sound_head(norm=_over_batch),
        IN_PLACE: _sound_head(norm=_writes),
        STILL_DROPS: _sound_head(norm=lambda embed_dim: nn.Sequential(nn.LayerNorm(embed_dim), _Lambda(F.dropout))),
        ALL_DROPPED: _sound_head(dropout=1.0),
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
        OTHER_NUMBER: lambda model, num_classes: _zero_heads(model, 5),
        SHARED: _replace("head", share=True),
        RANDOM_WEIGHTS: _reset,
        RANDOM_BIASES: _replace("head", "head_dist", zero=("weight",)),
        NO_BIAS: _replace("head", "head_dist", zero=("weight",), bias=False),
        ERASED: lambda model, num_classes: _zeroed(_reset(model, num_classes)),
        FROZEN: _replace("head", "head_dist", frozen=True),
        FROZEN_BELOW: lambda model, num_classes: _unfrozen_heads(_zero_heads(model, num_classes)),
        MODE: lambda model, num_classes: _zero_heads(model, num_classes).eval(),
        CHANGED: lambda model, num_classes: _without_block(_zero_heads(model, num_classes)),
        OLD_NUMBER: _replace("head", "head_dist", count=False),
        NOT_RETURNED: _replace("head", "head_dist", give_back=False),
    },
}
