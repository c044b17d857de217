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

from helpers import esc, fine_tuning, own_sounds, session, spectrograms
from helpers.own_sounds import demo, folder
from helpers.own_sounds.__main__ import main

RATE = 8_000
WORDS = "zero one two three four five six seven eight nine".split()


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
    found = list(folder.windows(path, places, seconds=1.0, sample_rate=RATE, mode="pad"))
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
    places = folder.starts(row["seconds"], 5.12)
    for _ in folder.windows(path, places, seconds=5.12, sample_rate=16_000, mode="pad"):
        pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row["seconds"] == 60 * minutes
    whole = minutes * 60 * rate * 2 * 4
    assert most < whole / 8


def test_the_command_line_inspects(root, capsys):
    assert main(["inspect", str(root)]) == 0
    assert "dog" in capsys.readouterr().out


# --- train, keep, use ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder of high and low tones and of noise, its clips, and a model of it, trained for two epochs by the command line."""
    root, draw = tmp_path_factory.mktemp("toy"), np.random.default_rng(0)
    for take in range(6):
        record(root, f"sounds/high/{take}.wav", tone(pitch=2000 + 40 * take))
        record(root, f"sounds/low/{take}.wav", tone(pitch=200 + 10 * take))
        record(root, f"sounds/noise/{take}.wav", draw.normal(scale=0.1, size=RATE).astype(np.float32))
    out = root / "model.safetensors"
    run = command("train", root / "sounds", "--out", out, "--epochs", 2, PROFILE="offline")
    assert run.returncode == 0, run.stderr
    return root, out, run.stdout


def command(*arguments, **environment):
    """As a user gives it, in a process of its own, which takes seconds to import all; `main` is the same without."""
    return subprocess.run(
        [sys.executable, "-m", "helpers.own_sounds", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=esc.PROJECT,
        env=os.environ | environment,
    )


def test_a_model_is_one_file_with_its_notes_and_a_card(toy):
    root, out, said = toy
    model, log_mel, notes = fine_tuning.load_model(out)
    assert notes["class_names"] == ["high", "low", "noise"]
    assert notes["clips"] == {"training": 10, "test": 4}
    assert log_mel.settings["f_max"] == RATE / 2  # the band of the files
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    for part in (card, said):
        assert "learned from the class noise" in part
        assert f"{notes['threshold']:.2f}" in part
    assert str(root) not in str(notes) + card
    assert sorted(path.name for path in root.iterdir()) == ["model.md", "model.safetensors", "sounds"]


def test_predict_answers_what_can_be_read_and_ends_with_1_for_the_rest(toy):
    root, out, _ = toy
    broken = root / "sounds" / "broken.wav"
    broken.write_bytes((root / "sounds/low/0.wav").read_bytes()[:5000])
    run = command("predict", out, root / "sounds/low/0.wav", broken, root / "nowhere.wav", root / "sounds/high/1.wav")
    broken.unlink()
    assert run.returncode == 1
    lines = run.stdout.splitlines()
    assert lines[0] == "file,start,end,class,probability"
    assert [line.split(",")[0].rsplit("/", 1)[-1] for line in lines[1:]] == ["0.wav", "1.wav"]
    assert len(run.stderr.strip().splitlines()) == 2
    assert "broken.wav" in run.stderr
    assert "nowhere.wav does not exist" in run.stderr


def test_a_timeline_covers_a_long_recording(toy, tmp_path):
    loaded = fine_tuning.load_model(toy[1])
    path = record(tmp_path, "long.wav", np.concatenate([tone(3, 210), tone(3, 2050)]))
    heard = own_sounds.timeline(loaded, path)
    assert heard["start"].iloc[0] == 0
    assert heard["end"].iloc[-1] == pytest.approx(6)
    assert heard[["high", "low", "noise"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert set(heard["class"]) <= {"high", "low", own_sounds.NONE}
    assert own_sounds.picture(loaded, path).shape == (128, 750)
    joined = own_sounds.picture(loaded, path, most_frames=100)
    assert joined.shape == (128, 94)
    assert joined.max() == own_sounds.picture(loaded, path).max()


def test_nothing_of_the_users_is_overwritten(toy, monkeypatch, capsys):
    root, out, _ = toy
    before = out.read_bytes()
    monkeypatch.setenv("PROFILE", "offline")
    assert main(["train", str(root / "sounds"), "--out", str(out), "--epochs", "1"]) == 1
    assert "is there already and stays as it is" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "{root}/sounds", "--out", "{root}/model.pt"], "must end in .safetensors"),
        (["train", "{root}/sounds", "--out", "{root}/sounds/low/0.wav/m.safetensors"], "cannot be written"),
        (["train", "{root}/sounds", "--out", "{root}/n.safetensors", "--model", "vit_unknown"], "no model of timm"),
        (["train", "{root}/sounds/low", "--out", "{root}/n.safetensors"], "no files in class folders"),
        (["inspect", "{root}/nowhere"], "is no folder"),
        (["inspect", "{root}/sounds", "--recording", "("], "regular expression"),
        (["predict", "{root}/sounds/low/0.wav", "{root}/sounds/low/0.wav"], "holds no model"),
        (["predict", "{root}/nothing.safetensors", "{root}/sounds/low/0.wav"], "nothing.safetensors"),
    ],
)
@pytest.mark.filterwarnings("error", "ignore::DeprecationWarning")  # a warning would be a second sentence
def test_bad_input_is_one_sentence_and_a_status(toy, monkeypatch, capfd, arguments, says):
    monkeypatch.setenv("PROFILE", "offline")
    assert main([argument.format(root=toy[0]) for argument in arguments]) == 1
    said = capfd.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) == 1


def test_altered_notes_are_noticed(toy, tmp_path):
    changed = tmp_path / "changed.safetensors"
    content = toy[1].read_bytes()
    assert content.count(b'class_names\\": [\\"high\\", \\"low\\"') == 1
    changed.write_bytes(content.replace(b'\\"high\\", \\"low\\"', b'\\"low\\", \\"high\\"'))
    with pytest.raises(ValueError, match="changed.safetensors"):
        fine_tuning.load_model(changed)


def test_a_stopped_training_goes_on_and_ends_as_if_undisturbed(toy, tmp_path, monkeypatch):
    root, here = toy[0], session.start("offline")
    found = own_sounds.inspect(root / "sounds")
    settings = own_sounds.front_end(found)
    sounds = own_sounds.from_folder(root / "sounds", seconds=settings["seconds"], mode=settings["mode"], found=found)
    own_sounds.train(sounds, settings, tmp_path / "whole.safetensors", here, epochs=2)
    original, calls = fine_tuning.train_one_epoch, []

    def ctrl_c(*arguments, **options):
        calls.append(options["epoch"])
        if calls == [0, 1]:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(fine_tuning, "train_one_epoch", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        own_sounds.train(sounds, settings, tmp_path / "stopped.safetensors", here, epochs=2)
    assert not (tmp_path / "stopped.safetensors").exists()
    own_sounds.train(sounds, settings, tmp_path / "stopped.safetensors", here, epochs=2)
    assert calls == [0, 1, 1]
    one, other = (fine_tuning.load_model(tmp_path / f"{name}.safetensors")[0] for name in ("whole", "stopped"))
    assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_a_test_of_one_recording_has_no_interval(tmp_path):
    for row, name in enumerate(["high", "low"]):
        for speaker in range(3):
            for take in range(2):
                pitch = 300 + 900 * row + 40 * speaker + 10 * take
                record(tmp_path, f"sounds/{name}/speaker{speaker}_{take}.wav", tone(0.5, pitch))
    found = own_sounds.inspect(tmp_path / "sounds", recording=r"speaker(\d|x)")
    settings, out = own_sounds.front_end(found), tmp_path / "model.safetensors"
    sounds = own_sounds.from_folder(
        tmp_path / "sounds", seconds=settings["seconds"], mode=settings["mode"], found=found
    )
    seen = []
    how = {"epochs": 2, "after_epoch": lambda model, history: seen.append(len(history))}
    notes = own_sounds.train(sounds, settings, out, session.start("offline"), **how)
    assert notes["test_interval"] is None
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "one recording, so without an interval" in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert all(line.replace(r"\|", "").count("|") == 3 for line in rows)  # of two cells each
    assert seen == [1, 2]


def test_a_full_disk_keeps_the_training(toy, tmp_path, monkeypatch):
    root, here = toy[0], session.start("offline")
    found = own_sounds.inspect(root / "sounds")
    settings = own_sounds.front_end(found)
    sounds = own_sounds.from_folder(root / "sounds", seconds=settings["seconds"], mode=settings["mode"], found=found)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fine_tuning, "save_model", full)
    with pytest.raises(OSError, match="No space left"):
        own_sounds.train(sounds, settings, tmp_path / "model.safetensors", here, epochs=1)
    assert not (tmp_path / "model.safetensors").exists()
    assert list((tmp_path / "model.training").glob("epoch_*"))


# --- none of these ---------------------------------------------------------------------------------------------------

PROBABILITIES = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.55, 0.05, 0.4], [0.6, 0.3, 0.1]])
# the last class is background; clip 3 is background taken for 0, clip 4 a 1 taken for 0
LABELS = torch.tensor([0, 1, 2, 2, 1])


@pytest.mark.parametrize(
    ("threshold", "said"),
    [(0.0, [0, 1, -1, 0, 0]), (0.5, [0, 1, -1, 0, 0]), (0.56, [0, -1, -1, -1, 0]), (0.95, [-1, -1, -1, -1, -1])],
)
def test_a_name_is_said_from_the_threshold_on_and_background_never(threshold, said):
    assert own_sounds.named(PROBABILITIES, threshold, [2]).tolist() == said


@pytest.mark.parametrize(
    ("threshold", "hits", "false"),
    [(0.0, 2 / 3, 2 / 0.5), (0.5, 2 / 3, 2 / 0.5), (0.56, 1 / 3, 1 / 0.5), (0.7, 1 / 3, 0.0), (0.95, 0.0, 0.0)],
)
def test_hits_and_false_alarms_are_counted(threshold, hits, false):
    said = own_sounds.named(PROBABILITIES, threshold, [2])
    assert own_sounds.alarms(said, LABELS, background=[2], hours=0.5) == pytest.approx((hits, false))


def test_without_a_background_every_clip_is_a_sound():
    said = own_sounds.named(PROBABILITIES, 0.0, [])
    hits, false = own_sounds.alarms(said, LABELS, background=[], hours=1.0)
    assert (hits, false) == pytest.approx((3 / 5, 2))


def test_a_timeline_and_the_count_of_alarms_name_the_same(toy, tmp_path):
    """One rule for both: what `curve` counts is what a user is told."""
    loaded = fine_tuning.load_model(toy[1])
    names, threshold = loaded[2]["class_names"], loaded[2]["threshold"]
    path = record(tmp_path, "mixed.wav", np.concatenate([tone(2, 210), tone(2, 700), tone(2, 2050)]))
    heard = own_sounds.timeline(loaded, path)
    said = own_sounds.named(torch.tensor(heard[names].to_numpy()), threshold, own_sounds.background_of(names))
    assert heard["class"].tolist() == [own_sounds.NONE if each < 0 else names[each] for each in said]


def test_the_threshold_is_the_lowest_that_is_quiet_enough():
    table = pd.DataFrame(
        {"hits": [0.9, 0.9, 0.7, 0.2], "false alarms an hour": [90, 60, 60, 0]}, index=[0, 0.2, 0.4, 0.6]
    )
    assert own_sounds.choose_threshold(table, 60) == 0.2
    assert own_sounds.choose_threshold(table, 59) == 0.6
    assert own_sounds.choose_threshold(table.iloc[:3], 5) == 1.0


@pytest.mark.parametrize("name", ["noise", "Other", "background", "SILENCE"])
def test_folders_of_background_are_known_by_name(name):
    assert own_sounds.background_of(["a", name, "b"]) == [1]
    assert own_sounds.background_of(["a", "noisy"]) == []


@pytest.mark.parametrize(
    ("length", "seconds", "mode"),
    [(0.4, 0.512, "pad"), (0.7, 0.768, "pad"), (2.0, 2.24, "repeat"), (60, 5.12, "repeat")],
)
def test_the_front_end_suits_the_files(length, seconds, mode):
    found = pd.DataFrame({"seconds": [length] * 20, "sample_rate": [8000] + [44_100] * 19, "problem": ""})
    settings = own_sounds.front_end(found)
    assert (settings["seconds"], settings["mode"]) == (seconds, mode)
    frames = seconds * 16_000 / settings["log_mel"]["hop_length"]
    assert frames % 16 == 0
    assert settings["log_mel"]["f_max"] == 4000
    spectrograms.LogMel(**settings["log_mel"])  # no mel bin stays empty


def test_the_page_says_how_to_get_gradio(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(OSError, match="tools/setup.py --demo"):
        demo.page((None, None, {"class_names": ["a"]}))


def test_another_split_gets_another_file(root):
    here, settings = session.start("offline"), {"seconds": 0.5, "mode": "pad"}
    whole = own_sounds.from_folder(root, **settings)
    takes = own_sounds.from_folder(root, **settings, recording=r"(\d)\.wav")
    files = [own_sounds.file_for(each, settings, here) for each in (whole, takes, whole)]
    assert files[0] == files[2] != files[1]
    assert files[0] != own_sounds.file_for(whole, settings | {"mode": "repeat"}, here)
    assert files[0].name.startswith("sounds-")
    assert here.runs in files[0].parents


def test_the_long_example_holds_words_of_people_held_out(tmp_path):
    root = own_sounds.example(tmp_path / "example")
    sounds = own_sounds.from_folder(root, seconds=0.768, recording=r"(speaker\d+|noise\d+)")
    said = own_sounds.example_recording(tmp_path / "long.wav", sounds)
    assert [said[3], said[6]] == ["rain", "a bark"]
    assert set(said) - {"rain", "a bark"} <= set(WORDS)
    assert 8 < soundfile.info(tmp_path / "long.wav").duration < 14


def test_the_example_has_digits_and_background(tmp_path):
    root = own_sounds.example(tmp_path / "example")
    found = own_sounds.inspect(root, recording=r"(speaker\d+|noise\d+)")
    assert not problems(found)
    assert own_sounds.summary(found)["files"].to_dict() == dict.fromkeys(WORDS, 36) | {"background": 60}
    assert own_sounds.front_end(found)["seconds"] == 0.768
