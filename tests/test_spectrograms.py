"""helpers.spectrograms against torchaudio, Kaldi's features and its own promises."""

import math
import multiprocessing

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torchaudio.compliance import kaldi
from torchaudio.transforms import MelSpectrogram

from helpers import explorers, figures, session, spectrograms
from helpers.clips import Clips
from helpers.spectrograms import LogMel

SMALL = {"sample_rate": 8_000, "n_fft": 256, "hop_length": 100, "n_mels": 20}


def few_clips(level=0.1, sample_rate=8_000):
    generator = torch.Generator().manual_seed(0)
    waveforms = [level * torch.randn(n, generator=generator) for n in (4_000, 2_500, 6_000)]
    table = pd.DataFrame({"path": ["a", "b", "c"], "label": [0, 1, 0], "fold": [1, 1, 2]})
    return Clips("few", sample_rate, table, "made here", 0, None, waveforms)


def batch(clips=6, mels=20, frames=50):
    return torch.randn(clips, 1, mels, frames, generator=torch.Generator().manual_seed(1))


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


# --- LogMel


@pytest.mark.parametrize("profile", session.PROFILES)
def test_every_profile_fills_all_mel_rows_and_has_frames_for_whole_patches(profile):
    here = session.PROFILES[profile]
    log_mel = LogMel(**here.log_mel)
    assert (log_mel.mel.mel_scale.fb.amax(dim=0) > 0).all()
    noise = torch.randn(2, here.num_samples, generator=seeded())
    x = log_mel(noise)
    assert x.shape == (2, 1, *here.img_size)
    assert all(size % 16 == 0 for size in here.img_size)
    assert (x.std(dim=(0, 1, 3)) > 0.1).all()  # no row is constant


@pytest.mark.parametrize("samples", [257, 800, 801, 899, 8_000])
def test_frames_are_samples_over_hop(samples):
    assert LogMel(**SMALL)(torch.zeros(3, samples)).shape == (3, 1, 20, samples // 100)


def test_numbers_are_those_of_torchaudio():
    waveforms = 0.1 * torch.randn(4, 16_000, generator=seeded())
    theirs = MelSpectrogram(16_000, 1024, 800, 320, f_min=50.0, f_max=7_000.0, n_mels=40)(waveforms)
    ours = LogMel(win_length=800, n_mels=40, f_min=50.0, f_max=7_000.0)(waveforms)
    torch.testing.assert_close(ours[:, 0], theirs.clamp(min=1e-7).log()[..., :50])


def test_silence_is_the_floor_and_level_a_shift():
    log_mel = LogMel(**SMALL, log_floor=1e-5)
    assert torch.allclose(log_mel(torch.zeros(1, 4_000)), torch.tensor(math.log(1e-5)))
    noise = torch.randn(1, 4_000, generator=seeded())
    assert torch.allclose(log_mel(10 * noise) - log_mel(noise), torch.tensor(2 * math.log(10)), atol=1e-4)


def test_another_clip_in_the_batch_changes_nothing():
    quiet, loud = 1e-4 * torch.randn(1, 4_000, generator=seeded()), torch.randn(1, 4_000, generator=seeded(4))
    log_mel = LogMel(**SMALL)
    torch.testing.assert_close(log_mel(torch.cat([quiet, loud]))[:1], log_mel(quiet))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_mels": 0}, "n_mels"),
        ({"n_mels": -3}, "n_mels"),
        ({"n_fft": 512, "win_length": 800}, "win_length=800"),
        ({"hop_length": 0}, "hop_length"),
        ({"hop_length": 0.5}, "hop_length"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"f_max": 8_001}, "8000 Hz"),
        ({"f_min": 4_000, "f_max": 3_000}, "f_min=4000"),
        ({"f_min": -1}, "f_min=-1"),
        ({"log_floor": 0}, "log_floor"),
        ({"n_fft": 400}, "rows 2, 7, 16"),
        ({"n_mels": 2000}, "..."),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_sentence(settings, words):
    with pytest.raises(ValueError, match=r"^[^\n]{20,699}$") as error:
        LogMel(**settings)
    assert words in str(error.value)


@pytest.mark.parametrize("shape", [(4_000,), (2, 1, 4_000), (2, 128), (2, 99)])
def test_waveforms_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(batch, samples\)"):
        LogMel(**SMALL)(torch.zeros(shape))


def test_asts_own_settings_have_a_dead_row():
    with pytest.raises(ValueError, match=r"1 of 128 mel bins .*rows 3\)"):
        LogMel(n_fft=512, win_length=400, hop_length=160)
    noise = 0.1 * torch.randn(1, 16_000, generator=seeded())
    theirs = kaldi.fbank(noise, sample_frequency=16_000, num_mel_bins=128, window_type="hanning", htk_compat=True)
    assert [row for row in range(128) if theirs[:, row].min() == theirs[:, row].max()] == [3]


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 4_000), np.float32), torch.zeros(1, 4_000, dtype=torch.float64), [[0.0] * 4_000]]
)
def test_waveforms_of_another_kind_are_refused(wrong):
    with pytest.raises(TypeError, match="waveforms must be a tensor of torch.float32, got .*float"):
        LogMel(**SMALL)(wrong)


# --- features on disk


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIO_CACHE", str(tmp_path))
    return tmp_path


def test_features_are_made_once_and_then_read(cache, monkeypatch):
    clips, log_mel = few_clips(), LogMel(**SMALL)
    first = spectrograms.features(clips, log_mel, seconds=0.5)
    assert first.shape == (3, 1, 20, 40)
    assert first.dtype == torch.float16
    torch.testing.assert_close(first.float(), log_mel(clips.waveforms(4_000)), atol=1e-2, rtol=1e-3)
    monkeypatch.setattr(LogMel, "forward", lambda *_: pytest.fail("computed again"))
    assert torch.equal(spectrograms.features(clips, log_mel, seconds=0.5), first)
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


def test_other_sound_settings_or_length_make_other_files(cache):
    calls = [
        (few_clips(), LogMel(**SMALL), 0.5),
        (few_clips(level=0.2), LogMel(**SMALL), 0.5),
        (few_clips(), LogMel(**SMALL | {"n_mels": 10}), 0.5),
        (few_clips(), LogMel(**SMALL, log_floor=1e-5), 0.5),
        (few_clips(), LogMel(**SMALL), 0.4),
    ]
    for clips, log_mel, seconds in calls:
        spectrograms.features(clips, log_mel, seconds=seconds)
    assert len(list(cache.iterdir())) == len(calls)


def test_one_altered_second_makes_another_file(cache):
    """Far behind the start of the clip: the features differ, and so must the file."""
    clips, log_mel = few_clips(), LogMel(**SMALL)
    before = spectrograms.features(clips, log_mel, seconds=0.75).clone()
    clips._waveforms[2][-100:] += 0.5
    assert not torch.equal(spectrograms.features(clips, log_mel, seconds=0.75), before)


def make_features(_=None):
    torch.set_num_threads(1)
    return spectrograms.features(few_clips(), LogMel(**SMALL), seconds=0.5).sum().item()


def test_two_processes_fill_one_cache_and_both_end_well(cache):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.map(make_features, range(2), chunksize=1)
    assert sums[0] == sums[1]
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("damage", [lambda content: content[:500], lambda content: b"", lambda content: b"no features"])
def test_damaged_features_are_made_again(cache, damage):
    whole = make_features()
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert make_features() == whole
    assert file.stat().st_size > 500


def test_a_full_disk_is_named_and_leaves_nothing_behind(cache, monkeypatch):
    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spectrograms.clips, "save_file", full)
    with pytest.raises(OSError, match=r"^[^\n]*No space left on device[^\n]*AUDIO_CACHE"):
        spectrograms.features(few_clips(), LogMel(**SMALL), seconds=0.5)
    assert not list(cache.iterdir())


def test_sample_rates_must_agree():
    with pytest.raises(ValueError, match="8000 Hz .* 16000 Hz"):
        spectrograms.features(few_clips(), LogMel(), seconds=0.5)


# --- statistics and augmentation


def test_standardised_features_have_mean_0_and_standard_deviation_a_half():
    features = (5 * batch() - 3).half()
    mean, std = spectrograms.fit_statistics(features)
    assert mean == pytest.approx(features.double().mean().item(), abs=1e-4)
    assert std == pytest.approx(features.double().std().item(), abs=1e-4)
    x = spectrograms.standardize(features, mean, std)
    assert x.dtype == torch.float32
    assert x.mean().item() == pytest.approx(0, abs=1e-4)
    assert x.std().item() == pytest.approx(0.5, abs=1e-4)


def test_roll_turns_each_clip_by_its_own_shift_and_loses_nothing():
    x = batch()
    rolled = spectrograms.roll(x, generator=seeded())
    shifts = []
    for clip, other in zip(x, rolled, strict=True):
        shifts += [shift for shift in range(50) if torch.equal(clip.roll(shift, dims=-1), other)]
    assert len(shifts) == len(x)
    assert len(set(shifts)) > 1


def test_gain_is_the_factor_on_the_waveform():
    noise, log_mel, std = torch.randn(5, 4_000, generator=seeded()), LogMel(**SMALL), 3.0
    x = spectrograms.standardize(log_mel(noise), -4.0, std)
    shift = (spectrograms.gain(x, std=std, max_db=6, generator=seeded()) - x).mean(dim=(1, 2, 3), keepdim=True)
    decibels = shift * 2 * std * 10 / math.log(10)
    assert decibels.abs().max() <= 6
    assert decibels.std() > 1
    louder = log_mel(noise * 10 ** (decibels[:, 0, 0] / 20))
    torch.testing.assert_close(spectrograms.standardize(louder, -4.0, std), x + shift, atol=1e-4, rtol=1e-4)


def test_masks_are_bands_of_zeros_each_clip_its_own():
    x = batch(clips=200) + 10  # no zero by itself
    masked = spectrograms.mask(x, max_mels=8, max_frames=12, generator=seeded())
    hidden = masked == 0
    assert torch.equal(masked[~hidden], x[~hidden])
    rows, columns = hidden.all(dim=3)[:, 0], hidden.all(dim=2)[:, 0]
    assert torch.equal(hidden[:, 0], rows[:, :, None] | columns[:, None, :])
    for bands, widest in ((rows, 8), (columns, 12)):
        width = bands.sum(dim=1)
        assert set(width.tolist()) == set(range(widest + 1))  # all widths, 0 and the widest too
        edges = (bands[:, 1:] != bands[:, :-1]).sum(dim=1) + bands[:, 0].int() + bands[:, -1].int()
        assert set(edges.tolist()) == {0, 2}  # in one piece
        assert bands[:, 0].any()
        assert bands[:, -1].any()  # the ends can be reached


def test_mixup_blends_pictures_as_it_blends_labels():
    target = torch.arange(6)
    x = torch.eye(6)[:, None, :, None].repeat(1, 1, 1, 4)
    mixed, soft = spectrograms.mixup(x, target, num_classes=6, alpha=1.0, generator=seeded())
    torch.testing.assert_close(mixed[:, 0, :, 0], soft)  # picture n is the label's one-hot: they must agree
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(6))
    assert len({round(value, 4) for value in soft.amax(dim=1).tolist()}) > 1  # each clip its own weight


@pytest.mark.parametrize(
    "augment",
    [
        spectrograms.roll,
        spectrograms.mask,
        lambda x, generator: spectrograms.gain(x, std=2.0, generator=generator),
        lambda x, generator: spectrograms.mixup(x, torch.arange(6), num_classes=6, generator=generator)[0],
    ],
)
def test_a_generator_repeats_the_draw_and_the_input_stays(augment):
    x = batch(mels=30, frames=60)
    before, state = x.clone(), torch.get_rng_state()
    assert torch.equal(augment(x, generator=seeded()), augment(x, generator=seeded()))
    assert not torch.equal(augment(x, generator=seeded()), augment(x, generator=seeded(4)))
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


# --- what windows tell apart, and the explorers


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "seen"),
    [(400, 40, (1, 10)), (512, 40, (1, 1)), (1024, 40, (2, 1)), (400, 160, (1, 1)), (384, 80, (1, 10))],
)
def test_windows_tell_tones_or_clicks_apart(n_fft, hop_length, seen):
    assert spectrograms.count_tones_and_clicks(n_fft, hop_length)[1:] == seen


def sweep(explorer):
    """Every slider to its ends and back, with a check that the drawing was drawn without an error."""
    for slider in explorer.kwargs_widgets:
        start = slider.value
        for value in (slider.min, slider.max, start):
            slider.value = value
            assert not [output for output in explorer.out.outputs if output["output_type"] == "error"]
    plt.close("all")
    return explorer


def test_explorers_draw_at_the_ends_of_every_slider():
    log_mel = LogMel(n_fft=2048, hop_length=160, sample_rate=16_000)
    bark = 0.1 * torch.randn(24_000, generator=seeded())
    names = [slider.description for slider in sweep(explorers.explore_resolution()).kwargs_widgets]
    assert names == ["n_fft", "hop_length"]
    sweep(explorers.explore_augmentation(bark, log_mel, -3.0, 6.0))


def test_pictures_side_by_side_have_one_scale_and_one_colour_bar():
    pictures = {name: torch.full((4, 6), level) for name, level in (("quiet", -1.0), ("loud", 1.0), ("louder", 1.5))}
    figure = figures.plot_pictures(
        dict(pictures, floor=torch.zeros(4, 6)), sample_rate=16_000, hop_length=320, limits=(-2, 2)
    )
    *panels, bar = figure.axes
    assert [ax.get_title() for ax in panels] == [*pictures, "floor"]
    assert {ax.images[0].get_clim() for ax in panels} == {(-2, 2)}
    assert bar.get_ylabel() == "standardised"


def test_sound_and_picture_of_the_explorer_agree():
    log_mel = LogMel()
    bark = 0.1 * torch.randn(81_920, generator=seeded())
    settings = {"roll_ms": 200, "gain_db": -6, "first_mel": 40, "mels": 40, "frames": 64}
    sound, x = explorers.augmented(bark, log_mel, -3.0, 6.0, **settings)
    heard = spectrograms.standardize(log_mel(sound[None]), -3.0, 6.0)[0, 0]
    seen = x != 0
    assert not seen[40:80].any()
    assert not seen[:, 96:160].any()
    assert (heard[:20, 10:80] - x[:20, 10:80]).abs().max() < 1e-3  # outside the masks the same
    assert heard[45:75, 10:80].mean() < x[:20, 10:80].mean() - 0.3  # and silent inside
    assert heard[:, 105:150].max() < -0.5
