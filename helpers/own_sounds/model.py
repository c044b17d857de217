"""Train a model on a folder's clips, keep it in one file with all that a prediction needs, and use it."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from helpers import backbones, clips, decode, fine_tuning, heads, spectrograms
from helpers.own_sounds.folder import BACKGROUND, starts, windows

NONE = "none of these"
Loaded = tuple[nn.Module, spectrograms.LogMel, dict]  # what `fine_tuning.load_model` returns


def front_end(found: pd.DataFrame) -> dict:
    """Settings that suit the files of `inspect`: what `from_folder` (seconds, sample_rate, mode) and `LogMel` need.

    Sounds up to 1.28 s get a frame every 8 ms and silence after them; longer ones every 20 ms, and are repeated, 5.12 s at
    most. The band ends where that of the lowest sample rate ends: else a model could tell classes by their microphones.
    """
    good = found[found["problem"] == ""]
    if good.empty:
        raise ValueError("No file can be used: `inspect` says why for each of them.")
    typical, band = float(good["seconds"].quantile(0.95)), int(good["sample_rate"].min()) / 2
    short, sample_rate = typical <= 1.28, 16_000
    least, unit, most = (0.512, 0.128, 1.28) if short else (1.28, 0.32, 5.12)  # a unit is one patch of 16 frames
    seconds = min(max(unit * math.ceil(typical / unit), least), most)
    sizes = {"win_length": 400, "hop_length": 128} if short else {"win_length": 1024, "hop_length": 320}
    log_mel = {"sample_rate": sample_rate, "n_fft": 2048, **sizes, "n_mels": 128, "log_floor": 1e-2}
    log_mel["f_max"] = min(max(band, 2000.0), sample_rate / 2)
    return {"seconds": round(seconds, 3), "mode": "pad" if short else "repeat", "log_mel": log_mel}


def background_of(class_names: Sequence[str]) -> list[int]:
    """Places of the classes that are none of the others, by their names."""
    return [place for place, name in enumerate(class_names) if name.lower() in BACKGROUND]


def named(probabilities: Tensor, threshold: float, background: list[int]) -> Tensor:
    """The class that is said of each clip, (clips,): the likeliest one; -1, nothing, below the threshold and for background.

    From probabilities (clips, classes) and the places of the classes that are no name.
    """
    best, likeliest = probabilities.max(dim=1)
    nameless = torch.tensor(background, dtype=torch.long)
    silent = (best < threshold) | torch.isin(likeliest, nameless)
    return likeliest.masked_fill(silent, -1)


def alarms(said: Tensor, labels: Tensor, *, background: list[int], hours: float):
    """(share of sounds named rightly, wrong names an hour), from what `named` says of clips that are `hours` long together.

    labels (clips,) has their classes; one of `background` is no sound to be named, and any name for it is wrong.
    """
    sounds = ~torch.isin(labels, torch.tensor(background, dtype=torch.long))
    right = said == labels
    hits = right.sum() / sounds.sum()
    false = (said >= 0) & ~right
    return hits.item(), false.sum().item() / hours


def curve(loaded: Loaded, sounds: clips.Clips, *, fold: int) -> pd.DataFrame:
    """Hits and false alarms an hour of a model in one fold, a row a threshold from 0 to 1."""
    probabilities, labels = answers(loaded, sounds, fold=fold)
    background, hours = background_of(sounds.class_names), len(labels) * loaded[2]["seconds"] / 3600
    said = {each / 100: named(probabilities, each / 100, background) for each in range(101)}
    rows = {threshold: alarms(each, labels, background=background, hours=hours) for threshold, each in said.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["hits", "false alarms an hour"])


def answers(loaded: Loaded, sounds: clips.Clips, *, fold: int) -> tuple[Tensor, Tensor]:
    """Probabilities (clips, classes) and labels (clips,) of the clips of one fold."""
    places = sounds.split(fold)[1]
    found = _probabilities(loaded, (sounds[place] for place in places))
    return found, torch.tensor(sounds.table["label"].to_numpy()[places])


def _probabilities(loaded: Loaded, waveforms: Iterable[Tensor]) -> Tensor:
    model, log_mel, notes = loaded
    pictures = torch.cat([log_mel(waveform[None]) for waveform in waveforms])
    return fine_tuning.evaluate(model, pictures, mean=notes["mean"], std=notes["std"]).softmax(dim=1)


def choose_threshold(validation: pd.DataFrame, most: float) -> float:
    """The threshold with most hits among those of a `curve` with at most `most` false alarms an hour; 1 where none is."""
    allowed = validation[validation["false alarms an hour"] <= most]
    return float(allowed["hits"].idxmax()) if len(allowed) else 1.0


def train(
    sounds: clips.Clips,
    settings: dict,
    out: str | Path,
    session,
    *,
    name: str | None = None,
    epochs: int = 30,
    most_alarms: float = 1000.0,
    after_epoch: Callable[[nn.Module, list[dict]], None] | None = None,
) -> dict:
    """Fine-tune on a folder's clips, choose the threshold, test, and write the model to `out`, its card beside it; returns its notes.

    Fold 1 is tested once, at the end. Fold 2, where there are three, is for the threshold. Stopped, it goes on from its last
    epoch when it is called again.

    Args:
        sounds, settings: What `from_folder` and `front_end` returned.
        out: A file that does not exist yet, ending in .safetensors.
        session: What `session.start()` returned: device, weights, and the model unless `name` names another one of timm.
        most_alarms: False alarms an hour on the validation recordings, at most.
        after_epoch: As for `fine_tuning.train`: called with the model and the history so far.
    Raises:
        OSError: If `out` exists, or cannot be written.
    """
    out, name = _free(Path(out)), name or session.vit
    log_mel, names = spectrograms.LogMel(**settings["log_mel"]), sounds.class_names
    features = spectrograms.features(sounds, log_mel, seconds=settings["seconds"])
    labels, folds = (torch.tensor(sounds.table[column].to_numpy()) for column in ("label", "fold"))
    held_out = [1, 2] if folds.max() > 2 else [1]
    learning = ~torch.isin(folds, torch.tensor(held_out))
    statistics = dict(zip(("mean", "std"), spectrograms.fit_statistics(features[learning]), strict=True))
    arguments = {"in_chans": 1, "num_classes": len(names)}
    if hasattr(backbones.create(name, session, pretrained=False), "pos_embed"):
        arguments["img_size"] = tuple(features.shape[2:])
    torch.manual_seed(0)
    model = heads.replace_head(backbones.create(name, session, **arguments), len(names)).to(session.device)
    suited = {"roll": settings["mode"] == "repeat", "max_frames": features.shape[3] // 5}
    recipe = fine_tuning.Recipe(epochs=epochs, layer_decay=None, mixup=0, **suited)
    going_on = out.with_suffix(".training")
    given = {"num_classes": len(names), "folder": going_on, "after_epoch": after_epoch, **statistics}
    fine_tuning.train(model, features[learning], labels[learning], recipe, **given)
    trained = model, log_mel, settings | statistics
    threshold, chosen_on = 0.5, "none: a guess, there are too few recordings to choose on"
    if len(held_out) == 2:
        threshold = choose_threshold(curve(trained, sounds, fold=2), most_alarms)
        people = sounds.table.loc[sounds.table["fold"] == 2, "recording"].nunique()
        chosen_on = f"{int((folds == 2).sum())} clips of {people} validation recordings"
    probabilities, truth = answers(trained, sounds, fold=1)
    background, hours = background_of(names), len(truth) * settings["seconds"] / 3600
    said = named(probabilities, threshold, background)
    hits, false = alarms(said, truth, background=background, hours=hours)
    right = (probabilities.argmax(dim=1) == truth).numpy()
    tested = sounds.table["recording"][(folds == 1).numpy()].to_numpy()
    several = len(set(tested)) > 1  # of one recording nobody knows how much another one would differ
    interval = [round(end, 4) for end in fine_tuning.bootstrap_interval(right, tested)] if several else None
    notes = {"model": name, "class_names": names, "recordings": sounds.source, "epochs": epochs} | settings | statistics
    notes |= {"test_accuracy": round(float(right.mean()), 4), "test_interval": interval}
    counts = {"training": int(learning.sum()), "test": len(truth)}
    notes |= {"clips": counts, "threshold": threshold, "threshold_chosen_on": chosen_on}
    notes |= {"hits": round(hits, 4), "false_alarms_an_hour": round(false, 1), "made": date.today().isoformat()}
    notes |= {"versions": {package: metadata.version(package) for package in ("torch", "torchaudio", "timm")}}
    fine_tuning.save_model(model, out, notes)
    with clips.whole(out.with_suffix(".md")) as part:
        part.write_text(card(notes), encoding="utf-8")
    shutil.rmtree(going_on, ignore_errors=True)
    return notes


def file_for(sounds: clips.Clips, settings: dict, session) -> Path:
    """The file in the session's `runs` for a model of these clips, settings and folds: whatever differs, another file."""
    facts = [sounds.table[["digest", "start", "label", "fold"]].to_numpy().tolist(), settings, session.vit]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    return session.runs / "own_sounds" / f"{sounds.name}-{digest}.safetensors"


def _free(out: Path) -> Path:
    """The file's name, once it is known that it may be written and that nothing of the user's stands there."""
    if out.suffix != ".safetensors":
        raise ValueError(f"{out} must end in .safetensors, the format of the file that is written.")
    for file in (out, out.with_suffix(".md")):
        if file.exists():
            raise FileExistsError(f"{file} is there already and stays as it is: name another file.")
    try:
        with clips.whole(out) as part:
            part.touch()
        out.unlink()
    except OSError as error:
        raise OSError(f"{out} cannot be written ({error}): name a file in a folder of yours.") from error
    return out


def card(notes: dict) -> str:
    """A model card in Markdown, from the notes in the model's file."""
    interval = "one recording, so without an interval"
    if notes["test_interval"]:
        interval = "95 % interval {:.1%} to {:.1%}".format(*notes["test_interval"])
    recordings = notes["recordings"].replace("|", r"\|")  # of a pattern; a bare one would end the table's cell
    background = [notes["class_names"][place] for place in background_of(notes["class_names"])]
    names = [name for name in notes["class_names"] if name not in background]
    learned = f", and for what it learned from the class {', '.join(background)}" if background else ""
    return f"""**A model that names {len(names)} classes of sound: {", ".join(names)}.**

It is {notes["model"]}, fine-tuned on {notes["clips"]["training"]} clips of {notes["seconds"]} s for
{notes["epochs"]} epochs ({notes["made"]}).

| asked | found |
|---|---|
| right, of {notes["clips"]["test"]} clips of recordings it never heard | {notes["test_accuracy"]:.1%} ({interval}) |
| named rightly above the threshold of {notes["threshold"]:.2f} | {notes["hits"]:.1%} |
| false alarms an hour | {notes["false_alarms_an_hour"]:g} |
| threshold chosen on | {notes["threshold_chosen_on"]} |
| says nothing | below the threshold{learned} |
| recordings | {recordings} |
| sound | {notes["log_mel"]["sample_rate"]} Hz, {notes["log_mel"]["n_mels"]} mel bins up to {notes["log_mel"]["f_max"]:g} Hz, short sounds: {notes["mode"]} |

Another room, microphone or speaker is another test. Whoever uses this model should make that test first.
"""


def timeline(loaded: Loaded, path: str | Path, *, overlap: float = 0.5) -> pd.DataFrame:
    """What a model that `fine_tuning.load_model` returned hears in a file, window by window.

    A row a window: start, end (seconds), class (a name, or "none of these"), probability (of the likeliest name), and a column
    for each class. OSError or ValueError if the file cannot be read as sound.
    """
    notes = loaded[2]
    names, seconds, rate = notes["class_names"], notes["seconds"], notes["log_mel"]["sample_rate"]
    length = sum(len(samples) / each for samples, each in decode.blocks(path))
    places = starts(length, seconds, overlap)
    sounds = windows(path, places, seconds=seconds, sample_rate=rate, mode=notes["mode"])
    found, background = _probabilities(loaded, sounds), background_of(names)
    heard = [NONE if place < 0 else names[place] for place in named(found, notes["threshold"], background)]
    best = found.index_fill(1, torch.tensor(background, dtype=torch.long), 0.0).max(dim=1).values
    table = pd.DataFrame({"start": places, "end": np.minimum(np.add(places, seconds), length), "class": heard})
    return pd.concat([table.assign(probability=best.numpy()), pd.DataFrame(found.numpy(), columns=names)], axis=1)


def picture(loaded: Loaded, path: str | Path, *, most_frames: int = 2000) -> Tensor:
    """A file's log-mel spectrogram (n_mels, frames), its frames joined by their loudest where there are more than `most_frames`."""
    _, log_mel, notes = loaded
    seconds, rate = notes["seconds"], notes["log_mel"]["sample_rate"]
    length = sum(len(samples) / each for samples, each in decode.blocks(path))
    places = [seconds * place for place in range(max(1, math.ceil(length / seconds - 1e-6)))]
    sounds = windows(path, places, seconds=seconds, sample_rate=rate, mode="pad")
    whole = torch.cat([log_mel(waveform[None])[0, 0] for waveform in sounds], dim=1)
    whole = whole[:, : max(1, math.ceil(length * rate / notes["log_mel"]["hop_length"]))]
    joined = -(-whole.shape[1] // most_frames)
    return torch.nn.functional.max_pool1d(whole, joined, ceil_mode=True) if joined > 1 else whole
