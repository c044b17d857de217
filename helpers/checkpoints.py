"""Lesson 05: checkpoints that are whole or absent, and runs that go on where they were killed.

A run's folder holds `configuration.json`, a lock while it is training, and the two newest `epoch_NNN` folders, each
written by Accelerate (model, optimiser, scaler, random states), with the history beside them, and sealed by the sums of
its files. A seal is no signature: a folder may be anybody's, so nothing that is read from it may run code, as a pickle could.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError

import pooch
from accelerate import Accelerator
from filelock import FileLock, Timeout
from safetensors import SafetensorError

KEEP = 2  # the newest, and the one before should the newest be damaged
SEAL, HISTORY = "sums.json", "history.json"
CONFIGURATION = "configuration.json"


def save(accelerator: Accelerator, folder: Path, rows: list[dict]) -> None:
    """Write the state and the history, a row an epoch, under another name, seal it, rename it, and drop all but the two newest.

    Raises:
        OSError: If it cannot be written; the checkpoints that are there stay.
    """
    part, whole = folder / f"epoch_{len(rows):03d}.part", folder / f"epoch_{len(rows):03d}"
    try:
        if accelerator.is_main_process:
            _remove(part)  # of a run that was killed
            _remove(whole)  # found damaged
        accelerator.wait_for_everyone()
        accelerator.save_state(str(part))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (part / HISTORY).write_text(json.dumps({"rows": rows}), encoding="utf-8")
            (part / SEAL).write_text(json.dumps(_sums(part)), encoding="utf-8")
            part.replace(whole)
    except (OSError, RuntimeError, SafetensorError) as error:  # what each library makes of a full disk
        shutil.rmtree(part, ignore_errors=True)
        raise OSError(
            f"The checkpoint of epoch {len(rows)} cannot be written to {folder} ({error}): make room or set RUNS to another "
            "folder, then start again; training goes on from the epoch before."
        ) from error
    if accelerator.is_main_process:
        for old in found(folder)[KEEP:]:
            shutil.rmtree(old, ignore_errors=True)  # what stays is tried again after the next epoch
    accelerator.wait_for_everyone()


def resume(accelerator: Accelerator, folder: Path) -> list[dict]:
    """Restore the newest whole checkpoint of `folder` and return its history, or none; damaged ones are removed, with a line.

    Raises:
        OSError: If a damaged one cannot be removed.
        ValueError: If one holds code.
    """
    there = found(folder)
    accelerator.wait_for_everyone()  # all have seen them
    for checkpoint in there:
        whole = _is_whole(checkpoint)
        accelerator.wait_for_everyone()
        if whole:
            try:
                accelerator.load_state(str(checkpoint))
            except UnpicklingError as error:  # torch's, which loads numbers alone
                foreign = f"{checkpoint.name} holds more than numbers, so it was not written here"
                raise ValueError(f"{foreign}: choose another folder than {folder}.") from error
            return _read(checkpoint / HISTORY)["rows"]
        accelerator.print(f"{checkpoint.name} is damaged: it is removed, and an earlier one tried.")
        if accelerator.is_main_process:  # a later save would take it for the newest
            _remove(checkpoint)
    if there:
        accelerator.print("No whole checkpoint is left: training starts again.")
    return []


def found(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, newest first."""
    there = (path for path in folder.glob("epoch_*") if path.name.removeprefix("epoch_").isdecimal())
    return sorted(there, key=lambda path: int(path.name.removeprefix("epoch_")), reverse=True)


def begun_with(folder: Path, setting: str):
    """The value of a setting in the configuration of the checkpoints in `folder`, or None."""
    with suppress(OSError, ValueError):
        if found(folder):
            return _read(folder / CONFIGURATION).get(setting)
    return None


@contextmanager
def claim(folder: Path | str | None, accelerator: Accelerator) -> Iterator[Path | None]:
    """A context in which no other run trains in `folder`, which it gives as a Path; a run that is killed lets go by itself.

    Raises:
        BlockingIOError: If another process is training there.
        OSError: If it is no folder that can be written to.
    """
    if folder is None:
        yield None
        return
    folder = Path(folder)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if accelerator.is_main_process:
            lock.acquire()
    except Timeout:
        way_out = f"wait for it, or choose another folder; if there is none, delete {lock.lock_file}"
        raise BlockingIOError(f"Another process is training in {folder}: {way_out}.") from None
    except OSError as error:
        raise OSError(f"{folder} takes no checkpoints ({error}): choose another folder, or set RUNS to one.") from error
    try:
        yield folder
    finally:
        lock.release()


def refuse_other(folder: Path, configuration: dict, accelerator: Accelerator) -> None:
    """Write down what is trained in `folder`, or compare with what was.

    Raises:
        ValueError: If the folder holds the checkpoints of another configuration, with the difference, or of an unknown one.
    """
    file = folder / CONFIGURATION
    configuration = json.loads(json.dumps(configuration))
    accelerator.wait_for_everyone()
    if not found(folder):
        if accelerator.is_main_process:
            file.write_text(json.dumps(configuration, indent=1), encoding="utf-8")
        return
    try:
        before = _read(file)
    except (OSError, ValueError):
        fault = f"but its {file.name} is missing or damaged"
        raise ValueError(f"{folder} holds checkpoints, {fault}: choose another folder, or delete it.") from None
    names = sorted(before.keys() | configuration.keys())
    if different := [name for name in names if before.get(name) != configuration.get(name)]:
        said = "; ".join(f"{name} was {before.get(name)!r}, is {configuration.get(name)!r}" for name in different)
        anew = "create the model anew after the same seed to go on, " if different == ["start"] else ""
        fault = f"{folder} holds checkpoints of another configuration ({said})"
        raise ValueError(f"{fault}: {anew}choose another folder, or delete it.")


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: pooch.file_hash(path) for path in sorted(folder.iterdir()) if path.name != SEAL}


def _is_whole(checkpoint: Path) -> bool:
    """Whether all that was sealed is there as it was; what a file manager adds does no harm."""
    try:
        sealed = _read(checkpoint / SEAL)
        return HISTORY in sealed and all(pooch.file_hash(checkpoint / name) == sum for name, sum in sealed.items())
    except (OSError, ValueError):
        return False


def _read(file: Path) -> dict:
    """The object in a JSON file; ValueError for other contents."""
    if not isinstance(found := json.loads(file.read_text(encoding="utf-8")), dict):
        raise ValueError(f"{file.name} holds no JSON object")
    return found


def _remove(path: Path) -> None:
    """Whatever stands in a checkpoint's place: a folder, or a file, or a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
