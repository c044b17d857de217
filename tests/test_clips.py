"""Reading sound files, good and bad; data sets, their splits and their cache."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from IPython.display import HTML
from safetensors.torch import load_file, save_file

from helpers import clips, esc

REAL = os.environ.get("AUDIO_DATA")
needs_esc10 = pytest.mark.skipif(not REAL, reason="AUDIO_DATA names no folder with the recordings of ESC-10")


def tone(seconds: float, sample_rate: int, channels: int = 1) -> np.ndarray:
    """440 Hz at half of full scale, (time, channels)."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * sample_rate)) / sample_rate)
    return np.tile(wave[:, None], (1, channels))


def stand_in(folder: Path) -> Path:
    """A tiny ESC-10: two classes in two folds, two takes a recording; returns its manifest and fills `folder`/esc10."""
    rows = []
    for label, name in enumerate(["dog bark", "rain"]):
        for fold, recording in ((1, "30226"), (2, "4711")):
            for take in "AB":
                path = f"00{label + 1} - {name}/{fold}-{recording}-{take}.ogg"
                file = folder / "esc10" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, tone(0.2 + 0.1 * label, 44_100), 44_100)
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                rows.append(
                    (
                        path,
                        digest,
                        label,
                        name,
                        fold,
                        f"{recording}{label or ''}",
                        take,
                        "a dog",
                        "Ann",
                        "CC-BY",
                        "u://x",
                    )
                )
    columns = [
        "path",
        "sha256",
        "label",
        "class_name",
        "fold",
        "recording",
        "take",
        "title",
        "author",
        "licence",
        "url",
    ]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture
def small_esc10(tmp_path, monkeypatch):
    monkeypatch.setattr(esc, "MANIFEST", stand_in(tmp_path))
    monkeypatch.setenv("AUDIO_DATA", str(tmp_path))
    monkeypatch.setenv("AUDIO_CACHE", str(tmp_path / "cache"))
    return tmp_path


def one_sentence(error: BaseException, *words: str) -> None:
    text = str(error)
    assert len(text) < 700
    assert "\n" not in text
    assert all(word in text for word in words), text


# files that must work


@pytest.mark.parametrize(
    ("name", "seconds", "sample_rate", "channels", "subtype"),
    [
        ("mono 8 kHz.wav", 1.0, 8_000, 1, "PCM_16"),
        ("stereo.wav", 1.0, 96_000, 2, "FLOAT"),
        ("eight.flac", 1.0, 48_000, 8, "PCM_24"),
        ("old.wav", 1.0, 11_025, 1, "PCM_U8"),
        ("music.mp3", 1.0, 44_100, 2, "MPEG_LAYER_III"),
        ("vorbis.ogg", 1.0, 44_100, 1, "VORBIS"),
        ("déjà vu – größer 犬.wav", 1.0, 16_000, 1, "PCM_16"),
        ("short.wav", 0.02, 44_100, 1, "PCM_16"),
        ("long.wav", 600.0, 8_000, 1, "PCM_16"),
        ("odd rate.wav", 1.0, 44_101, 1, "PCM_16"),
    ],
)
def test_sound_of_any_kind_is_read(tmp_path, name, seconds, sample_rate, channels, subtype):
    soundfile.write(tmp_path / name, tone(seconds, sample_rate, channels), sample_rate, subtype=subtype)
    waveform = clips.read_clip(tmp_path / name)
    assert waveform.dtype == torch.float32
    assert waveform.ndim == 1
    assert len(waveform) == pytest.approx(seconds * 16_000, abs=40)
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]  # the ends ring
    assert float(middle.square().mean().sqrt()) == pytest.approx(0.5 / 2**0.5, rel=0.1 if seconds < 0.1 else 0.02)


def test_channels_are_averaged_and_peaks_stay(tmp_path):
    samples = np.stack([np.full(1600, 1.5), np.full(1600, 0.9)], axis=1)
    soundfile.write(tmp_path / "loud.wav", samples, 16_000, subtype="FLOAT")
    torch.testing.assert_close(clips.read_clip(tmp_path / "loud.wav"), torch.full((1600,), 1.2))


def test_resampling_keeps_pitch_and_removes_what_is_above_nyquist(tmp_path):
    rate = 48_000
    times = np.arange(rate) / rate
    soundfile.write(tmp_path / "two.wav", 0.4 * np.sin(2e3 * np.pi * times) + 0.4 * np.sin(2e4 * np.pi * times), rate)
    spectrum = torch.fft.rfft(clips.read_clip(tmp_path / "two.wav")[1600:14_400]).abs()
    hertz = torch.arange(len(spectrum)) * 16_000 / 12_800
    assert float(hertz[spectrum.argmax()]) == pytest.approx(1_000, abs=2)
    assert float(spectrum[hertz > 5_000].max()) < 1e-2 * float(spectrum.max())  # 10 kHz would come back as 6 kHz


# files that must fail, with a sentence


def _folder(path):
    path.mkdir()


def _cut_ogg(path):
    whole = path.with_name("whole.ogg")
    soundfile.write(whole, tone(1.0, 16_000), 16_000)
    path.write_bytes(whole.read_bytes()[:60])


def _samples(*values):
    return lambda path: soundfile.write(path, np.array(values, dtype=np.float32), 16_000, subtype="FLOAT")


BAD_FILES = {
    "missing.wav": (lambda path: None, FileNotFoundError, "does not exist"),
    "folder.wav": (_folder, OSError, "is a folder"),
    "empty.wav": (lambda path: path.write_bytes(b""), OSError, "0 bytes"),
    "cut.ogg": (_cut_ogg, OSError, "cannot be read as sound"),
    "text.wav": (
        lambda path: path.write_text("no sound at all", encoding="utf-8"),
        OSError,
        "cannot be read as sound",
    ),
    "zero frames.wav": (_samples(), ValueError, "zero frames"),
    "nan.wav": (_samples(0.0, np.nan, 0.1), ValueError, "in 1 of 3 frames"),
    "infinite.wav": (_samples(0.0, np.inf, -np.inf), ValueError, "in 2 of 3 frames"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_in_one_sentence(tmp_path, name):
    make, kind, words = BAD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(kind) as caught:
        clips.read_clip(tmp_path / name)
    one_sentence(caught.value, name, words)


@pytest.mark.parametrize("sample_rate", [0, -1, 0.5, "16000", None])
def test_bad_sample_rate_is_refused(tmp_path, sample_rate):
    soundfile.write(tmp_path / "good.wav", tone(0.1, 16_000), 16_000)
    for call in (
        lambda: clips.read_clip(tmp_path / "good.wav", sample_rate),
        lambda: clips.load("synthetic", sample_rate=sample_rate),
    ):
        with pytest.raises(ValueError, match="sample_rate must be a positive whole number") as caught:
            call()
        one_sentence(caught.value, repr(sample_rate))


# length and player


def test_fix_length_crops_repeats_and_pads():
    waveform = torch.tensor([1.0, 2.0, 3.0])
    assert clips.fix_length(waveform, 2).tolist() == [1, 2]
    assert clips.fix_length(waveform, 7).tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert clips.fix_length(waveform, 5, mode="pad").tolist() == [1, 2, 3, 0, 0]
    assert clips.fix_length(waveform, 2, mode="pad").tolist() == [1, 2]
    assert clips.fix_length(waveform.expand(4, 2, 3), 5).shape == (4, 2, 5)


@pytest.mark.parametrize(
    ("waveform", "num_samples", "mode", "words"),
    [
        (torch.ones(3), 0, "repeat", "num_samples"),
        (torch.ones(3), 5.12 * 16_000, "repeat", r"round\(seconds \* sample_rate\), got 81920.0"),
        (torch.ones(2, 0), 5, "repeat", "at least one sample"),
        (torch.ones(3), 5, "mirror", "'repeat' or 'pad'"),
    ],
)
def test_fix_length_refuses(waveform, num_samples, mode, words):
    with pytest.raises(ValueError, match=words):
        clips.fix_length(waveform, num_samples, mode)


def test_player_plays_loud_clips_quieter_and_says_so():
    quiet, loud = torch.linspace(-0.5, 0.5, 800), torch.linspace(-2, 2, 800)
    assert isinstance(clips.player(quiet, 16_000, "a <dog>"), HTML)
    assert "a &lt;dog&gt;</div>" in clips.player(quiet, 16_000, "a <dog>").data
    assert "peak 2.00: played 6.0 dB quieter" in clips.player(loud, 16_000).data
    assert "audio/wav" in clips.player(loud, 16_000).data
    with pytest.raises(ValueError, match="finite"):
        clips.player(torch.tensor([0.0, torch.nan]), 16_000)


# data sets


def test_unknown_data_set_lists_the_right_names():
    for call in (clips.load, clips.locate):
        with pytest.raises(ValueError, match="synthetic, esc10, esc50") as caught:
            call("esc-10")
        one_sentence(caught.value, "'esc-10'")


def test_small_data_set_is_loaded_split_and_credited(small_esc10):
    sounds = clips.load("esc10")
    assert (len(sounds), sounds.source, clips.locate("esc10")) == (8, "from $AUDIO_DATA", "AUDIO_DATA")
    assert sounds.class_names == ["dog bark", "rain"]
    assert sounds.table.path[sounds.bark] == "001 - dog bark/1-30226-A.ogg"
    assert [len(sounds[i]) for i in (0, 7)] == [3200, 4800]
    assert sounds.waveforms(4000, [0, 7]).shape == (2, 4000)
    assert sounds.credits(0) == "“a dog” by Ann, CC-BY, u://x"
    train, test = sounds.split(2)
    assert (train.tolist(), test.tolist()) == ([0, 1, 4, 5], [2, 3, 6, 7])
    with pytest.raises(ValueError, match=r"one of \[1, 2\], got 3"):
        sounds.split(3)
    torch.testing.assert_close(sounds[0], clips.read_clip(small_esc10 / "esc10" / sounds.table.path[0]))
    sounds[0].zero_()
    assert sounds[0].abs().max() > 0.4  # what a reader does to a clip stays with the reader


def test_a_recording_in_two_folds_is_refused(small_esc10):
    """Its takes would be learned from and tested on: the leak of lesson 05."""
    sounds = clips.load("esc10")
    sounds.table.loc[[0, 2], "recording"] = "99"
    for cut in (sounds.split, sounds.inner_split):
        with pytest.raises(ValueError, match="Each recording must lie in one fold, but 1 lie in several, such as 99"):
            cut(1)


def test_relative_folders_start_at_the_project(small_esc10, monkeypatch):
    monkeypatch.setattr(esc, "PROJECT", small_esc10.parent)
    monkeypatch.setenv("AUDIO_DATA", small_esc10.name)
    monkeypatch.setenv("AUDIO_CACHE", "sound cache")
    assert clips.load("esc10").folder == small_esc10 / "esc10"
    assert list((small_esc10.parent / "sound cache").glob("esc10-16000Hz-*.safetensors"))


def test_folders_that_are_wrong_are_named(small_esc10, monkeypatch):
    monkeypatch.setenv("AUDIO_DATA", str(small_esc10 / "nowhere"))
    for call in (clips.load, clips.locate):
        with pytest.raises(OSError, match="names no folder") as caught:
            call("esc10")
        one_sentence(caught.value, "AUDIO_DATA", "nowhere", "downloaded")
    monkeypatch.setenv("AUDIO_DATA", str(small_esc10))
    with pytest.raises(OSError, match="holds no folder esc50/") as caught:
        clips.load("esc50")
    one_sentence(caught.value, "AUDIO_DATA", "https://github.com/karolpiczak/ESC-50")


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_tree_with_a_bad_file_names_it(small_esc10, damage):
    file = small_esc10 / "esc10" / "002 - rain" / "2-4711-B.ogg"
    file.unlink() if damage == "missing" else file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(OSError, match=damage) as caught:
        clips.load("esc10")
    one_sentence(caught.value, "002 - rain/2-4711-B.ogg", "as published")


# the cache of waveforms


def waveform_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_second_load_decodes_nothing(small_esc10, monkeypatch):
    first = clips.load("esc10")
    monkeypatch.setattr(clips, "read_clip", lambda *_: pytest.fail("decoded again"))
    second = clips.load("esc10")
    assert all(torch.equal(first[i], second[i]) for i in range(len(first)))
    assert len(waveform_files(small_esc10 / "cache")) == 1


@pytest.mark.parametrize("wrong", [np.zeros(0), torch.zeros(2, 0)])
def test_nothing_has_no_length(wrong):
    with pytest.raises(ValueError, match="waveform must hold"):
        clips.fix_length(wrong, 5)


def test_arrays_are_brought_to_length_and_played(tmp_path):
    array = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    assert torch.equal(clips.fix_length(array, 5), clips.fix_length(torch.from_numpy(array), 5))
    assert clips.player(array, 8_000).data == clips.player(torch.from_numpy(array), 8_000).data


def test_cache_knows_sample_rate_and_data(small_esc10):
    clips.load("esc10")
    assert len(clips.load("esc10", sample_rate=32_000)[0]) == 6400
    manifest = pd.read_csv(esc.MANIFEST, dtype=str).iloc[:6]
    manifest.to_csv(esc.MANIFEST, index=False)
    assert len(clips.load("esc10")) == 6
    assert len(waveform_files(small_esc10 / "cache")) == 3


def test_broken_cache_file_is_made_again(small_esc10):
    whole = clips.load("esc10")[3]
    (file,) = (small_esc10 / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    torch.testing.assert_close(clips.load("esc10")[3], whole)


@pytest.mark.parametrize("damage", ["one byte", "a clip that is missing", "no sums"])
def test_a_cache_that_is_not_as_it_was_written_is_made_again(small_esc10, damage):
    whole = list(clips.load("esc10"))  # copies: the file is mapped
    (file,) = (small_esc10 / "cache").iterdir()
    if damage == "one byte":
        content = bytearray(file.read_bytes())
        content[-1000] ^= 1
        file.write_bytes(content)
    else:
        tensors = dict(list(load_file(file).items())[damage != "no sums" :])
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, file)
    again = list(clips.load("esc10"))
    assert all(map(torch.equal, again, whole)) and len(again) == len(whole)


def test_what_a_killed_process_left_is_removed_when_it_is_old(small_esc10):
    clips.load("esc10")
    (file,) = (small_esc10 / "cache").iterdir()
    old, new = (file.with_name(f"{file.stem}.{name}.part") for name in ("old", "new"))
    for left in (old, new):
        left.mkdir()
        (left / ".tmpAbCdEf").write_bytes(b"half")  # safetensors' own
    os.utime(old, (0, 0))
    clips.load("esc10")
    assert (old.exists(), new.exists()) == (False, True)


def test_full_disk_is_told_and_leaves_nothing(small_esc10, monkeypatch):
    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(clips, "save_file", full)
    with pytest.raises(OSError, match="No space left") as caught:
        clips.load("esc10")
    one_sentence(caught.value, str(small_esc10 / "cache"), "MB must be free", "AUDIO_CACHE")
    assert waveform_files(small_esc10 / "cache") == []


def test_cache_that_is_no_folder_is_told(small_esc10, monkeypatch):
    monkeypatch.setenv("AUDIO_CACHE", str(small_esc10 / "manifest.csv"))
    with pytest.raises(OSError, match="could not be kept") as caught:
        clips.load("esc10")
    one_sentence(caught.value, "manifest.csv", "AUDIO_CACHE")


def test_target_that_another_process_holds_open_is_no_error(small_esc10, monkeypatch):
    """As on Windows, where a file that is mapped cannot be replaced."""

    def refuse(self, target):
        Path(target).write_bytes(b"")
        raise PermissionError(errno.EACCES, "Access is denied", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    assert len(clips.load("esc10")[0]) == 3200
    assert not list((small_esc10 / "cache").glob("*.part"))


def test_a_file_is_whole_or_as_it_was(tmp_path):
    file = tmp_path / "new folder" / "file.csv"
    with clips.whole(file) as part:
        part.write_text("first", encoding="utf-8")
        assert not file.exists()

    def stop_half_way(reason):
        with clips.whole(file) as part:
            part.write_text("half", encoding="utf-8")
            raise reason

    for reason in (KeyboardInterrupt, OSError):
        with pytest.raises(reason):
            stop_half_way(reason)
    assert file.read_text(encoding="utf-8") == "first"
    assert waveform_files(file.parent) == ["file.csv"]


# the real recordings


@needs_esc10
def test_esc10_is_what_is_known_of_it(tmp_path):
    sounds = clips.load("esc10")
    counts = sounds.table.groupby("fold")["recording"].nunique()
    assert counts.tolist() == [61, 62, 65, 59, 57]
    assert sounds.table.groupby("recording")["fold"].nunique().max() == 1
    assert sounds.table.licence.value_counts().to_dict() == {"CC0": 233, "CC-BY": 165, "CC-Sampling+": 2}
    assert sounds.credits(sounds.bark).startswith("“dogs.aiff” by Heigh-hoo, CC0")
    seconds = [len(sounds[i]) / sounds.sample_rate for i in range(len(sounds))]
    assert (round(min(seconds), 2), round(max(seconds), 2)) == (3.64, 7.24)
    assert sum(abs(s - 5.001) < 1e-3 for s in seconds) == 380


@needs_esc10
def test_some_clips_of_esc10_validate_for_several_folds():
    sounds = clips.load("esc10")
    validation = [clip for fold in range(1, 6) for clip in sounds.inner_split(fold)[1].tolist()]
    assert (len(validation), len(set(validation))) == (321, 231)


@needs_esc10
@pytest.mark.parametrize("test_fold", range(1, 6))
def test_inner_split_keeps_recordings_together(test_fold):
    sounds = clips.load("esc10")
    train, test = sounds.split(test_fold)
    inner, validation = sounds.inner_split(test_fold, seed=3)
    assert sorted([*inner, *validation]) == train.tolist()
    assert not set(test) & set(train)
    recording = sounds.table["recording"]
    assert not set(recording[inner]) & set(recording[validation])
    assert 50 <= len(validation) <= 80
    assert set(sounds.table["label"][validation]) == set(range(10))
