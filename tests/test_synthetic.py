"""Generated sounds: the same everywhere, grouped as recordings are, and neither too easy nor too hard."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torchaudio.transforms import MelSpectrogram

from helpers import clips, synthetic


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIO_CACHE", str(tmp_path_factory.mktemp("cache")))
        return clips.load("synthetic")


@pytest.fixture(scope="module")
def statistics(sounds):
    """Mean and spread over time of each log-mel row, (clips, 256)."""
    log_mel = MelSpectrogram(16_000, n_fft=1024, hop_length=320, n_mels=128, f_min=20.0)
    pictures = torch.cat([log_mel(batch).clamp(min=1e-7).log() for batch in sounds.waveforms(80_000).split(40)])
    return torch.cat([pictures.mean(-1), pictures.std(-1)], dim=1).numpy()


def test_table_has_ten_classes_in_five_folds_of_recordings(sounds):
    table = sounds.table
    assert (len(table), len(sounds.class_names)) == (400, 10)
    assert (table.groupby(["label", "fold"]).size() == 8).all()
    assert table["recording"].nunique() == 200
    assert (table.groupby("recording")[["fold", "label"]].nunique() == 1).all(axis=None)
    assert not table["path"].duplicated().any()
    assert sounds.source == "generated"


def test_inner_split_keeps_recordings_together(sounds):
    train, test = sounds.split(4)
    inner, validation = sounds.inner_split(4)
    assert (len(train), len(test)) == (320, 80)
    assert sorted([*inner, *validation]) == train.tolist()
    assert not set(sounds.table["recording"][inner]) & set(sounds.table["recording"][validation])
    assert sounds.inner_split(4)[1].tolist() == validation.tolist()
    assert sounds.inner_split(4, seed=1)[1].tolist() != validation.tolist()


def test_clips_are_finite_five_seconds_long_and_below_full_scale(sounds):
    waveforms = torch.stack(list(sounds))
    assert waveforms.shape == (400, 80_000)
    assert waveforms.isfinite().all()
    peaks = waveforms.abs().amax(dim=1)
    assert float(peaks.min()) > 0.05
    assert float(peaks.max()) < 1.1  # resampling may lift a peak a little


SAMPLES = {  # amplitudes at samples 100, 40,000, 77,777 and 150,000
    "dog bark/2-005-B": [-0.00129, -0.0001, -0.0001, -0.00049],
    "rain/2-105-B": [-0.02438, 0.04252, -0.0324, 0.00808],
    "wind/2-205-B": [0.05395, -0.13447, 0.05262, -0.11135],
    "siren/2-305-B": [0.12119, -0.22005, -0.193, -0.22165],
    "alarm/2-405-B": [-0.24638, -0.21871, -0.15051, -0.14788],
    "clock/2-505-B": [-0.00268, 0.00333, 0.00182, -0.00091],
    "footsteps/2-605-B": [-0.01073, 0.00621, -0.00666, -0.01518],
    "engine/2-705-B": [-0.02281, 0.14092, -0.00682, 0.01639],
    "chirps/2-805-B": [0.01537, 0.00507, 0.00274, 0.01681],
    "bell/2-905-B": [-0.00125, 0.00407, 0.00591, 0.05801],
}


@pytest.mark.parametrize("path", SAMPLES)
def test_every_machine_makes_the_same_clips(path):
    np.testing.assert_allclose(synthetic.clip(path)[[100, 40_000, 77_777, 150_000]], SAMPLES[path], atol=1e-4)


def test_takes_of_a_recording_differ():
    first, second = (synthetic.clip(f"chirps/1-800-{take}") for take in "AB")
    assert np.abs(first - second).max() > 0.1


def test_the_bark_sounds_from_its_first_to_its_last_second(sounds):
    bark = sounds[sounds.bark]
    assert sounds.table["class_name"][sounds.bark] == "dog bark"
    assert 0.6 < float(bark.abs().max()) < 0.75
    loud = bark.unfold(0, 160, 160).square().mean(-1).sqrt()  # every 10 ms
    assert (loud.view(5, 100).amax(1) > 0.1).all()
    onsets = ((loud[1:] > 0.05) & (loud[:-1] <= 0.05)).sum()
    assert 4 <= int(onsets) <= 12
    assert float(loud.quantile(0.3)) < 0.02 * float(loud.max())  # quiet between the barks


def test_statistics_of_log_mel_with_a_linear_model_do_not_suffice(sounds, statistics):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = PredefinedSplit(sounds.table["fold"])
    accuracies = cross_val_score(model, statistics, sounds.table["label"], cv=folds)
    assert 0.55 < accuracies.mean() < 0.9


def test_takes_leak_across_a_random_split(sounds, statistics):
    """Lesson 05 needs a leak to measure: neighbours of a clip are its recording's other takes."""
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
    label = sounds.table["label"]
    honest = cross_val_score(model, statistics, label, cv=PredefinedSplit(sounds.table["fold"])).mean()
    leaking = cross_val_score(model, statistics, label, cv=StratifiedKFold(5, shuffle=True, random_state=0)).mean()
    assert leaking > honest + 0.1
