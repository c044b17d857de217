"""Lesson 05: what suits the device that a model is trained on: precision, layout in memory, Accelerate's state."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin, broadcast_object_list
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn

from helpers import session


def fast_precision(device: torch.device) -> str:
    """What is fast on a device: "bf16" where it multiplies that faster, a CPU too; "fp16" on older GPUs (T4); else "no"."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and bf16_gain() > 1.2 else "no"


@cache
def bf16_gain() -> float:
    """How many times as fast this CPU multiplies two matrices in bf16 as in float32; 0 where it has no such instructions.

    To have them is not enough. One core of an AMD EPYC with AVX-512 BF16 had 2.2, and trained ViT, ConvNeXt and MobileNet
    1.4 to 1.9 times as fast; an Intel Xeon that has them, too, but no AMX, had 0.5, and trained ViT-Tiny 0.7 times as fast.
    """
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return 0.0
    matrix = torch.ones(512, 512)
    seconds = {dtype: [] for dtype in (torch.float32, torch.bfloat16)}
    for _ in range(6):  # in turns; the quickest counts
        for dtype, times in seconds.items():
            factor = matrix.to(dtype)
            start = time.perf_counter()
            factor @ factor
            times.append(time.perf_counter() - start)
    return min(seconds[torch.float32]) / min(seconds[torch.bfloat16])


@contextmanager
def suited(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Arrange a model so that it trains faster on a CPU; what it computes stays the same, to rounding.

    PyTorch's attention in one piece has a slow backward there: timm's way in steps, product, softmax, product, takes a
    half to a third of its time in bf16, and the whole ViT-Tiny trained 1.4 to 1.7 times as fast. Convolutions with their
    channels last made MobileNetV2 up to 1.4 times as fast. One core of an AMD EPYC with AVX-512 BF16.
    """
    if device.type == "cpu":
        for module in model.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False  # and stays so
        model.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        model.to(memory_format=torch.contiguous_format)


@contextmanager
def accelerated(*, precision: str, begun: str | None, batch_size: int, seed: int) -> Iterator[Accelerator]:
    """An accelerator for one training, with advice where a batch does not fit.

    Accelerate has one precision a process: this training's ends with it, and what was there before is there again.

    Args:
        precision: "no", "bf16", "fp16", or "auto", which is `begun`, or else what is fast here.
        begun: What an interrupted training had.
        seed: Of the order of the clips.
    Raises:
        ValueError: If the precision is fp16 and there is no GPU, or batch norm meets a single clip.
        MemoryError: If something inside did not fit into memory.
    """
    state = AcceleratorState._shared_state
    before = dict(state)
    state.clear()
    try:
        cpu = bool(session.cuda_fault())
        # To see where we are, whatever precision the environment names.
        process = Accelerator(mixed_precision="no", cpu=cpu)
        if precision == "auto":  # the first process looks and decides for all
            found = (begun or fast_precision(process.device)) if process.is_main_process else None
            precision = broadcast_object_list([found])[0]
        if precision == "fp16" and process.device.type == "cpu":
            raise ValueError('precision "fp16" needs a GPU: choose "bf16" or "no", and another folder.')
        state.clear()
        # The order of the clips is drawn from seed + epoch: another seed has the same orders, some epochs earlier or later.
        batches = DataLoaderConfiguration(split_batches=True, use_seedable_sampler=True, data_seed=seed)
        settings = {"mixed_precision": precision, "dataloader_config": batches, "cpu": cpu}
        # An update a batch, whatever the environment says.
        yield Accelerator(**settings, gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        fault = "The last batch has one clip, of which batch norm makes no statistics"
        raise ValueError(f"{fault}: choose another batch_size than {batch_size}.") from error
    except (RuntimeError, MemoryError) as error:
        windows = "not enough memory" in str(error)  # what PyTorch says there; Accelerate does not know it
        if not (isinstance(error, MemoryError) or windows or should_reduce_batch_size(error)):
            raise
        fault = f"A batch of {batch_size} clips does not fit into memory"
        raise MemoryError(f"{fault}: halve batch_size, and lr with it.") from error
    finally:
        state.clear()
        state.update(before)
