"""Sound files of every kind that a phone, a browser or an editor makes, decoded by what they hold and not by their names.

soundfile reads WAV, AIFF, FLAC and OGG Vorbis. PyAV, whose wheels carry FFmpeg, reads the rest: M4A, AAC, WebM, 3GP,
Opus, and MP3, of which libsndfile loses most where its header is missing. A file that is cut off is refused.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

BLOCK = 2**18  # frames read at a time: a long file is never whole in memory
SLACK = 0.1  # seconds by which encoders' padding may differ from the length in a header


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """All samples, float32 (frames, channels), and their rate in Hz. Raises what `blocks` raises."""
    parts = list(blocks(path))
    return np.concatenate([samples for samples, _ in parts]), parts[0][1]


def blocks(path: str | Path) -> Iterator[tuple[np.ndarray, int]]:
    """Go through a file piece by piece: samples, float32 (frames, channels), and their rate in Hz.

    Raises:
        OSError: If the file is missing, a folder, no sound, damaged, or cut off.
        ValueError: If it holds no samples, or such that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {problem}, expected a sound file: check name and folder.")
    kind, frames, rate = kind_of(path), 0, 1
    try:
        for samples, rate in (_by_soundfile if kind in ("WAV", "AIFF", "FLAC", "OGG Vorbis") else _by_av)(path):
            if bad := int((~np.isfinite(samples)).any(axis=1).sum()):
                raise ValueError(
                    f"{path} has NaN or infinite samples in {bad} of {len(samples)} frames: export it again."
                )
            frames += len(samples)
            yield samples, rate
    except (_Undecodable, soundfile.LibsndfileError) as error:
        where = f"is damaged after {frames / rate:.2f} s" if frames else "cannot be read as sound"
        found = f"{kind}, {path.stat().st_size} bytes, {str(error).rstrip('. ')}"
        raise OSError(f"{path} {where} ({found}): fetch it again, or convert it to WAV.") from error
    if not frames:
        raise ValueError(f"{path} holds zero frames, expected at least one: record or export it again.")


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: "WAV", "AIFF", "FLAC", "OGG Vorbis", "OGG Opus", "MP4", "WebM", "MP3", "AAC", or unknown."""
    with path.open("rb") as file:
        head = file.read(64)
    for kind, start, mark in (
        ("WAV", 8, b"WAVE"),
        ("AIFF", 8, b"AIF"),
        ("FLAC", 0, b"fLaC"),
        ("OGG Vorbis", 29, b"vorbis"),
        ("OGG Opus", 28, b"OpusHead"),
        ("OGG", 0, b"OggS"),
        ("MP4", 4, b"ftyp"),
        ("WebM", 0, b"\x1a\x45\xdf\xa3"),
        ("MP3", 0, b"ID3"),
    ):
        if head[start:].startswith(mark):
            return kind
    if head[:1] == b"\xff" and head[1:2] >= b"\xe0":  # eleven ones, then two bits for the layer: 0 is AAC
        return "MP3" if head[1] & 6 else "AAC"
    return "unknown format"


class _Undecodable(Exception):
    """What PyAV or a header says against a file."""


def _by_soundfile(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    _check_whole(path)
    with soundfile.SoundFile(path) as file:
        for samples in file.blocks(BLOCK, dtype="float32", always_2d=True):
            yield samples, file.samplerate


def _by_av(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    try:
        import av
    except ImportError:
        raise OSError(f"{path} needs PyAV ({kind_of(path)}): run `pip install av`, or convert it to WAV.") from None
    _check_whole(path)
    frames = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise _Undecodable(f"{container.format.long_name} without sound")
            stream = container.streams.audio[0]
            rate, planar = stream.codec_context.sample_rate, av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                for part in planar.resample(frame):
                    frames += part.samples
                    yield part.to_ndarray().T, rate  # (channels, frames) is what FFmpeg calls planar
            # only these headers hold a true length; FFmpeg guesses it from the bit rate for the others
            promises = container.format.name.startswith(("mov", "matroska")) or _has_xing(path)
            promised = (container.duration or 0) / av.time_base
    except av.FFmpegError as error:
        raise _Undecodable(str(error.strerror)) from error
    if promises and frames / rate < promised - SLACK:
        raise _Undecodable(f"it ends there, but its header promises {promised:.2f} s")


def _check_whole(path: Path) -> None:
    """Refuse a WAV, AIFF or OGG file that ends before its sound does."""
    kind, size, long = kind_of(path), path.stat().st_size, 2**32 - 1
    with path.open("rb") as file:
        if kind in ("WAV", "AIFF"):
            order = ">" if file.read(4) == b"FORM" else "<"
            file.seek(12)
            while len(head := file.read(8)) == 8:  # a name of four letters, a length, and so many bytes
                name, length = struct.unpack(order + "4sI", head)
                if name in (b"data", b"SSND"):
                    length = long if length == 2**32 - 1 else length
                    # a recorder that was switched off never wrote a length
                    if size - file.tell() < length != 2**32 - 1:
                        promised = f"its header promises {length} bytes of sound, {size - file.tell()} are there"
                        raise _Undecodable(f"cut off: {promised}")
                    return
                after = file.tell() + length + length % 2
                if name == b"ds64":  # of files above 4 GB
                    long = struct.unpack("<QQ", file.read(16))[1]
                file.seek(after)
        elif kind.startswith("OGG"):
            file.seek(max(0, size - 2**17))
            tail = file.read()
            page = tail[max(0, tail.rfind(b"OggS")) :]
            whole = len(page) > 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
            if not whole or not page[5] & 4:  # the last page is marked as such
                raise _Undecodable("cut off: its last page is missing")


def _has_xing(path: Path) -> bool:
    """Whether an MP3 counts its frames."""
    with path.open("rb") as file:
        head = file.read(2**16)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def mono(samples: np.ndarray) -> tuple[np.ndarray, str]:
    """One channel (frames,) of samples (frames, channels), and a warning or "".

    The mean, unless the channels cancel in it (one side of a cable was connected the wrong way round): then the loudest.
    """
    mean, power = samples.mean(axis=1), np.square(samples, dtype=np.float64).mean(axis=0)
    unrelated = power.sum() / samples.shape[1] ** 2  # power of the mean of channels that have nothing in common
    if np.square(mean, dtype=np.float64).mean() >= 0.1 * unrelated:
        return mean, ""
    return samples[:, power.argmax()], f"its {samples.shape[1]} channels cancel each other: the loudest is taken"
