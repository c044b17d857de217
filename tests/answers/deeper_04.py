"""Right answers to the exercise of deeper 04, in different spellings."""

import torch


def by_exponentials(class_logits, dist_logits):
    joint = ((class_logits + dist_logits) / 2).exp()
    return joint / joint.sum(dim=1, keepdim=True)


RIGHT = {
    "joint_probabilities": [
        lambda class_logits, dist_logits: (class_logits / 2 + dist_logits / 2).softmax(dim=-1),
        lambda class_logits, dist_logits: torch.stack([class_logits, dist_logits]).mean(dim=0).softmax(dim=1).numpy(),
        by_exponentials,
    ],
}
