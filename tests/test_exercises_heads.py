"""Odd answers to lesson 04: a model that is wrecked below its heads, and heads that only look like one."""

import pytest
import torch
from torch import nn

from helpers.exercises import lesson_04
from helpers.heads import replace_head


def blocks_drawn_anew(model):
    for module in model.blocks.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def every_linear_layer_zero(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)


WRECKS = {
    "blocks drawn anew": blocks_drawn_anew,
    "every linear layer zero": every_linear_layer_zero,
    "all frozen": lambda model: model.requires_grad_(False),
    "no final norm": lambda model: setattr(model, "norm", nn.Identity()),
    "a norm without its weights": lambda model: setattr(model, "norm", nn.LayerNorm(model.embed_dim, bias=False)),
    "no blocks": lambda model: setattr(model, "blocks", nn.Sequential()),
    "positions zero": lambda model: nn.init.zeros_(model.pos_embed),
    "one token for both": lambda model: model.dist_token.data.copy_(model.cls_token),
    "a table that is no longer learned": lambda model: setattr(model.pos_embed, "requires_grad", False),
    "half precision": lambda model: model.half(),
    "evaluation mode": lambda model: model.eval(),
    "distilled training left on": lambda model: model.set_distilled_training(True),
    "tokens swapped": lambda model: setattr(model, "forward_features", lambda x: x),
}


@pytest.mark.parametrize("name", WRECKS)
def test_new_heads_on_a_wrecked_model_are_refused(name):
    def answer(model, num_classes):
        replace_head(model, num_classes)
        WRECKS[name](model)
        return model

    assert lesson_04.check_replace_both_heads(answer).outcome == "wrong"


class Odd(nn.Module):
    """A right head, and something that is done to its logits."""

    def __init__(self, spoil, embed_dim, num_classes):
        super().__init__()
        self.norm, self.out, self.spoil = nn.LayerNorm(embed_dim), nn.Linear(embed_dim, num_classes), spoil
        nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)

    def forward(self, x):
        return self.spoil(self.out(nn.functional.dropout(self.norm(x), 0.2, self.training)), self.training)


ODD = {
    "softmax in training": lambda logits, training: logits.softmax(dim=1) if training else logits,
    "logits times 100": lambda logits, _: 100 * logits,
    "logits of the mean clip": lambda logits, _: logits - logits.mean(dim=0),
    "absolute values": lambda logits, _: logits.abs(),
    "classes sorted": lambda logits, _: logits.sort(dim=1).values,
    "noise in evaluation": lambda logits, training: logits if training else logits + torch.randn_like(logits),
}


@pytest.mark.parametrize("name", ODD)
def test_heads_whose_logits_are_not_those_of_the_linear_layer_are_refused(name):
    assert lesson_04.check_sound_head(lambda *sizes: Odd(ODD[name], *sizes)).outcome == "wrong"
    good = lesson_04.check_sound_head(lambda *sizes: Odd(lambda logits, _: logits, *sizes))
    assert good.outcome == "right", good


def test_a_check_gives_the_session_back_as_it_was():
    def answer(*sizes):
        torch.set_default_dtype(torch.float64)
        return Odd(lambda logits, _: logits, *sizes)

    assert lesson_04.check_sound_head(answer).outcome == "wrong"
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
