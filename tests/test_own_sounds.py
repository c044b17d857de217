"""A folder of recordings becomes clips: nothing is lost in silence, no recording lies on both sides, no file is whole in memory."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from helpers import esc, own_sounds
from helpers.own_sounds import folder

RATE = 8_000


def tone(seconds=1.0, pitch=440.0, rate=RATE, level=0.3):
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


def record(root, name, samples=None, rate=RATE, **how):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tone(pitch=100 + abs(hash(name)) % 2000) if samples is None else samples
    soundfile.write(path, samples, rate, **how)
    return path


@pytest.fixture
def root(tmp_path):
    """Three classes, four recordings each, one of them deep down."""
    root = tmp_path / "sounds"
    for row, name in enumerate(["dog", "cat", "noise"]):
        for take in range(4):
            place = f"{name}/tuesday/deep/{take}.wav" if take == 3 else f"{name}/{take}.wav"
            record(root, place, tone(1 + 0.1 * take, 200 + 500 * row + 20 * take))
    return root


def problems(found):
    return found.set_index("path")["problem"].loc[lambda each: each != ""].to_dict()


def test_every_file_below_a_class_belongs_to_it(root):
    found = own_sounds.inspect(root)
    assert len(found) == 12
    assert not problems(found)
    assert set(found["class_name"]) == {"dog", "cat", "noise"}
    table = own_sounds.summary(found)
    assert table.loc["dog", ["files", "recordings", "left_out"]].tolist() == [4, 4, 0]
    assert table.loc["dog", "seconds"] == pytest.approx(4.6)
    assert "own" in found.attrs["recordings"]


def test_formats_rates_and_channels_may_be_mixed(root):
    record(root, "dog/a.flac", tone(2, 300, 44_100), 44_100)
    record(root, "dog/b.ogg", np.stack([tone(2, 310, 22_050)] * 2, axis=1), 22_050)
    record(root, "dog/c.aiff", tone(2, 320, 16_000), 16_000)
    found = own_sounds.inspect(root).set_index("path")
    assert not problems(found.reset_index())
    assert found.loc["dog/b.ogg", ["sample_rate", "channels"]].tolist() == [22_050, 2]
    sounds = own_sounds.from_folder(root, seconds=1.0, sample_rate=16_000)
    assert {len(sounds[clip]) for clip in range(len(sounds))} == {16_000}


def test_what_cannot_be_used_is_left_out_with_its_reason(root):
    whole = (root / "dog/0.wav").read_bytes()
    (root / "dog/cut.wav").write_bytes(whole[: len(whole) // 2])
    (root / "dog/empty.wav").write_bytes(b"")
    (root / "dog/text.wav").write_text("hello")
    record(root, "dog/silent.wav", np.zeros(RATE, dtype=np.float32))
    record(root, "dog/one.wav", tone()[:1])
    record(root, "dog/copy.flac", soundfile.read(root / "dog/0.wav", dtype="float32")[0])
    record(root, "cat/strange.wav", tone(1, 999))
    record(root, "noise/strange.wav", tone(1, 999))
    found = problems(own_sounds.inspect(root))
    assert "cut off" in found["dog/cut.wav"]
    assert "cannot be read" in found["dog/text.wav"]
    assert "0 bytes" in found["dog/empty.wav"]
    assert "silence" in found["dog/silent.wav"]
    assert found["dog/copy.flac"] == "the same sound as dog/0.wav"
    assert "several classes" in found["cat/strange.wav"]
    assert "several classes" in found["noise/strange.wav"]
    assert len(found) == 8 - ("dog/one.wav" not in found)
    sounds = own_sounds.from_folder(root, seconds=1.0)
    assert not set(sounds.table["path"]) & set(found)


def test_clipping_and_channels_that_cancel_are_noted(root):
    record(root, "dog/loud.wav", np.clip(5 * tone(), -1, 1))
    record(root, "dog/inverted.wav", np.stack([tone(), -tone()], axis=1))
    notes = own_sounds.inspect(root).set_index("path")["note"]
    assert "clipped" in notes["dog/loud.wav"]
    assert "cancel" in notes["dog/inverted.wav"]
    assert notes["dog/0.wav"] == ""


def test_files_of_file_managers_are_no_sounds(root):
    for name in ("._0.wav", ".DS_Store", "Thumbs.db", "desktop.ini", "~lock.wav"):
        (root / "dog" / name).write_bytes(b"\0\0")
    (root / ".git").mkdir()
    (root / ".git" / "a.wav").write_bytes(b"\0")
    (root / "notes.txt").write_text("beside the classes")
    assert len(own_sounds.inspect(root)) == 12


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_and_loops_end(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    record(elsewhere, "bird.wav", tone(1, 3000))
    (root / "bird").symlink_to(elsewhere)
    (root / "dog" / "loop").symlink_to(root)
    found = own_sounds.inspect(root)
    assert len(found) == 13
    assert "bird/bird.wav" in set(found["path"])


def test_long_and_foreign_names_are_names(root):
    for name in ("dog/" + "a" * 200 + ".wav", "dog/Hündin – 犬.wav", "犬/1.wav", "犬/2.wav"):
        record(root, name)
    found = own_sounds.inspect(root)
    assert not problems(found)
    assert "犬" in own_sounds.from_folder(root, seconds=1.0).class_names


def test_a_file_that_changes_while_it_is_read_is_left_out(root, monkeypatch):
    original = folder.decode.blocks

    def growing(path):
        yield from original(path)
        if path.name == "0.wav":
            os.utime(path, (1, 1))

    monkeypatch.setattr(folder.decode, "blocks", growing)
    assert {path: text[:7] for path, text in problems(own_sounds.inspect(root)).items()} == dict.fromkeys(
        ["cat/0.wav", "dog/0.wav", "noise/0.wav"], "changed"
    )


def test_inspection_changes_nothing(root):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    own_sounds.from_folder(root, seconds=1.0)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")} == before


# --- recordings and folds --------------------------------------------------------------------------------------------


def test_no_recording_lies_in_two_folds_and_every_class_in_each(root):
    sounds = own_sounds.from_folder(root, seconds=0.25)
    assert (sounds.table.groupby("recording")["fold"].nunique() == 1).all()
    assert (sounds.table.groupby("fold")["class_name"].nunique() == 3).all()
    assert sounds.table["fold"].nunique() == 4  # as many as the poorest class has recordings
    train, test = sounds.split(1)
    assert not set(sounds.table["recording"].iloc[train]) & set(sounds.table["recording"].iloc[test])


def test_a_pattern_says_what_is_one_recording(tmp_path):
    for name in ("one", "two"):
        for speaker in range(3):
            for take in range(2):
                record(tmp_path, f"{name}/speaker{speaker}_{take}.wav")
    sounds = own_sounds.from_folder(tmp_path, seconds=0.5, recording=r"speaker(\d+)")
    assert set(sounds.table["recording"]) == {"0", "1", "2"}
    assert (sounds.table.groupby("recording")["fold"].nunique() == 1).all()
    assert "pattern" in sounds.source


@pytest.mark.parametrize("pattern", [r"singer(\d+)", r"\d+"])
def test_a_pattern_that_finds_nothing_is_named(root, pattern):
    with pytest.raises(ValueError, match="pattern.*12, such as cat/0.wav"):
        own_sounds.inspect(root, recording=pattern)


def test_a_table_of_recordings_wins(root):
    paths = own_sounds.inspect(root)["path"]
    takes = paths.str.extract(r"(\d)\.wav")[0]
    pd.DataFrame({"path": paths.str.replace("/", "\\"), "recording": takes}).to_csv(
        root / "recordings.csv", index=False
    )
    found = own_sounds.inspect(root, recording="nothing")
    assert found["recording"].tolist() == takes.tolist()
    assert "recordings.csv" in found.attrs["recordings"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"path": ["dog/9.wav"], "recording": ["a"]}, r"missing, 1 in all, such as dog/9\.wav"),
        ({"path": ["dog/0.wav"], "recording": ["a"]}, r"lacks files, 11 in all"),
        ({"file": ["dog/0.wav"]}, "columns path and recording, it has file"),
    ],
)
def test_a_wrong_table_of_recordings_is_named(root, rows, says):
    pd.DataFrame(rows).to_csv(root / "recordings.csv", index=False)
    with pytest.raises(ValueError, match=says):
        own_sounds.inspect(root)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "no files in class folders"),
        (["a.wav"], "no files in class folders"),
        (["dog/1.wav", "dog/2.wav"], "one class, 'dog'"),
        (["dog/1.wav", "dog/2.wav", "cat/1.wav"], "'cat' has 1 recordings"),
    ],
)
def test_too_little_is_said_with_the_way_out(tmp_path, files, says):
    for name in files:
        record(tmp_path, name)
    with pytest.raises(ValueError, match=says):
        own_sounds.from_folder(tmp_path, seconds=1.0)


def test_a_class_of_unreadable_files_is_named(root):
    for name in ("1", "2"):
        (root / "bird").mkdir(exist_ok=True)
        (root / "bird" / f"{name}.wav").write_text("no sound")
    with pytest.raises(ValueError, match="'bird' has 0 recordings"):
        own_sounds.from_folder(root, seconds=1.0)


def test_no_folder_is_an_error_of_its_own(tmp_path):
    with pytest.raises(OSError, match="no folder"):
        own_sounds.inspect(tmp_path / "nowhere")


# --- windows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "expected"), [(0.3, [0]), (1, [0]), (1.2, [0, 0.2]), (2, [0, 0.5, 1]), (2.1, [0, 1.1 / 3, 2.2 / 3, 1.1])]
)
def test_windows_cover_a_recording_from_its_first_to_its_last_second(length, expected):
    assert folder.starts(length, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
def test_windows_leave_nothing_out(overlap):
    for length in np.linspace(0.1, 20, 57):
        places = folder.starts(length, 1.28, overlap)
        assert places[0] == 0
        assert places[-1] == pytest.approx(max(0, length - 1.28))
        assert (np.diff(places) <= 1.28 * (1 - overlap) + 1e-6).all()


def test_a_window_holds_what_sounds_there(tmp_path):
    ramp = np.linspace(-0.9, 0.9, 10 * RATE).astype(np.float32)
    path = record(tmp_path, "dog/ramp.wav", ramp, subtype="FLOAT")
    places = folder.starts(10, 1.0)
    found = list(folder.windows(path, places, seconds=1.0, sample_rate=RATE))
    assert len(found) == len(places) == 19
    for place, window in zip(places, found, strict=True):
        torch.testing.assert_close(window, torch.from_numpy(ramp[round(place * RATE) :][:RATE]))


def test_clips_may_be_read_in_any_order(root):
    record(root, "dog/long.wav", tone(7) * np.linspace(0.1, 1, 7 * RATE).astype(np.float32))
    sounds = own_sounds.from_folder(root, seconds=1.0, sample_rate=RATE)
    forward = [sounds[clip] for clip in range(len(sounds))]
    order = np.random.default_rng(0).permutation(len(sounds))
    assert all(torch.equal(forward[clip], sounds[clip]) for clip in order)
    long = sounds.table.index[sounds.table["path"] == "dog/long.wav"]
    assert len({float(forward[clip].abs().max()) for clip in long}) == len(long) == 13


def test_short_sounds_are_repeated_or_padded(root):
    record(root, "dog/short.wav", tone(0.25))
    for mode, loud in (("repeat", True), ("pad", False)):
        sounds = own_sounds.from_folder(root, seconds=1.0, sample_rate=RATE, mode=mode)
        short = sounds[sounds.table.index[sounds.table["path"] == "dog/short.wav"][0]]
        assert (short[RATE // 2 :].abs().max() > 0.1) == loud


def test_a_long_file_is_never_whole_in_memory(tmp_path):
    minutes, rate = 10, 44_100
    path = tmp_path / "dog" / "long.wav"
    path.parent.mkdir()
    with soundfile.SoundFile(path, "w", rate, 2) as file:
        for _ in range(minutes * 6):
            file.write(np.random.default_rng(0).normal(scale=0.1, size=(10 * rate, 2)))
    tracemalloc.start()
    row = folder._look(path)
    for _ in folder.windows(path, folder.starts(row["seconds"], 5.12), seconds=5.12, sample_rate=16_000):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row["seconds"] == 60 * minutes
    whole = minutes * 60 * rate * 2 * 4
    assert most < whole / 8


def test_the_command_line_inspects(root):
    run = subprocess.run(
        [sys.executable, "-m", "helpers.own_sounds", "inspect", str(root)],
        capture_output=True,
        text=True,
        cwd=esc.PROJECT,
    )
    assert run.returncode == 0, run.stderr
    assert "dog" in run.stdout
