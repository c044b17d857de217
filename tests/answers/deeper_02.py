"""Right answers in other spellings than the folded solution of the companion to lesson 02."""

import numpy as np
import torch
import torch.nn.functional as F


def absorb_by_response(weight, bias, mean, std):
    """The new bias is what the old stem answers to silence: a normalised zero in every pixel."""
    mean, std = torch.tensor(mean), torch.tensor(std)
    silence = (-mean / std)[None, :, None, None].expand(1, 3, *weight.shape[2:])
    return torch.einsum("dchw,c->dhw", weight, 1 / std)[:, None], F.conv2d(silence, weight, bias).flatten()


def absorb_by_loop(weight, bias, mean, std):
    new_weight, new_bias = 0, bias.clone()
    for c in range(3):
        new_weight = new_weight + weight[:, c : c + 1] / std[c]
        new_bias -= mean[c] / std[c] * weight[:, c].flatten(1).sum(1)
    return new_weight, new_bias


def absorb_in_numpy(weight, bias, mean, std):
    scaled = weight.numpy() / np.reshape(std, (3, 1, 1))
    return scaled.sum(1, keepdims=True), bias.numpy() - (scaled * np.reshape(mean, (3, 1, 1))).sum((1, 2, 3))


RIGHT = {"absorb": [absorb_by_response, absorb_by_loop, absorb_in_numpy]}
