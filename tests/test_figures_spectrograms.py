"""The drawings of lesson 01: what their titles say is in the data, and nothing of the data is changed."""

import math
from types import SimpleNamespace

import pytest
import torch

from helpers import figures, session, spectrograms

HERE = session.PROFILES["offline"]
TIMING = {"sample_rate": HERE.sample_rate, "hop_length": HERE.hop_length}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def tone(hz, sample_rate=8_000, seconds=3):
    return torch.sin(2 * math.pi * hz * torch.arange(seconds * sample_rate).double() / sample_rate)


def test_waveform_and_picture_share_their_seconds():
    figure = figures.plot_sound(noise(81_920), noise(128, 256), **TIMING)
    above, below, _ = figure.axes
    assert "81,920" in above.get_title()
    assert "128 x 256" in below.get_title()
    assert above.get_xlim() == below.get_xlim() == (0, 5.12)


def test_a_title_says_what_the_end_of_a_sweep_holds():
    seconds = torch.arange(24_000).double() / 8_000
    rising = torch.sin(2 * math.pi * (500 * seconds + 500 * seconds**2))
    silent = torch.where(seconds < 2, rising, 0)
    drawn = figures.plot_sweeps({"up": rising, "down": rising.flip(0), "cut": silent}, sample_rate=8_000)
    up, down, cut = titles(drawn)
    assert up == "up: at the end a tone that rises"
    assert down == "down: at the end a tone that falls"
    assert cut.startswith("cut: the end is at -")


def test_windows_stand_side_by_side_with_one_colour_bar():
    settings = [(256, 40), (1024, 40), (256, 160)]
    figure = figures.plot_windows(settings)
    *panels, bar = figure.axes
    assert len(panels) == 3
    for title, choice in zip(titles(figure), settings, strict=True):
        _, tones, clicks = spectrograms.count_tones_and_clicks(*choice)
        assert title.endswith(f"{tones} of 2 tones, {clicks} of 10 clicks")
    assert "dB" in bar.get_ylabel()


def test_leakage_is_read_off_the_drawn_lines():
    one = tone(64.5 * 8_000 / 1024, seconds=1)[:1024]
    windows = {"none": torch.ones(1024), "Hann": torch.hann_window(1024)}
    (ax,) = figures.plot_leakage(one, windows, far=300).axes
    levels = [line.get_ydata()[300] for line in ax.lines]
    assert levels[1] < levels[0] - 50
    assert f"none {levels[0]:.0f} dB, Hann {levels[1]:.0f} dB" in ax.get_title()
    outside = [float(text.get_text().split(": ")[1].split("%")[0]) for text in ax.get_legend().get_texts()]
    assert outside[0] > 2 * outside[1]


def test_tops_below_the_lowest_quarter_are_counted():
    filters = torch.eye(9)[:, [0, 1, 2, 5, 8]]  # bins 1,000 Hz apart
    (ax,) = figures.plot_triangles({"five": filters}, sample_rate=16_000).axes
    assert ax.get_title() == "five: 2 of 5 tops below 2,000 Hz"
    assert ax.get_legend() is None
    both = figures.plot_triangles({"five": filters, "one": filters[:, :1]}, sample_rate=16_000)
    assert titles(both) == ["five: 2 of 5 tops below 2,000 Hz; one: 1 of 1 tops below 2,000 Hz"]


def test_triangles_without_a_bin_are_counted_and_thick():
    edges, bins = torch.tensor([0.0, 10, 20, 35, 55]), torch.tensor([0.0, 30, 60])
    (ax,) = figures.plot_empty_filters(edges, bins).axes
    assert ax.get_title() == "1 of the first 3 triangles hold no bin"
    assert [line.get_linewidth() for line in ax.lines] == [3, 1, 1]


def test_levels_say_how_many_values_lie_where():
    log_mel = torch.cat([torch.zeros(9_900), torch.full((100,), 9.0)])
    standardized = torch.cat([torch.zeros(7_500), torch.full((2_500,), 1.5)])
    power, seen = titles(figures.plot_levels(log_mel.half(), standardized))
    assert power == "power: 99.0% in the first of 60 bars"
    assert seen == "standardised: 75% within -1 to 1"


def test_changed_pictures_name_their_loudest_row_on_the_scale_of_the_first():
    low, high = torch.zeros(8, 5), torch.full((8, 5), -9.0)
    low[2], high[6] = 3.0, 4.0
    figure = figures.plot_changed({"as it is": low, "octave": high}, **TIMING)
    assert titles(figure) == ["as it is: loudest in row 2", "octave: loudest in row 6"]
    assert {ax.images[0].get_clim() for ax in figure.axes[:2]} == {(0.0, 3.0)}


@pytest.mark.parametrize("bark", [0, 3])
def test_augmentations_draw_the_same_twice_and_leave_the_data(bark):
    pictures, labels = noise(5, 1, 128, 256), torch.tensor([1, 1, 0, 1, 2])
    sounds = SimpleNamespace(bark=bark)
    data = SimpleNamespace(sounds=sounds, pictures=pictures, labels=labels, class_names=["rain", "dog", "sea"], std=3.0)
    before, state = pictures.clone(), torch.get_rng_state()
    first, second = (figures.plot_augmentations(data, HERE) for _ in range(2))
    assert titles(first) == titles(second)
    rolled, quieter, masked, mixed = (ax.images[0].get_array() for ax in first.axes[:4])
    frames = int(titles(first)[0].split()[-2])
    assert torch.equal(torch.tensor(rolled.data), pictures[bark, 0].roll(frames, dims=1))
    shift = torch.tensor(quieter.data) - pictures[bark, 0]
    torch.testing.assert_close(shift, torch.full_like(shift, -math.log(10) / 6))
    assert f"{shift.mean():+.2f}" in titles(first)[1]
    assert f"masked: {(torch.tensor(masked.data) == 0).float().mean():.0%} hidden" == titles(first)[2]
    share = int(titles(first)[3].split()[1].rstrip("%")) / 100
    blend = share * pictures[bark, 0] + (1 - share) * pictures[2, 0]
    assert "rain" in titles(first)[3]
    assert 0 < share < 1
    assert (torch.tensor(mixed.data) - blend).abs().max() < 0.05
    assert torch.equal(pictures, before)
    assert torch.equal(torch.get_rng_state(), state)
