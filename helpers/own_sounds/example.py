"""The example of lesson 06: spoken digits, and sounds that are none, as a folder that somebody might have."""

import shutil
from pathlib import Path

import numpy as np
import soundfile

from helpers import clips

DIGITS = Path(__file__).resolve().parents[1] / "spoken_digits"
RATE = 16_000


def example(folder: Path | None = None) -> Path:
    """A folder of eleven classes, in the cache unless said: the embedded spoken digits, and 60 synthetic sounds as `background`."""
    folder = clips.cache_folder() / "spoken_digits_example" if folder is None else Path(folder)
    if not folder.is_dir():
        with clips.whole(folder) as part:
            shutil.copytree(DIGITS, part, ignore=shutil.ignore_patterns("*.md"))
            (part / "background").mkdir()
            noise = clips.load("synthetic", sample_rate=RATE)
            for number, index in enumerate(range(40, 400, 6)):  # all but the barks
                soundfile.write(part / "background" / f"noise{number}.wav", noise[index][: 7 * RATE // 10], RATE)
    return folder


def example_recording(out: Path, sounds: clips.Clips, *, fold: int = 1, seed: int = 0) -> list[str]:
    """Write six words of people held out, with pauses, rain and a bark between them, to `out` (WAV); returns what sounds there."""
    draw = np.random.default_rng(seed)
    words = [place for place in sounds.split(fold)[1] if sounds.table["class_name"].iloc[place] != "background"]
    noise = clips.load("synthetic", sample_rate=RATE)
    rain = noise[int(np.flatnonzero(noise.table["class_name"] == "rain")[-1])]
    between = {2: ("rain", rain[: 2 * RATE]), 4: ("a bark", noise[noise.bark][: 2 * RATE])}
    parts, said = [], []
    for number, place in enumerate(draw.choice(words, 6, replace=False)):
        word = clips.read_clip(sounds.folder / sounds.table["path"].iloc[place], RATE).numpy()
        pause = np.zeros(RATE // 3)
        parts, said = (
            [*parts, pause, word / np.abs(word).max() / 2, pause],
            [*said, sounds.table["class_name"].iloc[place]],
        )
        if number in between:
            parts, said = [*parts, between[number][1]], [*said, between[number][0]]
    out.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out, np.concatenate(parts), RATE)
    return said
