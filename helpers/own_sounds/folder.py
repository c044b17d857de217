"""A folder of recordings, `root/<class>/.../file` of any format, rate and length, as a data set."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from tqdm.auto import tqdm

from helpers import clips, decode

BACKGROUND = ("noise", "other", "background", "silence")  # folders of what is none of the classes
QUIET = 1e-4  # peak, and level of 20 ms, below which nothing sounds: 80 dB under full scale
FULL = 0.999  # from here on a sample may have been clipped
SECRET = re.compile(r"[.~]|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # file managers' own files
TABLE = "recordings.csv"


def inspect(root: str | Path, *, recording: str | None = None) -> pd.DataFrame:
    """Look at every file before anything is trained, in pieces: no file is whole in memory, none is changed.

    A *recording* is what must not lie on both sides of a split. It is read from `root/recordings.csv` (columns path,
    recording) where there is one, else from what the pattern finds in the path, else each file is its own.

    Args:
        root: Folder of class folders; what lies at any depth below one belongs to its class.
        recording: Regular expression with one group, such as r"speaker(\\d+)", tried on each path.
    Returns:
        A row a file: path (below `root`), class_name, recording, format, seconds, sample_rate, channels, peak, quiet and clipped
        (shares), digest (of the sound), problem (why it is left out, or ""), note. `attrs["recordings"]` says where they come from.
    Raises:
        OSError, ValueError: If there is no such folder, it has no class folders, or recordings cannot be told.
    """
    root = Path(root)
    if not root.is_dir():
        raise OSError(f"{root} is no folder: expected root/<class>/<file>, a folder for each class.")
    paths = [path.as_posix() for path in _files(root)]
    if not paths:
        expected = f"root/<class>/<file>, such as {root.name}/dog/bark.wav"
        raise ValueError(f"{root} holds no files in class folders: expected {expected}.")
    recordings, said = _recordings(root, paths, recording)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders let other threads run
        looked = pool.map(lambda path: _look(root / path), paths)
        rows = list(tqdm(looked, "inspecting", total=len(paths), unit="file", delay=3, leave=False))
    told = {"path": paths, "class_name": [path.split("/")[0] for path in paths], "recording": recordings}
    table = pd.DataFrame(told).join(pd.DataFrame(rows))
    _drop_copies(table)
    table.attrs["recordings"] = said
    return table


def _files(root: Path) -> Iterator[Path]:
    """Files below class folders, relative to `root`, in order of their names; links are followed, loops once."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(folder))
        inside = (name for name in sorted(folders) if not SECRET.match(name))
        folders[:] = [name for name in inside if os.path.realpath(Path(folder, name)) not in seen]
        if Path(folder) != root:
            yield from (Path(folder, name).relative_to(root) for name in sorted(names) if not SECRET.match(name))


def _look(path: Path) -> dict:
    """One file, piece by piece."""
    row = {"format": "", "seconds": 0.0, "sample_rate": 0, "channels": 0, "peak": 0.0, "quiet": 0.0, "clipped": 0.0}
    row |= {"digest": "", "problem": "", "note": ""}
    frames, quiet, pieces, clipped, digest = 0, 0, 0, 0, hashlib.sha256()
    try:
        before = path.stat()
        row["format"] = decode.kind_of(path)
        for samples, rate in decode.blocks(path):
            one, warning = decode.mono(samples)
            row |= {"sample_rate": rate, "channels": samples.shape[1], "note": warning or row["note"]}
            row["peak"] = max(row["peak"], float(np.abs(one).max()))
            clipped += int((np.abs(samples) >= FULL).any(axis=1).sum())
            levels = [np.abs(piece).max() for piece in np.array_split(one, max(1, len(one) * 50 // rate))]
            quiet, pieces = quiet + sum(level < QUIET for level in levels), pieces + len(levels)
            frames += len(one)
            # Rounded, so that the same sound in another format is the same.
            digest.update(np.round(one * 2**15).astype(np.int32).tobytes())
        row |= {"seconds": frames / rate, "quiet": quiet / pieces, "clipped": clipped / frames}
        row["digest"] = f"{digest.hexdigest()[:16]}-{rate}"
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            row["problem"] = "changed while it was read: inspect again when it is written"
        elif row["peak"] < QUIET:
            row["problem"] = "silence from beginning to end"
        elif row["clipped"] > 1e-3:
            row["note"] = row["note"] or f"clipped in {row['clipped']:.1%} of its samples"
    except (OSError, ValueError) as error:
        row["problem"] = str(error).removeprefix(f"{path} ")
    return row


def _drop_copies(table: pd.DataFrame) -> None:
    """Leave out the second copy of a sound; where the classes of two copies differ, both."""
    for _, same in table[table["problem"] == ""].groupby("digest"):
        if same["class_name"].nunique() > 1:
            everywhere = ", ".join(same["path"])
            table.loc[same.index, "problem"] = f"one sound in several classes ({everywhere}): keep the right one"
        else:
            table.loc[same.index[1:], "problem"] = f"the same sound as {same['path'].iloc[0]}"


def _recordings(root: Path, paths: list[str], pattern: str | None) -> tuple[list[str], str]:
    """The recording of each path, and in words where it comes from."""
    if (root / TABLE).is_file():
        table = pd.read_csv(root / TABLE, dtype=str)
        if not {"path", "recording"} <= set(table.columns):
            raise ValueError(f"{TABLE} must have the columns path and recording, it has {', '.join(table.columns)}.")
        known = dict(zip(table["path"].str.replace("\\", "/"), table["recording"], strict=True))
        missing, unknown = set(known) - set(paths), set(paths) - set(known)
        if some := missing or unknown:
            what = "names files that are missing" if missing else "lacks files"
            raise ValueError(f"{TABLE} {what}, {len(some)} in all, such as {min(some)}: correct the table.")
        return [known[path] for path in paths], f"recordings as {TABLE} names them"
    if pattern is None:
        return paths, "each file is a recording of its own: files cut from one recording would leak"
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}.") from None
    if missed := [path for path, match in zip(paths, found, strict=True) if not match or not match.groups()]:
        none = f"it finds none in {len(missed)}, such as {missed[0]}"
        raise ValueError(f"the pattern {pattern!r} must find one group in each path; {none}.")
    return [match[1] for match in found], f"recordings by the pattern {pattern!r}"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """A row a class of what `inspect` found: files, recordings, seconds, shortest, longest, left out."""
    good = found[found["problem"] == ""].groupby("class_name")
    lengths = good["seconds"].agg(seconds="sum", shortest="min", longest="max")
    table = pd.DataFrame({"files": good.size(), "recordings": good["recording"].nunique()}).join(lengths)
    left_out = (found["problem"] != "").groupby(found["class_name"]).sum()
    return table.reindex(left_out.index).assign(left_out=left_out).fillna(0).astype({"files": int, "recordings": int})


def from_folder(
    root: str | Path,
    *,
    seconds: float,
    sample_rate: int = 16_000,
    overlap: float = 0.5,
    mode: str = "repeat",
    recording: str | None = None,
    found: pd.DataFrame | None = None,
) -> clips.Clips:
    """The good files of a folder as clips of one length, in folds that keep each recording together.

    Args:
        seconds: Length of a clip. Longer files become several, which overlap; shorter ones are lengthened.
        overlap: Share of a clip that the next one of the same file has again.
        mode: "repeat" plays a short sound again, "pad" adds silence; see `clips.fix_length`.
        recording, found: As for `inspect`, and what it returned, where that is at hand.
    Raises:
        ValueError: If there are fewer than two classes, or a class has fewer than two recordings.
    """
    root = Path(root)
    found = inspect(root, recording=recording) if found is None else found
    good = found[found["problem"] == ""]
    names = sorted(found["class_name"].unique())
    counts = good.groupby("class_name")["recording"].nunique().reindex(names, fill_value=0)
    if len(names) < 2:
        raise ValueError(f"{root} has one class, {names[0]!r}: two are the least (noise may be one).")
    if counts.min() < 2:
        few = f"The class {counts.idxmin()!r} has {counts.min()} recordings that can be used"
        raise ValueError(f"{few}: two are the least, one to train and one to test, so record more, or take it away.")
    table = good[["path", "class_name", "recording", "digest"]]
    table = table.assign(start=[starts(length, seconds, overlap) for length in good["seconds"]])
    table = table.explode("start", ignore_index=True).astype({"start": float})
    table = table.assign(take=table.groupby("path").cumcount(), label=table["class_name"].map(names.index), fold=0)
    splits = StratifiedGroupKFold(min(5, int(counts.min())), shuffle=True, random_state=0)
    for fold, (_, test) in enumerate(splits.split(table, table["label"], groups=table["recording"]), start=1):
        table.loc[test, "fold"] = fold
    table = table.assign(title=table["path"], author="you", licence="yours", url="")
    waveforms = _Waveforms(root, table, seconds=seconds, sample_rate=sample_rate, mode=mode)
    return clips.Clips(root.resolve().name, sample_rate, table, found.attrs.get("recordings", ""), 0, root, waveforms)


def starts(length: float, seconds: float, overlap: float = 0.5) -> list[float]:
    """Where the windows of a recording begin, in seconds: evenly spread, the first at its start, the last at its end."""
    if length <= seconds:
        return [0.0]
    count = int(np.ceil((length - seconds) / (seconds * (1 - overlap)) - 1e-6)) + 1
    return np.linspace(0, length - seconds, count).tolist()


def windows(path: Path, places: Sequence[float], *, seconds: float, sample_rate: int, mode: str) -> Iterator[Tensor]:
    """The windows of a file that begin at `places` (ascending, seconds), each (samples,): decoded on the way, never whole."""
    num_samples, held, first, rate = round(seconds * sample_rate), None, 0, None
    pieces = decode.blocks(path)
    for place in places:
        while held is None or len(held) < round(place * rate) - first + round(seconds * rate):
            samples, rate = next(pieces, (None, rate))
            if samples is None:
                break
            held = samples if held is None else np.concatenate([held, samples])
        drop = round(place * rate) - first
        held, first = held[drop:], first + drop
        waveform, _ = decode.mono(held[: round(seconds * rate)])
        yield clips.fix_length(clips.resampled(torch.from_numpy(waveform), rate, sample_rate), num_samples, mode)


class _Waveforms(Sequence):
    """The windows of a folder's files, decoded when asked for; in order, each file is gone through once."""

    def __init__(self, root: Path, table: pd.DataFrame, **how):
        self.files = [root / path for path in table["path"]]
        self.places, self.how = table["start"].tolist(), how
        self.last = {path: row for row, path in enumerate(self.files)}
        self.at, self.stream = None, None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        index = range(len(self))[index]
        if self.at is None or index != self.at + 1 or self.files[index] != self.files[self.at]:
            rest = self.places[index : self.last[self.files[index]] + 1]
            self.stream = windows(self.files[index], rest, **self.how)
        self.at = index
        return next(self.stream)
