"""Right answers to the exercises of lesson 06, in different spellings."""

import random

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit


def split_with_numpy(recordings, num_test, seed):
    names = np.unique(recordings)
    np.random.default_rng(seed).shuffle(names)
    test = np.isin(recordings, names[:num_test])
    return np.where(~test)[0], np.where(test)[0]


def split_in_a_loop(recordings, num_test, seed):
    held = random.Random(seed).sample(sorted(set(recordings.tolist())), num_test)
    train, test = [], []
    for place, recording in enumerate(recordings):
        (test if recording in held else train).append(place)
    return train, test


def split_with_sklearn(recordings, num_test, seed):
    splits = GroupShuffleSplit(1, test_size=num_test, random_state=seed)
    train, test = next(splits.split(recordings, groups=recordings))
    return torch.tensor(train), torch.tensor(test)


def threshold_by_sorting(validation, test, most):
    allowed = validation[validation["false alarms an hour"] <= most]
    return allowed.sort_values("hits").index[-1]


def threshold_in_a_loop(validation, test, most):
    best = None
    for threshold, row in validation.iterrows():
        if row["false alarms an hour"] <= most and (best is None or row["hits"] > validation.loc[best, "hits"]):
            best = threshold
    return best


def threshold_with_numpy(validation, test, most):
    hits = np.where(validation["false alarms an hour"] <= most, validation["hits"], -1)
    return torch.tensor(validation.index[hits.argmax()])


def lowest_threshold(validation, test, most):
    """Hits only fall as the threshold rises."""
    return validation.index[validation["false alarms an hour"] <= most].min()


RIGHT = {
    "split_by_recording": [split_with_numpy, split_in_a_loop, split_with_sklearn],
    "threshold": [threshold_by_sorting, threshold_in_a_loop, threshold_with_numpy, lowest_threshold],
}
