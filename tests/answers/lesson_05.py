"""Right answers to the exercises of lesson 05, in different spellings."""

import numpy as np
import torch

from helpers import clips, spectrograms


def leaks_in_a_loop(recordings, train, test):
    heard = {recordings[clip] for clip in train}
    return [int(clip) for clip in test if recordings[clip] in heard]


def leaks_by_comparison(recordings, train, test):
    same = torch.as_tensor(recordings[test])[:, None] == torch.as_tensor(recordings[train])
    return torch.as_tensor(test)[same.any(dim=1)]


def accuracy_by_counting(model, batches):
    model.eval()
    right = count = 0
    with torch.no_grad():
        for x, target in batches:
            right += (model(x).argmax(dim=1) == target).sum()
            count += len(target)
    return right / count


@torch.inference_mode()
def accuracy_at_once(model, batches):
    model.eval()
    x, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return (model(x).softmax(dim=-1).max(dim=-1).indices == target).float().mean().item()


@torch.inference_mode()
def accuracy_weighted(model, batches):
    was_training = model.training
    model.eval()
    sizes = [len(target) for _, target in batches]
    shares = [(model(x).argmax(dim=1) == target).float().mean().item() for x, target in batches]
    model.train(was_training)
    return np.average(shares, weights=sizes)


def choose_by_max(rates, sounds, test_fold, try_out):
    train, validation = sounds.inner_split(test_fold)
    return max(rates, key=lambda lr: try_out(lr, train, validation))


def choose_over_two_splits(rates, sounds, test_fold, try_out):
    scores = np.zeros(len(rates))
    for seed in (0, 1):
        train, validation = sounds.inner_split(test_fold, seed=seed)
        scores += [try_out(lr, train, validation) for lr in rates]
    return rates[scores.argmax()]


def choose_by_a_whole_fold(rates, sounds, test_fold, try_out):
    """An official fold may validate as well: no recording lies in two."""
    folds = sounds.table["fold"].to_numpy()
    other = test_fold % 5 + 1
    train = np.flatnonzero((folds != test_fold) & (folds != other))
    best, chosen = 0, None
    for lr in rates:
        accuracy = try_out(lr, train, np.flatnonzero(folds == other))
        if accuracy > best:
            best, chosen = accuracy, lr
    return torch.tensor(chosen, dtype=torch.float64).item()


@torch.inference_mode()
def predict(path, model, log_mel, notes):
    waveform = clips.read_clip(path, notes["sample_rate"])
    waveform = clips.fix_length(waveform, round(notes["seconds"] * notes["sample_rate"]))
    x = spectrograms.standardize(log_mel(waveform[None]), notes["mean"], notes["std"])
    probability, index = model.eval()(x)[0].softmax(dim=0).max(dim=0)
    return notes["class_names"][index], probability


def predict_with_numpy(path, model, log_mel, notes):
    waveform = clips.read_clip(path, notes["sample_rate"])
    length = int(notes["seconds"] * notes["sample_rate"])
    waveform = torch.cat([waveform] * 10)[:length]
    x = (log_mel(waveform.unsqueeze(0)) - notes["mean"]) / (2 * notes["std"])
    logits = model.eval()(x).detach().numpy()[0]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    return notes["class_names"][probabilities.argmax()], probabilities.max()


def predict_twice(path, model, log_mel, notes):
    """The same clip twice in one batch gives the same, in evaluation mode."""
    model.eval()
    waveform = clips.read_clip(path, sample_rate=log_mel.settings["sample_rate"])
    waveforms = clips.fix_length(waveform, int(notes["seconds"] * notes["sample_rate"]), mode="repeat").expand(2, -1)
    x = spectrograms.standardize(log_mel(waveforms), mean=notes["mean"], std=notes["std"])
    with torch.no_grad():
        best = model(x).softmax(dim=1)[1]
    return notes["class_names"][int(best.argmax())], float(best.max())


RIGHT = {
    "find_leaks": [
        leaks_in_a_loop,
        leaks_by_comparison,
        lambda recordings, train, test: [clip for clip in test if (recordings[train] == recordings[clip]).any()],
    ],
    "accuracy_of": [accuracy_by_counting, accuracy_at_once, accuracy_weighted],
    "choose_lr": [choose_by_max, choose_over_two_splits, choose_by_a_whole_fold],
    "predict": [predict, predict_with_numpy, predict_twice],
}
