"""Ten classes of sounds made from physics and one seed, for machines without a network.

Each class has twenty recordings, a recording one to three takes. Takes share the source (its pitch, its material, the
room, the microphone) and differ in timing and noise, as clips cut from one real recording do; so they share a fold.
Some classes differ mostly in how they move: siren and alarm, clock and footsteps, rain and wind.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from scipy.signal import butter, sosfilt

SAMPLE_RATE = 32_000
SECONDS = 5.0
SEED = 10
NUM_FOLDS = 5
TAKES = (3, 2, 2, 1)  # of the four recordings of a class in a fold
BARK = "dog bark/1-000-A"  # barks from the first to the last second, and hardly any background

LENGTH = round(SAMPLE_RATE * SECONDS)
TIME = np.arange(LENGTH) / SAMPLE_RATE
WAVETABLE = 4096  # points of one period


def table() -> pd.DataFrame:
    """Return the table of all 400 clips, each of which `clip` makes from its path."""
    rows = []
    for label, name in enumerate(CLASSES):
        for recording in range(NUM_FOLDS * len(TAKES)):
            fold = recording // len(TAKES) + 1
            for take in "ABC"[: TAKES[recording % len(TAKES)]]:
                path = f"{name}/{fold}-{label * 100 + recording:03d}-{take}"
                rows.append((path, label, name, fold, f"{label * 100 + recording:03d}", take, path))
    clips = pd.DataFrame(rows, columns=["path", "label", "class_name", "fold", "recording", "take", "title"])
    return clips.assign(author="this project's generator", licence="CC0", url="")


def clip(path: str) -> np.ndarray:
    """Return the clip of a table's path as float32 (samples,) at SAMPLE_RATE, the same on every machine to 1e-4.

    It holds the source, perhaps another behind it, and noise, as a microphone of its own band hears them.
    """
    name, (_, recording, take) = path.split("/")[0], path.split("/")[1].split("-")
    voice = Generator(PCG64([SEED, int(recording)]))  # the same for all takes of a recording
    chance = Generator(PCG64([SEED, int(recording), 1 + "ABC".index(take)]))
    sound = _unit(CLASSES[name](voice, chance))
    other, crowded = SOURCES[int(voice.random() * len(SOURCES))], voice.random() < 0.6
    behind, snr, colour = uniform(voice, -26, -8), uniform(voice, 2, 22), uniform(voice, 0, 2)
    band = uniform(voice, 30, 250), uniform(voice, 4_000, 15_000)
    level = uniform(voice, -18, 0)
    if path == BARK:  # close, clear and alone
        crowded, snr, band, level = False, 32, (60, 14_000), -3
    if crowded:
        sound += _decibel(behind) * _unit(other(voice, chance))
    sound += _decibel(-snr) * noise(chance, slope=colour)
    sound = sosfilt(butter(2, band, "bandpass", fs=SAMPLE_RATE, output="sos"), sound)
    return (_decibel(level) / np.abs(sound).max() * sound).astype(np.float32)


def uniform(rng: Generator, low: float, high: float) -> float:
    return low + (high - low) * rng.random()  # its stream is the same in every numpy


def noise(rng: Generator, slope: float, low: float = 20.0) -> np.ndarray:
    """Noise of unit power that falls by 3 dB an octave for slope 1 (pink), and fades below `low` Hz."""
    freq = np.fft.rfftfreq(LENGTH, 1 / SAMPLE_RATE)
    weight = np.maximum(freq, low) ** (-slope / 2) * np.minimum(1, freq / low) ** 2
    spectrum = rng.standard_normal(2 * len(freq)).view(complex)  # drawn where it is shaped
    return _unit(np.fft.irfft(weight * spectrum, LENGTH))


def _unit(sound: np.ndarray) -> np.ndarray:
    return sound / np.sqrt(np.mean(sound**2))


def _decibel(level: float) -> float:
    return 10 ** (level / 20)


def _slow(rng: Generator, rate: float) -> np.ndarray:
    """A random curve of about unit spread that turns about `rate` times a second."""
    knots = rng.standard_normal(int(SECONDS * rate) + 4)
    return np.interp(TIME * rate, np.arange(len(knots)), knots)


def _place(sound: np.ndarray, event: np.ndarray, start: float) -> None:
    at = round(start * SAMPLE_RATE)
    event = event[: max(0, LENGTH - at)]
    sound[at : at + len(event)] += event


def _beats(rng: Generator, period: float, jitter: float, first: float | None = None) -> Iterator[float]:
    at = uniform(rng, 0, period) if first is None else first
    while at < SECONDS:
        yield at
        at += period * (1 + jitter * (2 * rng.random() - 1))


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _ring(freqs, decays, amplitudes, seconds: float) -> np.ndarray:
    """Modes of a struck body: decaying sines (its frequencies in Hz, its decays in seconds)."""
    t = _time(seconds)
    modes = zip(freqs, decays, amplitudes, strict=True)
    return sum(a * np.exp(-t / d) * np.sin(2 * np.pi * f * t) for f, d, a in modes)


def _tone(freq: np.ndarray, strengths) -> np.ndarray:
    """Harmonics of a moving fundamental (Hz, a value a sample), read from one period drawn once."""
    period = np.fft.irfft(-0.5j * np.concatenate([[0], strengths]), WAVETABLE) * WAVETABLE
    place = np.cumsum(freq) / SAMPLE_RATE % 1 * WAVETABLE
    i = place.astype(int)
    return period[i % WAVETABLE] * (1 - place + i) + period[(i + 1) % WAVETABLE] * (place - i)


def dog_bark(voice: Generator, chance: Generator) -> np.ndarray:
    """Harmonics whose pitch jumps up and falls, coloured by the muzzle's two resonances, and breath."""
    pitch, length = uniform(voice, 280, 620), uniform(voice, 0.14, 0.26)
    muzzle, width = uniform(voice, 800, 1_600), uniform(voice, 300, 700)
    period, breath = uniform(voice, 0.38, 0.8), uniform(voice, 0.1, 0.5)
    sound = np.zeros(LENGTH)
    for start in _beats(chance, period, 0.25, first=uniform(chance, 0.03, 0.2)):
        t = _time(length * uniform(chance, 0.8, 1.2))
        x = t / t[-1]
        freq = pitch * uniform(chance, 0.9, 1.1) * (0.75 + 0.5 * np.sin(np.pi * x**0.6))
        k = np.arange(1, 16)
        resonances = ((muzzle, 1), (2.6 * muzzle, 0.3))
        strengths = sum(a / (1 + ((k * pitch - f) / width) ** 2) for f, a in resonances)
        rough = 1 + breath * chance.standard_normal(len(t))
        shape = uniform(chance, 0.6, 1) * np.minimum(1, 25 * x) * (1 - x) ** 1.2
        _place(sound, shape * rough * _tone(freq, strengths), start)
    return sound


def rain(voice: Generator, chance: Generator) -> np.ndarray:
    """A steady hiss of far drops and short pings of near ones, at random moments."""
    hiss = noise(chance, slope=uniform(voice, 0.1, 1.2), low=uniform(voice, 80, 600))
    sound, pitch, near = np.zeros(LENGTH), uniform(voice, 900, 4_000), uniform(voice, 1.5, 6)
    for _ in range(int(uniform(voice, 60, 500))):
        freq, decay = pitch * uniform(chance, 0.6, 2.0), uniform(chance, 0.001, 0.006)
        _place(sound, _ring([freq], [decay], [chance.random() ** 3], 0.02), SECONDS * chance.random())
    return hiss + near * sound


def wind(voice: Generator, chance: Generator) -> np.ndarray:
    """Rumbling noise in gusts; the faster the air, the louder and brighter."""
    gust = np.exp(uniform(voice, 0.4, 0.9) * _slow(chance, uniform(voice, 0.5, 1.6)))
    dull = noise(chance, slope=uniform(voice, 1.0, 2.0), low=uniform(voice, 30, 200))
    bright = noise(chance, slope=uniform(voice, 0.2, 1.0), low=uniform(voice, 200, 800))
    return gust * dull + uniform(voice, 0.05, 0.5) * gust**2 * bright


def siren(voice: Generator, chance: Generator) -> np.ndarray:
    """One tone with harmonics that glides up and down without a pause."""
    centre, reach = uniform(voice, 600, 1_300), uniform(voice, 0.25, 0.7)
    swing = np.sin(2 * np.pi * (TIME / uniform(voice, 0.5, 4.0) + chance.random()))
    return _tone(centre * 2 ** (reach * swing), _overtones(voice))


def alarm(voice: Generator, chance: Generator) -> np.ndarray:
    """Two tones in turn, or one with pauses, at a strict pace."""
    centre, reach = uniform(voice, 600, 1_300), uniform(voice, 0.1, 0.6)
    square = np.sign(np.sin(2 * np.pi * (TIME / uniform(voice, 0.25, 1.2) + chance.random())))
    if voice.random() < 0.4:
        loud = np.convolve(square > 0, np.ones(160) / 160, "same")  # 5 ms to open and to close: no click
        return loud * _tone(np.full(LENGTH, centre), _overtones(voice))
    return _tone(centre * 2 ** (reach * square), _overtones(voice))


def _overtones(voice: Generator) -> list[float]:
    fall = uniform(voice, 0.8, 2.2)
    return [uniform(voice, 0.3, 1) * k**-fall for k in range(1, 9)]


def clock(voice: Generator, chance: Generator) -> np.ndarray:
    """Tick and tock: a small gear strikes a body at a strict pace, two pitches in turn."""
    period, body = uniform(voice, 0.25, 1.0), uniform(voice, 300, 1_200)
    click, length, echo = uniform(voice, 1_500, 5_000), uniform(voice, 0.002, 0.012), uniform(voice, 0.1, 0.8)
    sound = np.zeros(LENGTH)
    for i, start in enumerate(_beats(chance, period, 0.0)):
        shift = 1.0 if i % 2 else 1.2
        modes, decays = [click * shift, 1.7 * click, body * shift, 2.3 * body], [1, 1, 4, 3]
        _place(sound, _ring(modes, length * np.array(decays), [1, 0.6, echo, echo / 2], 0.15), start)
    return sound


def footsteps(voice: Generator, chance: Generator) -> np.ndarray:
    """Heel and toe on a floor: two knocks with a scuff, the pace of a walker."""
    period, gap, floor = uniform(voice, 0.4, 0.8), uniform(voice, 0.06, 0.14), uniform(voice, 200, 900)
    hard, length, scuff = uniform(voice, 1_200, 4_000), uniform(voice, 0.004, 0.015), uniform(voice, 0.1, 0.6)
    sound = np.zeros(LENGTH)
    for start in _beats(chance, period, 0.12):
        for delay, level in ((0, 1.0), (gap * uniform(chance, 0.8, 1.2), uniform(chance, 0.4, 0.9))):
            f = floor * uniform(chance, 0.85, 1.15)
            knock = _ring([f, 2.1 * f, hard], [3 * length, 2 * length, length], [1, 0.6, 0.5], 0.15)
            grain = chance.standard_normal(len(knock)) * np.exp(-_time(0.15) / (3 * length))
            _place(sound, level * (knock + scuff * grain), start + delay)
    return sound


def engine(voice: Generator, chance: Generator) -> np.ndarray:
    """Cylinders fire many times a second: a low buzz with dense harmonics, its speed drifting."""
    rate = uniform(voice, 25, 90) * 2 ** (uniform(voice, 0.02, 0.3) * _slow(chance, 0.6))
    body, fall = uniform(voice, 150, 900), uniform(voice, 0.5, 1.2)
    k = np.arange(1, 41)
    uneven = np.array([uniform(voice, 0.3, 1) for _ in k])
    strengths = uneven * k**-fall * (1 + 3 / (1 + ((50 * k - body) / 120) ** 2))
    buzz = _unit(_tone(rate, strengths)) * (1 + 0.15 * _slow(chance, 8))
    return buzz + uniform(voice, 0.1, 0.8) * noise(chance, slope=uniform(voice, 0.8, 1.6))


def chirps(voice: Generator, chance: Generator) -> np.ndarray:
    """A bird's phrase, again and again: a few short glides of pitch."""
    spans = ((1_800, 5_500), (-0.6, 0.6), (0.03, 0.14))  # of pitch (Hz), glide (octaves), length (s)
    notes = [[uniform(voice, *span) for span in spans] for _ in range(3)]
    times, pause = 1 + int(3 * voice.random()), uniform(voice, 0.3, 1.2)
    sound, start = np.zeros(LENGTH), uniform(chance, 0, 0.4)
    while start < SECONDS:
        for freq, glide, length in notes * times:
            x = np.linspace(0, 1, round(length * SAMPLE_RATE))
            _place(sound, np.sin(np.pi * x) * _tone(freq * 2 ** (glide * x), [1, 0.15]), start)
            start += length + 0.03
        start += pause * uniform(chance, 0.6, 1.4)
    return sound


def bell(voice: Generator, chance: Generator) -> np.ndarray:
    """A struck bell: partials that are no harmonics, the high ones fading first."""
    ratios = np.array([0.5, 1, 1.19, 1.5, 2, 2.67, 3, 4.1, 5.3])
    strike, ring = uniform(voice, 400, 1_300), uniform(voice, 0.2, 1.2)
    strengths = [uniform(voice, 0.3, 1) for _ in ratios]
    event = _ring(strike * ratios, ring / np.sqrt(ratios), strengths, 4.0)
    event *= np.minimum(1, _time(4.0) / 0.001)
    sound = np.zeros(LENGTH)
    for start in _beats(chance, uniform(voice, 0.5, 2.2), 0.1, first=uniform(chance, 0, 0.5)):
        _place(sound, uniform(chance, 0.6, 1) * event, start)
    return sound


SOURCES = (dog_bark, rain, wind, siren, alarm, clock, footsteps, engine, chirps, bell)
CLASSES = {source.__name__.replace("_", " "): source for source in SOURCES}
