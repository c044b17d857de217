"""Sound files and data sets: read, fix the length, play; tables with official folds, a cache of waveforms."""

import hashlib
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pooch
import torch
from IPython.display import HTML, Audio
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from scipy.signal import resample_poly
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import resample
from tqdm import tqdm

from helpers import decode, esc, synthetic

DATA_SETS = ("synthetic", *esc.ARCHIVES)
PLACES = {
    "generated": "generated",
    "AUDIO_DATA": "from $AUDIO_DATA",
    "cache": "from the cache",
    "network": "downloaded",
}
CACHE_NAME = "vision-to-audio"
CACHE_VERSION = 1  # raise it when waveforms are made in another way


def read_clip(path: str | Path, sample_rate: int = 16_000) -> Tensor:
    """Read a sound file of any format as float32 (samples,) at `sample_rate` Hz.

    Channels are averaged, or where they cancel each other the loudest is taken, with a warning. Peaks are left as they
    are, also above 1, where lossy formats put some.

    Raises:
        OSError: If the file is missing, a folder, or cannot be decoded to its end.
        ValueError: If it holds no samples or such that are not finite, or if `sample_rate` is not positive.
    """
    _check_rate(sample_rate)
    samples, file_rate = decode.read(path)
    waveform, warning = decode.mono(samples)
    if warning:
        warnings.warn(f"{path}: {warning}.", stacklevel=2)
    return resampled(torch.from_numpy(waveform), file_rate, sample_rate)


def _check_rate(sample_rate: int) -> None:
    if not isinstance(sample_rate, Integral) or sample_rate < 1:
        raise ValueError(f"sample_rate must be a positive whole number (Hz, say 16000), got {sample_rate!r}.")


def resampled(waveform: Tensor, old: int, new: int) -> Tensor:
    """A waveform (samples,) of `old` Hz at `new` Hz, by torchaudio."""
    common = int(np.gcd(old, new))
    up, down = int(new) // common, old // common
    if up * down > 10**7:  # rates as odd as 44,101 Hz: torchaudio's table of filters would take gigabytes
        return torch.from_numpy(resample_poly(waveform.numpy(), up, down).astype(np.float32))
    return resample(waveform, old, int(new))


def fix_length(waveform: Tensor, num_samples: int, mode: str = "repeat") -> Tensor:
    """Crop or lengthen a waveform (..., time) to `num_samples`, from its start.

    Args:
        mode: "repeat" plays it again from its start, "pad" adds silence. Both act on the waveform:
            a zero is silence there, but loud in a logarithmic spectrogram.
    """
    if not isinstance(num_samples, Integral) or num_samples < 1:
        raise ValueError(
            f"num_samples must be a whole number, such as round(seconds * sample_rate), got {num_samples}."
        )
    waveform = torch.as_tensor(waveform)
    if waveform.numel() == 0:
        raise ValueError(f"waveform must hold at least one sample, got shape {tuple(waveform.shape)}.")
    if mode == "pad":
        return F.pad(waveform, (0, max(0, num_samples - waveform.shape[-1])))[..., :num_samples]
    if mode == "repeat":
        return waveform.tile(-(-num_samples // waveform.shape[-1]))[..., :num_samples]
    raise ValueError(f"mode must be 'repeat' or 'pad', got {mode!r}.")


def player(waveform: Tensor, sample_rate: int, title: str = "") -> HTML:
    """A small player. Peaks above 1, which a sound card would cut, are played quieter, and the title says so."""
    waveform = torch.as_tensor(waveform)
    if not (waveform.numel() and waveform.isfinite().all()):
        raise ValueError(f"waveform must hold samples, all finite, got shape {tuple(waveform.shape)}.")
    peak = float(waveform.abs().max())
    if peak > 1:
        title = f"{title} (peak {peak:.2f}: played {20 * np.log10(peak):.1f} dB quieter)".strip()
    # normalize=True would make every clip equally loud
    audio = Audio((waveform / max(peak, 1.0)).numpy(), rate=int(sample_rate), normalize=False)
    return HTML(f"<div>{escape(title)}</div>{audio._repr_html_()}")


@dataclass(frozen=True, eq=False)
class Clips:
    """A data set: one table row and one waveform a clip.

    Attributes:
        table: One row a clip: path, label, class_name, fold, recording, take, title, author, licence, url.
        source: Where it came from, in words for display.
        bark: Index of the dog bark that runs through the series.
        folder: Where the files lie; None for generated sounds.
    """

    name: str
    sample_rate: int
    table: pd.DataFrame = field(repr=False)
    source: str
    bark: int
    folder: Path | None = field(repr=False)
    _waveforms: list[Tensor] = field(repr=False)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Tensor:
        """float32 (samples,), its natural length; yours to change."""
        return self._waveforms[index].clone()

    @property
    def class_names(self) -> list[str]:
        return self.table.drop_duplicates("label").sort_values("label")["class_name"].tolist()

    def waveforms(self, num_samples: int, indices=None) -> Tensor:
        """Stack clips as (clips, num_samples), short ones repeated and long ones cropped."""
        indices = range(len(self)) if indices is None else indices
        return torch.stack([fix_length(self._waveforms[i], num_samples) for i in indices])

    def credits(self, index: int) -> str:
        """One line that names title, author, licence and source: CC BY asks that it be shown with the clip."""
        row = self.table.iloc[index]
        return f"“{row.title}” by {row.author}, {row.licence}" + (f", {row.url}" if row.url else "")

    def split(self, test_fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices (train, test) for one official fold; ValueError for a fold that is none, or shares a recording with another."""
        in_folds = self.table.groupby("recording")["fold"].nunique()
        if leaks := in_folds.index[in_folds > 1].tolist():
            lie = f"{len(leaks)} lie in several, such as {leaks[0]}"
            raise ValueError(f"Each recording must lie in one fold, but {lie}: move its clips.")
        folds = sorted(self.table["fold"].unique().tolist())
        if test_fold not in folds:
            raise ValueError(f"test_fold must be one of {folds}, got {test_fold!r}.")
        test = (self.table["fold"] == test_fold).to_numpy()
        return np.flatnonzero(~test), np.flatnonzero(test)

    def inner_split(self, test_fold: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Indices (train, validation) of the training folds: a fifth validates, no recording on both sides."""
        train, _ = self.split(test_fold)
        rows = self.table.iloc[train]
        folds = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=seed)
        inner, validation = next(folds.split(rows, rows["label"], groups=rows["recording"]))
        return train[inner], train[validation]


def load(name: str, *, sample_rate: int = 16_000) -> Clips:
    """Load a data set with all its waveforms, decoded once and then shared through a memory-mapped file.

    Args:
        name: "synthetic", "esc10" or "esc50".
        sample_rate: Of the waveforms, in Hz.
    Raises:
        ValueError: If the name or the sample rate is not one.
        OSError: If the data cannot be had, or is not as published.
    """
    _check_name(name)
    _check_rate(sample_rate)
    cache = cache_folder()
    if name == "synthetic":
        place, folder, table = "generated", None, synthetic.table()
        version = Path(synthetic.__file__)
        bark = int(np.flatnonzero(table["path"] == synthetic.BARK)[0])
    else:
        place, folder = esc.find(name, cache)
        folder = folder or esc.download(name, cache)
        table = esc.table(name, folder)
        version = esc.manifest(name, folder)
        bark = int(np.flatnonzero((table["recording"] == "30226") & (table["take"] == "A"))[0])

    def read(path: str) -> Tensor:
        if folder:
            return read_clip(folder / path, sample_rate)
        return resampled(torch.from_numpy(synthetic.clip(path)), synthetic.SAMPLE_RATE, sample_rate)

    def make() -> dict[str, Tensor]:
        # float32: in float16, rounding noise would stand 70 dB below a loud clip, and a log-mel shows more than that.
        bar = tqdm(table["path"], "waveforms", unit="clip", delay=3, mininterval=1, leave=False)
        with threadpool_limits(1):  # a clip is too short to share, and two processes would wait for one another
            return {f"{i:05d}": read(path) for i, path in enumerate(bar)}

    digest = hashlib.sha256(version.read_bytes()).hexdigest()[:12]  # other sounds, another file
    file = cache / f"{name}-{sample_rate}Hz-v{CACHE_VERSION}-{digest}.safetensors"
    waveforms = [waveform for _, waveform in sorted(cached(file, make).items())]
    return Clips(name, int(sample_rate), table, PLACES[place], bark, folder, waveforms)


def locate(name: str) -> str | None:
    """Say from where `load` would take a data set: a key of PLACES, or None; errors as `load`'s."""
    _check_name(name)
    if name == "synthetic":
        return "generated"
    place, _ = esc.find(name, cache_folder())
    return None if place == "network" and not esc.obtainable(name, cache_folder()) else place


def _check_name(name: str) -> None:
    if name not in DATA_SETS:
        raise ValueError(f"data set must be one of {', '.join(DATA_SETS)}, got {name!r}.")


def cache_folder() -> Path:
    """Folder for downloads and waveforms: `$AUDIO_CACHE` (relative to the project), or the system's place."""
    return esc.named_folder("AUDIO_CACHE") or Path(pooch.os_cache(CACHE_NAME))


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Another place beside `file`, to write to: renamed when all went well, removed otherwise. A reader sees all or nothing.

    Raises:
        OSError: If the folder cannot be made, or the file cannot be replaced.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    name = {"prefix": f"{file.stem}.", "suffix": ".part"}
    with TemporaryDirectory(dir=file.parent, ignore_cleanup_errors=True, **name) as work:
        yield Path(work) / file.name
        (Path(work) / file.name).replace(file)


def cached(file: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from a memory-mapped safetensors file; where there is none that is as it was written, they are made and written.

    Mapped, not copied: a process that writes to one changes its own copy.

    Raises:
        OSError: If the file cannot be written.
    """
    for left in file.parent.glob(f"{file.stem}.*.part"):  # by a process that was killed; no other writes for so long
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 600:
                shutil.rmtree(left)
    try:
        with safe_open(file, "pt") as stored:
            sums = stored.metadata()
        if sums == _sums(tensors := load_file(file)):
            return tensors
    except (FileNotFoundError, SafetensorError):
        pass
    tensors = make()
    try:
        with whole(file) as part:
            save_file(tensors, part, metadata=_sums(tensors))
    except (OSError, SafetensorError) as error:
        if isinstance(error, PermissionError) and file.is_file():
            return tensors  # Windows replaces no file that another process has mapped, and that one is good
        megabytes = 1 + sum(tensor.nbytes for tensor in tensors.values()) // 10**6
        way_out = f"{megabytes} MB must be free and writable there, or name another folder in AUDIO_CACHE"
        raise OSError(f"{file.name} could not be kept in {file.parent} ({error}): {way_out}.") from error
    return load_file(file)


def _sums(tensors: dict[str, Tensor]) -> dict[str, str]:
    return {name: f"{zlib.crc32(tensor.numpy()):08x}" for name, tensor in tensors.items()}
