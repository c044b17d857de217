"""ESC-10 and ESC-50: real recordings of environmental sounds, found, downloaded and checked.

Source: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

import errno
import hashlib
import os
import queue
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pooch
import requests
import soundfile

PROJECT = Path(__file__).resolve().parents[1]
MANIFEST = Path(__file__).with_name("esc10_manifest.csv")
GITHUB = "https://github.com/karolpiczak"


@dataclass(frozen=True)
class Archive:
    """Where a data set is published: `file` is the name under which a browser saves `url`."""

    url: str
    file: str
    megabytes: int


ARCHIVES = {
    "esc10": Archive(
        f"{GITHUB}/ESC-10/archive/553c8f1743b9dba6b282e1323c3ca8fa76923448.zip",
        "ESC-10-553c8f1743b9dba6b282e1323c3ca8fa76923448.zip",
        42,
    ),
    "esc50": Archive(f"{GITHUB}/ESC-50/archive/refs/heads/master.zip", "ESC-50-master.zip", 600),
}
ESC50_SHAPE = {"clips": 2000, "classes": 50, "folds": 5}
ESC50_COLUMNS = ["filename", "fold", "target", "category", "src_file", "take"]
CONNECT_SECONDS = 4.0  # a dead network is noticed before a reader wonders
STALL_SECONDS = 20.0  # a download that stands still for so long is given up
MOST_MEMBERS, MOST_BYTES = 10_000, 4 * 10**9  # of an archive: several times what ESC-50 has
CANNOT_WRITE = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS)


def named_folder(variable: str) -> Path | None:
    """The folder that an environment variable names, if any; relative ones start at the project.

    Raises:
        OSError: If it lies in the home of an unknown user.
    """
    given = os.environ.get(variable)
    try:
        return PROJECT / Path(given).expanduser() if given else None
    except RuntimeError:
        raise OSError(f"{variable}={str(given)!r} names the home of a user who is not here: correct it.") from None


def find(name: str, cache: Path) -> tuple[str, Path | None]:
    """Return where a data set lies: ("AUDIO_DATA" | "cache", folder), or ("network", None).

    Raises:
        OSError: If `$AUDIO_DATA`, the parent of `esc10/` and `esc50/`, is set but is no folder, or does not hold the data set.
    """
    parent, way_out = named_folder("AUDIO_DATA"), f"or leave it unset, and {name} is downloaded"
    if parent is None:
        return ("cache", cache / name) if (cache / name).is_dir() else ("network", None)
    said = f"AUDIO_DATA={os.environ['AUDIO_DATA']!r}"
    if not parent.is_dir():
        raise NotADirectoryError(f"{said} names no folder: let it be the parent of {name}/, {way_out}.")
    if not (parent / name).is_dir():
        url = ARCHIVES[name].url
        raise FileNotFoundError(f"{said} holds no folder {name}/: unpack {url} there under that name, {way_out}.")
    return "AUDIO_DATA", parent / name


def table(name: str, folder: Path) -> pd.DataFrame:
    """Return the checked table of a data set's clips: path, label, class_name, fold, recording, take and credits.

    Raises:
        OSError: If a file of the data set is missing, altered or no sound, with its name.
    """
    try:
        return CHECKS[name](folder)
    except (OSError, ValueError) as error:  # pandas raises ValueErrors for a table that is none
        way_out = f"put a whole copy there, or remove it and leave AUDIO_DATA unset, and {name} is downloaded"
        raise OSError(f"{name} in {folder} is not as published: {str(error).strip()}; {way_out}.") from error


def manifest(name: str, folder: Path) -> Path:
    """The file that a data set is checked against: ours for ESC-10, its own table for ESC-50."""
    return MANIFEST if name == "esc10" else folder / "meta" / "esc50.csv"


def _check_esc10(folder: Path) -> pd.DataFrame:
    clips = pd.read_csv(MANIFEST, dtype={"recording": str}, encoding="utf-8")
    for path, sha256 in zip(clips["path"], clips["sha256"], strict=True):
        file = folder / path
        if not file.is_file():
            raise FileNotFoundError(f"{path} is missing")
        if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise OSError(f"{path} was altered (its SHA-256 is not the published file's)")
    return clips.drop(columns="sha256")


def _check_esc50(folder: Path) -> pd.DataFrame:
    meta = manifest("esc50", folder)
    if not meta.is_file():
        raise FileNotFoundError("meta/esc50.csv is missing")
    rows = pd.read_csv(meta, dtype={"src_file": str}, encoding="utf-8")
    if missing := [column for column in ESC50_COLUMNS if column not in rows]:
        raise OSError(f"meta/esc50.csv lacks the columns {missing}")
    found = {"clips": len(rows), "classes": rows["target"].nunique(), "folds": rows["fold"].nunique()}
    if found != ESC50_SHAPE:
        raise OSError(f"meta/esc50.csv lists {found}, expected {ESC50_SHAPE}")
    for name in rows["filename"]:
        try:
            sound = soundfile.info(folder / "audio" / name)
        except (OSError, soundfile.LibsndfileError) as error:
            raise OSError(f"audio/{name} is missing or no sound") from error
        if abs(sound.duration - 5) > 0.01:
            raise OSError(f"audio/{name} lasts {sound.duration:.2f} s, expected 5")
    table = rows[["target", "fold", "src_file", "take"]].set_axis(["label", "fold", "recording", "take"], axis=1)
    table.insert(0, "path", "audio/" + rows["filename"])
    table.insert(2, "class_name", rows["category"].str.replace("_", " "))
    author, freesound = "a contributor named in ESC-50's LICENSE", "https://freesound.org/s/" + rows["src_file"]
    return table.assign(title="sound " + rows["src_file"], author=author, licence="CC BY-NC", url=freesound)


CHECKS = {"esc10": _check_esc10, "esc50": _check_esc50}


def obtainable(name: str, cache: Path) -> bool:
    """Say, within seconds, whether `download` can start: from an archive put there by hand, or a server."""
    try:
        return (cache / ARCHIVES[name].file).is_file() or reach(ARCHIVES[name].url) is None
    except ConnectionError:
        return False


def download(name: str, cache: Path) -> Path:
    """Bring a data set to `cache / name`, whole and checked, or not at all, and return that folder.

    An archive fetched by hand is taken from `cache` under the name that a browser gives it.

    Raises:
        OSError: If it cannot be had, with the reason, the URL, that folder, and the way on without it.
    """
    archive = ARCHIVES[name]
    by_hand, size = cache / archive.file, f"{archive.megabytes} MB"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache, ignore_cleanup_errors=True) as work:
            file = by_hand if by_hand.is_file() else _fetch(archive.url, Path(work), archive.file)
            tree = unpack(file, Path(work) / "tree")
            CHECKS[name](tree)
            _put(tree, cache / name)
            return cache / name
    except (OSError, ValueError) as error:
        source, again = archive.url, f"try again later, or put that archive ({size}) into {cache} as {archive.file}"
        if by_hand.is_file():
            source, again = by_hand, f"remove that file, or replace it by {archive.url} ({size})"
        if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
            again = f"{cache} takes no files: set AUDIO_CACHE to a folder that can be written to and has room"
        way_out = f"{again}, or go on with generated sounds, profile 'offline'"
        raise OSError(f"{name} could not be had from {source} ({_reason(error)}): {way_out}.") from error


def _fetch(url: str, folder: Path, file: str) -> Path:
    reach(url)
    pooch.get_logger().setLevel("WARNING")  # the progress bar is enough: the rest is full of local paths
    store = pooch.create(path=folder, base_url="", registry={file: None}, urls={file: url}, retry_if_failed=1)
    return Path(store.fetch(file, downloader=_download_zip))


def _download_zip(url: str, output_file: str, store: pooch.Pooch) -> None:
    """pooch's own download, and a look at the result, so that a bad one is tried again as well."""
    http = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=(CONNECT_SECONDS, STALL_SECONDS))
    http(url, output_file, store)
    if not zipfile.is_zipfile(output_file):
        head = Path(output_file).read_bytes()[:200].lstrip().lower()
        html = head.startswith((b"<!doctype", b"<html"))
        raise ValueError(f"the server sent {'an HTML page' if html else 'no zip archive, or one cut short'}")


def reach(url: str) -> None:
    """Raise ConnectionError unless a server answers soon; name look-up knows no time limit, hence the thread."""
    answer = queue.Queue()

    def ask():
        try:
            answer.put(requests.head(url, timeout=CONNECT_SECONDS))
        except requests.RequestException as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answer.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        error = requests.Timeout()
    if isinstance(error, requests.exceptions.SSLError):
        raise ConnectionError("no secure connection: the server's certificate is refused")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        raise ConnectionError(f"no answer from the network within {CONNECT_SECONDS:g} s")
    if isinstance(error, requests.RequestException):
        raise ConnectionError(f"{url} cannot be asked: {error}")


def unpack(file: Path, folder: Path) -> Path:
    """Unpack a zip archive into a new `folder` and return its single top folder.

    Raises:
        OSError: If it is no zip archive, is damaged, is a bomb, or holds a member that would land outside `folder`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                    raise OSError(f"its member {member.filename!r} would land outside the folder")
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_BYTES:
                raise OSError(f"its {len(members)} members would fill far more than a data set does")
            archive.extractall(folder)
    except (zipfile.BadZipFile, EOFError, zipfile.zlib.error) as error:
        raise OSError(f"no whole zip archive: {error}") from error
    tops = sorted(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise OSError(f"an archive of one folder was expected, and it holds {len(tops)} entries")
    return tops[0]


def _put(tree: Path, target: Path) -> None:
    try:
        tree.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, and its tree was checked as well
            raise


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the download was cut short twice"
    if isinstance(error, requests.TooManyRedirects):
        return "the server sends in circles"
    if isinstance(error, requests.RequestException):
        return f"the server stood still for {STALL_SECONDS:g} s, or hung up"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full"
    return str(error).removesuffix(".")
