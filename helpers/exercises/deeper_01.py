"""Checks of deeper/01: window and hop, a filterbank on the other scale."""

from typing import Any

from torch import Tensor
from torchaudio.functional import melscale_fbanks

from helpers.exercises import Verdict, grade
from helpers.spectrograms import count_tones_and_clicks


def check_choose(answer: Any) -> Verdict:
    """Every pair of numbers that keeps ten clicks and two tones apart is right, so it is tried and not compared."""
    problems = {problem: lambda *_, problem=problem: problem for problem in MISTAKES["choose"]}
    for case in ((16_000, 40, 50), (32_000, 25, 80), (16_000, 5, 300)):  # the last leaves the least room
        right = "Both stay apart in all three cases."
        verdict = grade(
            lambda *case: _seen(answer(*case), *case),
            reference=lambda *_: APART,
            mistakes=problems,
            right=right,
            cases=[case],
        )
        if verdict.outcome != "right":
            break
    return verdict


def _seen(chosen: Any, sample_rate: int, gap_ms: float, gap_hz: float) -> str | None:
    """What the chosen numbers show of two tones and ten clicks; None where nothing was chosen."""
    if chosen is None or chosen is ...:
        return None
    try:
        n_fft, hop_length = (int(number) for number in chosen)
        whole = (n_fft, hop_length) == tuple(chosen)
    except (TypeError, ValueError, OverflowError):
        return NOT_SAMPLES
    if not whole or not 0 < hop_length <= sample_rate or not 2 <= n_fft <= sample_rate:
        return NOT_SAMPLES
    gap = int(gap_ms / 1000 * sample_rate)  # samples
    hop_length *= max(1, gap // 8 // hop_length)  # looking oftener would show no more, and take gigabytes
    _, tones, clicks = count_tones_and_clicks(n_fft, hop_length, sample_rate=sample_rate, gap_hz=gap_hz, gap_ms=gap_ms)
    if tones < 2:
        return TONES_MERGE
    if clicks < 10:
        return HOP_TOO_LONG if n_fft < 2.5 * gap else CLICKS_MERGE
    return APART


APART = "two tones, ten clicks"
NOT_SAMPLES = (
    "`n_fft` and `hop_length` are whole numbers of samples, at least 2 and 1 and at most one second: mind ms and Hz."
)
TONES_MERGE = "The two tones are one line: the bins, `sample_rate / n_fft` Hz, are too wide for `gap_hz`."
CLICKS_MERGE = "The clicks are one block: the window is longer than two and a half of their distances."
HOP_TOO_LONG = "Clicks are missed although the window is short enough: the hop must be at most half of their distance."


def check_slaney_filters(answer: Any) -> Verdict:
    right = "That is librosa's filterbank: every row catches about the same power of white noise."
    cases = [(16_000, 512, 20), (22_050, 1024, 40)]
    return grade(
        answer, reference=_slaney_filters, mistakes=MISTAKES["slaney_filters"], right=right, cases=cases, atol=1e-5
    )


def _slaney_filters(sample_rate, n_fft, n_mels, *, scale="slaney", norm="slaney", f_min=0.0) -> Tensor:
    return melscale_fbanks(n_fft // 2 + 1, f_min, sample_rate / 2, n_mels, sample_rate, norm=norm, mel_scale=scale)


MISTAKES = {
    "choose": {
        NOT_SAMPLES: lambda sample_rate, gap_ms, gap_hz: (
            int(2.5 * sample_rate / gap_hz),
            int(gap_ms * sample_rate / 4),
        ),
        TONES_MERGE: lambda sample_rate, gap_ms, gap_hz: (sample_rate // gap_hz, 20),
        CLICKS_MERGE: lambda sample_rate, gap_ms, gap_hz: (16 * sample_rate // gap_hz, 20),
        HOP_TOO_LONG: lambda sample_rate, gap_ms, gap_hz: (
            int(2.5 * sample_rate / gap_hz),
            int(gap_ms / 1000 * sample_rate),
        ),
    },
    "slaney_filters": {
        "The scale is HTK's: use the two formulas of the exercise.": lambda s, f, n: _slaney_filters(
            s, f, n, scale="htk"
        ),
        "The triangles all have height 1: divide each by half its width in Hz.": lambda s, f, n: _slaney_filters(
            s, f, n, norm=None
        ),
        "Scale and height are both still HTK's: start from the two formulas.": lambda s, f, n: _slaney_filters(
            s, f, n, scale="htk", norm=None
        ),
        "The lowest edge is not 0 Hz.": lambda s, f, n: _slaney_filters(s, f, n, f_min=20.0),
        "The axes are swapped: (n_fft // 2 + 1, n_mels) is expected.": lambda s, f, n: _slaney_filters(s, f, n).T,
        "Each triangle is divided by its whole width: half of it is meant.": lambda s, f, n: (
            _slaney_filters(s, f, n) / 2
        ),
    },
}
