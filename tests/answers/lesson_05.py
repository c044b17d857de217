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
    "predict": [predict, predict_with_numpy, predict_twice],
}
