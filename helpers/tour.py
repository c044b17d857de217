"""The tour: its riddle, its progress while it trains, and what its parts leave for those after them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from helpers import backbones, fine_tuning, heads
from helpers.session import Data, Session


def riddle(data: Data) -> tuple[dict[str, Tensor], list[Tensor], str]:
    """Three pictures and three sounds in another order: a bark, a clock and rain.

    Returns:
        Pictures {letter: (n_mels, frames)}, waveforms (samples,), and the answer with the credits of the clips.
    """
    kinds = data.sounds.table["class_name"]
    clock, rain = (int(kinds.str.startswith(kind).to_numpy().argmax()) for kind in ("clock", "rain"))
    chosen = {"A": data.sounds.bark, "B": clock, "C": rain}
    order = "CAB"
    said = [
        f"{letter} is sound {order.index(letter) + 1}, {kinds[clip]}: {data.sounds.credits(clip)}"
        for letter, clip in chosen.items()
    ]
    pictures = {letter: data.pictures[clip, 0] for letter, clip in chosen.items()}
    return pictures, [data.sounds[chosen[letter]] for letter in order], "\n".join(said)


def new_head(features: Tensor, data: Data) -> LogisticRegression:
    """A linear head for the data's classes, fitted to the features (clips, dim) of its training clips."""
    return LogisticRegression(max_iter=1000).fit(features[data.train], data.labels[data.train])


def say(data: Data) -> Callable[[nn.Module, list[dict]], None]:
    """What `fine_tuning.train` is to call after each epoch: it prints the loss, and the accuracy on fold 1 only to look at."""

    def after_epoch(model: nn.Module, history: list[dict]) -> None:
        logits = fine_tuning.evaluate(model, data.log_mel[data.test], mean=data.mean, std=data.std)
        accuracy = fine_tuning.accuracy(logits, data.labels[data.test])
        print(f"epoch {history[-1]['epoch']}: loss {history[-1]['loss']:.2f}, fold 1 {accuracy:.1%}")

    return after_epoch


def predict(waveform: Tensor, file: Path, most: int = 3) -> dict[str, float]:
    """The likeliest names of a waveform (samples,) by the model in a file of `fine_tuning.save_model`, with their probabilities."""
    model, log_mel, notes = fine_tuning.load_model(file)
    logits = fine_tuning.evaluate(model, log_mel(waveform[None]), mean=notes["mean"], std=notes["std"])
    probabilities = logits[0].softmax(dim=0)
    return {notes["class_names"][place]: probabilities[place].item() for place in probabilities.topk(most).indices}


def catch_up(parts: int, here: Session, data: Data) -> dict[str, Any]:
    """Make what the first `parts` parts of the tour leave for those after them, and say which names that are.

    Args:
        parts: 0 to 4.
        here, data: What `session.start()` and `here.load()` gave.
    Returns:
        {name: value} as in the cells, so that `globals().update(catch_up(2, here, data))` puts all in place.
    Raises:
        ValueError: If there are no so many parts to catch up with.
    """
    if parts not in range(5):
        raise ValueError(f"parts must be 0 to 4, as many as you want made for you, got {parts!r}.")
    made = {}
    size = {"in_chans": 1, "img_size": here.img_size}
    if parts >= 2:  # part 1 leaves nothing but what one has learned, and so does part 3
        made["one"] = backbones.create(here.vit, here, **size).eval()
    if parts >= 4:
        made["shape"] = size | {"num_classes": len(data.class_names)}
        torch.manual_seed(here.seed)
        features = heads.embed(backbones.create(here.vit, here, **size).to(here.device), data.pictures)
        made["frozen"] = new_head(features, data).score(features[data.test], data.labels[data.test])
    print(f"Ready for part {parts + 1}" + (f", with {', '.join(made)}." if made else "."))
    return made
