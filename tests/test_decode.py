"""Every whole file of a phone, a browser or an editor keeps its length; a cut one is refused; channels never cancel unseen."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from helpers import clips, decode

av = pytest.importorskip("av")

RATE, SECONDS = 48_000, 3.0
CASES = Path(os.environ.get("SHARED", "../shared")) / "cases" / "sounds"

# name of a kind: (suffix, codec, options of the container)
KINDS = {
    "MP3 with its length": (".mp3", "libmp3lame", {}),
    "MP3 without": (".mp3", "libmp3lame", {"write_xing": "0"}),
    "M4A": (".m4a", "aac", {}),
    "M4A for the web": (".mp4", "aac", {"movflags": "faststart"}),
    "AAC": (".aac", "aac", {}),
    "3GP": (".3gp", "aac", {}),
    "WebM": (".webm", "libopus", {}),
    "Opus": (".opus", "libopus", {}),
    "Opus in MKV": (".mka", "libopus", {}),
    "FLAC in OGG": (".oga", "flac", {}),
    "WAV of RF64": (".wav", "pcm_s16le", {"rf64": "always"}),
}


def chirp(channels=1, seconds=SECONDS):
    """(samples, channels), float32; every channel louder than the one before."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.2 * np.sin(2 * np.pi * (200 + 100 * time) * time) * (0.6 + 0.4 * np.sin(5 * time))
    return np.stack([wave * (1 + 0.1 * channel) for channel in range(channels)], axis=1).astype(np.float32)


def write(path, codec, options, samples):
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono" if samples.shape[1] == 1 else "stereo")
        kind = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(
            format=kind, layout=stream.layout, rate=RATE, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts = RATE, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_files_keep_their_length_and_loudness(kind, channels, tmp_path):
    suffix, codec, options = KINDS[kind]
    path = write(tmp_path / f"sound{suffix}", codec, options, chirp(channels))
    samples, rate = decode.read(path)
    assert samples.shape[1] == channels
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.1)
    assert samples.std() == pytest.approx(chirp(channels).std(), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_does_not_matter(kind, tmp_path):
    suffix, codec, options = KINDS[kind]
    path = write(tmp_path / f"sound{suffix}", codec, options, chirp())
    path = path.rename(tmp_path / ("named.wav" if suffix != ".wav" else "named.mp3"))
    assert len(decode.read(path)[0]) / decode.read(path)[1] == pytest.approx(SECONDS, abs=0.1)


# ADTS and an MP3 without its length promise nothing: what is there is all that can be known
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("AAC", "MP3 without")])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_cut_file_is_refused(kind, share, tmp_path):
    suffix, codec, options = KINDS[kind]
    path = write(tmp_path / f"sound{suffix}", codec, options, chirp())
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    with pytest.raises(OSError, match=f"{path.name}.*(fetch it again)"):
        decode.read(path)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".ogg"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_cut_file_of_an_editor_is_refused(suffix, share, tmp_path):
    path = tmp_path / f"sound{suffix}"
    soundfile.write(path, chirp(), RATE)
    assert decode.read(path)[0].shape == chirp().shape
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    with pytest.raises(OSError, match="fetch it again"):
        decode.read(path)


def test_a_wav_whose_recorder_was_switched_off_is_read(tmp_path):
    path = tmp_path / "sound.wav"
    soundfile.write(path, chirp(), RATE)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff" * 4  # it never learned how long it is
    path.write_bytes(data)
    assert len(decode.read(path)[0]) == len(chirp())


@pytest.mark.parametrize("content", [b"", b"\0", b"hello " * 1000, b"ID3" + bytes(1000), b"OggS" + bytes(1000)])
def test_what_is_no_sound_is_an_error_that_names_file_and_way_out(content, tmp_path):
    path = tmp_path / "sound.mp3"
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError), match=r"sound\.mp3.*(again|convert)"):
        decode.read(path)


def test_a_long_file_comes_in_pieces(tmp_path):
    path = write(tmp_path / "sound.mp3", "libmp3lame", {}, chirp(seconds=20))
    pieces = [len(samples) for samples, _ in decode.blocks(path)]
    assert max(pieces) <= decode.BLOCK
    assert len(pieces) > 3


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_cancel_are_heard_and_said(channels, tmp_path):
    signs = np.array([1, -1] * (channels // 2), dtype=np.float32)
    path = tmp_path / "sound.wav"
    soundfile.write(path, chirp() * signs, RATE)
    with pytest.warns(UserWarning, match=r"sound\.wav.*cancel"):
        waveform = clips.read_clip(path, RATE)
    assert waveform.std() == pytest.approx(chirp().std(), rel=1e-2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_other_channels_are_averaged(channels, tmp_path):
    samples = np.random.default_rng(0).normal(scale=0.1, size=(RATE, channels)).astype(np.float32)
    samples[:, 1:] *= 0.01  # one channel sounds, the others hardly
    path = tmp_path / "sound.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    torch.testing.assert_close(clips.read_clip(path, RATE), torch.from_numpy(samples.mean(axis=1)))


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no folder {CASES}: $SHARED names the one that holds cases/sounds")
@pytest.mark.parametrize("path", sorted(CASES.glob("*.*[!d]")), ids=lambda path: path.name)
def test_handed_files(path):
    if path.name.startswith("cut."):
        with pytest.raises(OSError, match="cut off|promises|lost sync|Invalid data"):
            decode.read(path)
    else:
        samples, rate = decode.read(path)
        assert len(samples) / rate == pytest.approx(5.0, abs=0.1)
        assert decode.mono(samples)[0].std() == pytest.approx(0.0259, rel=0.06)
