"""Clips per second of fine-tuning: the usual way, then one difference after the other up to the way of this series.

    python -m experiments.benchmark training [--model vit_tiny_patch16_224] [--batch-size 8] [--updates 2] [--rounds 3]

The usual way is AST's: Kaldi's features computed clip by clip in the loader, a frame every 10 ms, patches that overlap by 6,
attention as separate products, float32. All ways train one backbone with `fine_tuning.train_one_epoch` on the same noise,
on all cores or the GPU, in turns; the median of the rounds counts, and the ratios are what to read. The share of the peak
is that of the products (counted by torch) in what the same machine reaches on one large product of matrices, measured
beside them in the same precision. The last line is the way of this series on a GPU, the one before it that on a CPU, where
attention in one piece has a slow backward (`devices.suited`). That no accuracy is lost on the way is for `experiments/recipe.csv` to show, as far as it goes.
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace

import timm
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from timm.layers import set_fused_attn, use_fused_attn
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torchaudio.compliance import kaldi

from experiments.benchmark.features import KALDI
from helpers import devices, fine_tuning, patches, session, spectrograms
from helpers.fine_tuning import Recipe
from helpers.spectrograms import LogMel

NUM_SAMPLES = 81_920  # 5.12 s at 16 kHz


@dataclass(frozen=True)
class Way:
    """One way to train; the defaults are the usual one."""

    name: str
    cached: bool = False
    frames: int = 512
    stride: int = 10
    fused: bool = False
    precision: str = "no"
    patch_drop: float = 0.0

    @property
    def img_size(self) -> tuple[int, int]:
        return 128, self.frames


def ways(precision: str) -> list[Way]:
    """Each differs from the one before in one thing."""
    steps = [Way("the usual way: Kaldi clip by clip, 10 ms, stride 10, float32")]
    for name, change in {
        "features from the cache": {"cached": True},
        f"precision {precision}": {"precision": precision},
        "patches side by side": {"stride": 16},
        "a frame every 20 ms": {"frames": 256},
        "a quarter of the patches left out in training": {"patch_drop": 0.25},
        "attention in one piece: the way on GPUs only": {"fused": True},
    }.items():
        steps.append(replace(steps[-1], name=name, **change))
    return steps


class KaldiClips(Dataset):
    """Waveforms whose features are computed one by one, each time anew, cut or filled to `frames`."""

    def __init__(self, waveforms: Tensor, labels: Tensor, frames: int):
        self.waveforms, self.labels, self.frames = waveforms, labels, frames

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        log_mel = kaldi.fbank(self.waveforms[index : index + 1], **KALDI).T[None]
        log_mel = nn.functional.pad(log_mel, (0, self.frames - log_mel.shape[-1]))
        return spectrograms.standardize(log_mel, -6.5, 5.8), self.labels[index]


class Training:
    """Model, loader and the rest of one way, ready to be timed again and again."""

    def __init__(self, way: Way, model_name: str, waveforms: Tensor, batch_size: int):
        self.way, self.count = way, len(waveforms)
        set_fused_attn(way.fused)
        torch.manual_seed(0)
        arguments = {"img_size": way.img_size, "in_chans": 1, "num_classes": 10, "patch_drop_rate": way.patch_drop}
        self.model = timm.create_model(model_name, **arguments)
        if way.stride != 16:
            patches.overlap(self.model, way.stride)
        recipe = Recipe(batch_size=batch_size, mixup=0.5)
        labels = torch.arange(self.count) % 10
        if way.cached:
            log_mel = LogMel(hop_length=NUM_SAMPLES // way.frames)(waveforms)
            clips = TensorDataset(spectrograms.standardize(log_mel, -6.5, 5.8), labels)
        else:
            clips = KaldiClips(waveforms, labels, way.frames)
        loader = DataLoader(clips, batch_size=batch_size, shuffle=True)
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(mixed_precision=way.precision)
        optimizer = fine_tuning.make_optimizer(self.model, recipe)
        self.scheduler = fine_tuning.make_scheduler(optimizer, recipe, num_updates=1000)
        self.augment = fine_tuning.make_augment(recipe, num_classes=10, std=5.8)
        self.prepared = self.accelerator.prepare(self.model, optimizer, loader)
        self.clip_norm = recipe.clip_norm

    def epoch(self) -> float:
        """Seconds for all clips once."""
        model, optimizer, loader = self.prepared
        start = time.perf_counter()
        fine_tuning.train_one_epoch(
            model, loader, optimizer, self.scheduler, self.augment, self.accelerator, epoch=0, clip_norm=self.clip_norm
        )  # its mean loss is read from the device, so all of it is done
        return time.perf_counter() - start

    def operations(self) -> float:
        """Floating-point operations of one clip, there and back, in products of matrices."""
        device = next(self.model.parameters()).device
        x = torch.randn(2, 1, *self.way.img_size, device=device)
        with FlopCounterMode(display=False) as counter:
            self.model.train()(x).sum().backward()
        self.model.zero_grad()
        return counter.get_total_flops() / len(x)


def matrix_peak(precision: str, device: torch.device, size: int = 2048, repeats: int = 5) -> float:
    """Operations per second in one product of two square matrices."""
    dtype = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a = torch.randn(size, size, device=device, dtype=dtype)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds[1:])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmark training", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", default="vit_tiny_patch16_224")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--updates", type=int, default=2, help="batches a round")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    device = Accelerator().device
    waveforms = 0.1 * torch.randn(chosen.batch_size * chosen.updates, NUM_SAMPLES)
    fused = bool(use_fused_attn())
    counted = {}
    try:
        trainings = [
            Training(way, chosen.model, waveforms, chosen.batch_size) for way in ways(devices.fast_precision(device))
        ]
        set_fused_attn(False)  # torch cannot count what is done in one piece; it is the same
        for training in trainings:
            plain = Training(replace(training.way, fused=False), chosen.model, waveforms[:1], 1)
            counted[training.way.name] = plain.operations()
    finally:
        set_fused_attn(fused)
    peaks = {way.precision: matrix_peak(way.precision, device) for way in (each.way for each in trainings)}
    seconds = {training.way.name: [] for training in trainings}
    for _ in range(chosen.rounds + 1):  # the first warms up
        for training in trainings:
            seconds[training.way.name].append(training.epoch())
    rates = {name: len(waveforms) / statistics.median(each[1:]) for name, each in seconds.items()}
    where = f"{session.describe(device)}, {torch.get_num_threads()} threads"
    print(f"{chosen.model}, batches of {chosen.batch_size}, {where}, median of {chosen.rounds} rounds")
    print("peak of one product: " + ", ".join(f"{name} {peak / 1e9:.0f} GFLOP/s" for name, peak in peaks.items()))
    print(f"{'ratio':>6}  {'by this':>7}  {'clips/s':>7}  {'GFLOP/clip':>10}  {'of peak':>7}  way")
    first = before = next(iter(rates.values()))
    for training in trainings:
        name, rate = training.way.name, rates[training.way.name]
        share = counted[name] * rate / peaks[training.way.precision]
        print(
            f"{rate / first:6.2f}  {rate / before:7.2f}  {rate:7.1f}  {counted[name] / 1e9:10.1f}  {share:7.0%}  {name}"
        )
        before = rate


if __name__ == "__main__":
    main()
