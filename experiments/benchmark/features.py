"""Clips per second: `LogMel` on batches beside `kaldi.fbank` clip by clip, the usual way to make AST's features.

    python -m experiments.benchmark features [--clips 200] [--batch-size 8] [--rounds 5]

Both get the same noise, 5.12 s at 16 kHz, and make 128 mel bins; Kaldi's frames come every 10 ms, as AST's do, and
LogMel is timed with frames every 10 ms as well as every 20 ms, as the lessons use it. One run, alternating rounds,
the median of each: the ratios are what to read. LogMel's FFT is twice as long as Kaldi's: 512 points leave a mel row empty.
"""

import argparse
import statistics
import time

import torch
from torchaudio.compliance import kaldi

from helpers.spectrograms import LogMel

KALDI = {"sample_frequency": 16_000, "num_mel_bins": 128, "window_type": "hanning", "htk_compat": True}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark features", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    waveforms = 0.1 * torch.randn(chosen.clips, 81_920, generator=torch.Generator().manual_seed(0))
    each_10_ms, each_20_ms = LogMel(hop_length=160), LogMel(hop_length=320)
    ways = {
        "kaldi.fbank, clip by clip, 10 ms": lambda: [kaldi.fbank(one[None], **KALDI) for one in waveforms],
        "LogMel, in batches, 10 ms": lambda: [each_10_ms(some) for some in waveforms.split(chosen.batch_size)],
        "LogMel, in batches, 20 ms": lambda: [each_20_ms(some) for some in waveforms.split(chosen.batch_size)],
    }
    times = {name: [] for name in ways}
    for _ in range(chosen.rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    rates = {
        name: chosen.clips / statistics.median(seconds[1:]) for name, seconds in times.items()
    }  # the first warms up
    slowest = next(iter(rates.values()))
    print(
        f"{chosen.clips} clips of 5.12 s at 16 kHz, 128 mel bins, {torch.get_num_threads()} threads, median of {chosen.rounds} rounds"
    )
    print(f"{'ratio':>6}  {'clips/s':>8}  way")
    for name, rate in rates.items():
        print(f"{rate / slowest:6.2f}  {rate:8.0f}  {name}")
