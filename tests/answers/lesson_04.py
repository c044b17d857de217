"""Right answers to the exercises of lesson 04, in different spellings."""

import torch.nn.functional as F
from torch import nn

from helpers.heads import replace_head


class SoundHead(nn.Module):
    def __init__(self, embed_dim, num_classes):
        super().__init__()
        self.norm = nn.LayerNorm(embed_dim)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(embed_dim, num_classes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x):
        return self.out(self.drop(self.norm(x)))


class LastLayerFirst(nn.Module):
    """Declared in another order than it is used, with as many hidden features as classes."""

    def __init__(self, embed_dim, num_classes):
        super().__init__()
        self.out = nn.Linear(num_classes, num_classes)
        self.hidden = nn.Linear(embed_dim, num_classes)
        self.norm = nn.LayerNorm(embed_dim)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x):
        return self.out(F.dropout(self.hidden(self.norm(x)).relu(), 0.3, self.training))


def sound_head(embed_dim, num_classes):
    head = nn.Sequential(nn.LayerNorm(embed_dim), nn.Dropout(0.1), nn.Linear(embed_dim, num_classes))
    for parameter in head[-1].parameters():
        nn.init.zeros_(parameter)
    return head


def sound_head_with_hidden_layer(embed_dim, num_classes):
    head = nn.Sequential(
        nn.LayerNorm(embed_dim),
        nn.Linear(embed_dim, 32),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.Linear(32, num_classes),
    )
    nn.init.constant_(head[-1].weight, 0)
    nn.init.constant_(head[-1].bias, 0)
    return head


def replace_by_hand(model, num_classes):
    model.head, model.head_dist = (
        nn.Linear(model.embed_dim, num_classes),
        nn.Linear(model.embed_dim, num_classes),
    )
    for head in (model.head, model.head_dist):
        head.weight.data.zero_()
        head.bias.data.zero_()
    model.num_classes = num_classes
    return model


def replace_with_reset(model, num_classes):
    model.reset_classifier(num_classes)
    for head in model.get_classifier():
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return model


RIGHT = {
    "sound_head": [SoundHead, LastLayerFirst, sound_head, sound_head_with_hidden_layer],
    "replace_both_heads": [replace_head, replace_by_hand, replace_with_reset],
}
