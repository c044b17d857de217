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
        OSError: If there is no such folder.
        ValueError: If it has no class folders, or recordings cannot be told.
    """
    root = Path(root)
    if not root.is_dir():
        raise OSError(f"{root} is no folder: expected root/<class>/<file>, a folder for each class.")
    paths = list(_files(root))
    if not paths:
        raise ValueError(
            f"{root} holds no files in class folders: expected root/<class>/<file>, such as {root.name}/dog/bark.wav."
        )
    recordings, said = _recordings(root, [path.as_posix() for path in paths], recording)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders let other threads run
        looked = pool.map(lambda path: _look(root / path), paths)
        rows = list(tqdm(looked, "inspecting", total=len(paths), unit="file", delay=3, leave=False))
    table = pd.DataFrame(rows)
    table.insert(0, "path", [path.as_posix() for path in paths])
    table.insert(1, "class_name", [path.parts[0] for path in paths])
    table.insert(2, "recording", recordings)
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
            digest.update(
                np.round(one * 2**15).astype(np.int32).tobytes()
            )  # the same sound in another format is the same
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
    good = table[table["problem"] == ""]
    for _, same in good.groupby("digest"):
        if len(same) > 1:
            first = same["path"].iloc[0]
            if same["class_name"].nunique() > 1:
                others = ", ".join(same["path"])
                table.loc[same.index, "problem"] = f"one sound in several classes ({others}): keep the right one"
            else:
                table.loc[same.index[1:], "problem"] = f"the same sound as {first}"


def _recordings(root: Path, paths: list[str], pattern: str | None) -> tuple[list[str], str]:
    """The recording of each path, and in words where it comes from."""
    if (root / TABLE).is_file():
        table = pd.read_csv(root / TABLE, dtype=str)
        if not {"path", "recording"} <= set(table.columns):
            raise ValueError(f"{TABLE} must have the columns path and recording, it has {', '.join(table.columns)}.")
        known = dict(zip(table["path"].str.replace("\\", "/"), table["recording"], strict=True))
        for what, some in (
            (f"{TABLE} names files that are missing", set(known) - set(paths)),
            (f"{TABLE} lacks files", set(paths) - set(known)),
        ):
            if some:
                raise ValueError(f"{what}, {len(some)} in all, such as {min(some)}: correct the table.")
        return [known[path] for path in paths], f"recordings as {TABLE} names them"
    if pattern is None:
        return paths, "each file is a recording of its own: files cut from one recording would leak"
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}.") from None
    if missed := [path for path, match in zip(paths, found, strict=True) if not match or not match.groups()]:
        raise ValueError(
            f"the pattern {pattern!r} must find one group in each path; it finds none in {len(missed)}, such as {missed[0]}."
        )
    return [match[1] for match in found], f"recordings by the pattern {pattern!r}"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """A row a class of what `inspect` found: files, recordings, seconds, shortest, longest, left out."""
    good = found[found["problem"] == ""].groupby("class_name")
    table = pd.DataFrame(
        {"files": good.size(), "recordings": good["recording"].nunique(), "seconds": good["seconds"].sum()}
    )
    table = table.assign(shortest=good["seconds"].min(), longest=good["seconds"].max())
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
    seed: int = 0,
) -> clips.Clips:
    """The good files of a folder as clips of one length, in folds that keep each recording together.

    Args:
        seconds: Length of a clip. Longer files become several, which overlap; shorter ones are lengthened.
        overlap: Share of a clip that the next one of the same file has again.
        mode: "repeat" plays a short sound again, "pad" adds silence; see `clips.fix_length`.
        recording: As for `inspect`.
        found: What `inspect` returned, where it is at hand.
    Raises:
        ValueError: If there are fewer than two classes, or a class has fewer than two recordings.
    """
    root = Path(root)
    found = inspect(root, recording=recording) if found is None else found
    good = found[found["problem"] == ""]
    names = sorted(found["class_name"].unique())
    counts = good.groupby("class_name")["recording"].nunique().reindex(names, fill_value=0)
    if len(names) < 2:
        raise ValueError(
            f"{root} has one class, {names[0]!r}: a model that names sounds needs two or more (noise may be one)."
        )
    if counts.min() < 2:
        poor = counts.idxmin()
        raise ValueError(
            f"The class {poor!r} has {counts.min()} recordings that can be used, two are the least (one to train, one to test): "
            "record more, or take its folder away."
        )
    rows = [
        {
            "path": row.path,
            "class_name": row.class_name,
            "recording": row.recording,
            "take": take,
            "start": start,
            "digest": row.digest,
        }
        for row in good.itertuples()
        for take, start in enumerate(starts(row.seconds, seconds, overlap))
    ]
    table = pd.DataFrame(rows)
    table["label"] = table["class_name"].map(names.index)
    splits = StratifiedGroupKFold(min(5, int(counts.min())), shuffle=True, random_state=seed)
    table["fold"] = 0
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


def windows(
    path: Path, places: Sequence[float], *, seconds: float, sample_rate: int, mode: str = "repeat"
) -> Iterator[Tensor]:
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
        self.places, self.takes, self.how = table["start"].tolist(), table["take"].tolist(), how
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
