"""Downloads against a server of our own: what a good one leaves behind, and what every bad one says."""

import errno
import io
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
import soundfile
from test_clips import one_sentence, stand_in

from helpers import clips, esc


def esc50(folder: Path) -> Path:
    """A tiny ESC-50 of the published shape: three classes, five folds, one clip each; returns its tree."""
    rows = []
    for target, category in enumerate(["dog", "rain", "crying_baby"]):
        for fold in range(1, 6):
            source = "30226" if (target, fold) == (0, 1) else str(100 * target + fold)
            name = f"{fold}-{source}-A-{target}.wav"
            rows.append((name, fold, target, category, target == 0, source, "A"))
            (folder / "esc50" / "audio").mkdir(parents=True, exist_ok=True)
            sound = 0.3 * np.sin(np.arange(5 * 44_100) * (target + 1) / 20)
            soundfile.write(folder / "esc50" / "audio" / name, sound, 44_100, subtype="PCM_U8")
    (folder / "esc50" / "meta").mkdir()
    columns = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "esc50" / "meta" / "esc50.csv", index=False)
    return folder / "esc50"


def zipped(tree: Path, top: str) -> bytes:
    """The archive of a tree as GitHub makes it: one folder, named after the repository."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}/{path.relative_to(tree).as_posix()}")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Answers every GET with the next of `answers`, the last one for ever; an answer writes to its handler."""

    daemon_threads = True

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/archive.zip"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        answer = self.server.answers[min(self.server.asked, len(self.server.answers) - 1)]
        self.server.asked += 1
        answer(self)

    def log_message(self, *_):
        pass


def whole(content: bytes, status: int = 200, promised: int | None = None):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(promised or len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def stalled(content: bytes):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        time.sleep(2)

    return answer


@pytest.fixture
def serve(monkeypatch):
    """Start a server with the answers given, and make it the place where esc10 and esc50 are published."""
    servers = []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 2)))

    def start(*answers):
        servers.append(Server(*answers))
        archives = {name: esc.Archive(servers[-1].url, a.file, a.megabytes) for name, a in esc.ARCHIVES.items()}
        monkeypatch.setattr(esc, "ARCHIVES", archives)
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The stand-in for ESC-10 as a zip archive; the cache is empty and nothing else is set."""
    monkeypatch.setattr(esc, "MANIFEST", stand_in(tmp_path))
    monkeypatch.delenv("AUDIO_DATA", raising=False)
    monkeypatch.setenv("AUDIO_CACHE", str(tmp_path / "cache"))
    return zipped(tmp_path / "esc10", "ESC-10-553c8f1")


def left_behind(tmp_path: Path) -> list[str]:
    cache = tmp_path / "cache"
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


def test_good_download_is_used_once_and_then_from_the_cache(published, serve, tmp_path):
    server = serve(whole(published))
    assert clips.locate("esc10") == "network"
    assert clips.load("esc10").source == "downloaded"
    assert (clips.locate("esc10"), clips.load("esc10").source) == ("cache", "from the cache")
    assert server.asked == 1
    tree, waveforms = left_behind(tmp_path)
    assert (tree, waveforms[:13]) == ("esc10", "esc10-16000Hz")


def test_archive_fetched_by_hand_needs_no_network(published, serve, tmp_path):
    server = serve(whole(b"", 500))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / esc.ARCHIVES["esc10"].file).write_bytes(published)
    assert clips.locate("esc10") == "network"
    assert len(clips.load("esc10")) == 8
    assert server.asked == 0


def test_bad_archive_fetched_by_hand_is_named(published, serve, tmp_path):
    serve(whole(published))
    (tmp_path / "cache").mkdir()
    file = tmp_path / "cache" / esc.ARCHIVES["esc10"].file
    file.write_bytes(published[:-30])
    with pytest.raises(OSError, match="remove that file") as caught:
        clips.load("esc10")
    one_sentence(caught.value, str(file), "no whole zip archive")
    assert file.is_file()


def outside() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ESC-10/readme.txt", "good")
        archive.writestr("ESC-10/../../../evil.txt", "bad")
    return buffer.getvalue()


def two_folders(content: bytes) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("__MACOSX/leftover", "")
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member in range(10_001):
            archive.writestr(f"ESC-10/{member}", b"")
    return buffer.getvalue()


def in_circles(handler):
    handler.send_response(302)
    handler.send_header("Location", "/archive.zip")
    handler.end_headers()


def without(words: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            if words not in name:
                new.writestr(name, old.read(name))
    return buffer.getvalue()


HTML = b"<!DOCTYPE html><html><body>Please log in to this network</body></html>"
BAD_ANSWERS = {  # case: (what the server does with the good archive, times it is asked, words of the message)
    "html": (lambda good: whole(HTML), 2, "the server sent an HTML page"),
    "cut short": (lambda good: whole(good[: len(good) // 2], promised=len(good)), 2, "cut short twice"),
    "cut short, length unsaid": (lambda good: whole(good[: len(good) // 2]), 2, "one cut short"),
    "404": (lambda good: whole(b"", 404), 2, "answered 404 Not Found"),
    "429": (lambda good: whole(b"", 429), 2, "answered 429 Too Many Requests"),
    "500": (lambda good: whole(b"", 500), 2, "answered 500 Internal Server Error"),
    "slow": (stalled, 2, "stood still for 0.3 s"),
    "outside": (lambda good: whole(outside()), 1, "'ESC-10/../../../evil.txt' would land outside"),
    "bomb": (lambda good: whole(bomb()), 1, "its 10001 members would fill far more than a data set does"),
    "in circles": (lambda good: in_circles, 62, "the server sends in circles"),
    "two folders": (lambda good: whole(two_folders(good)), 1, "it holds 2 entries"),
    "file missing": (lambda good: whole(without("1-30226-B", good)), 1, "1-30226-B.ogg is missing"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_download_says_why_and_what_to_do(published, serve, tmp_path, monkeypatch, case):
    monkeypatch.setattr(esc, "STALL_SECONDS", 0.3)
    answer, times, words = BAD_ANSWERS[case]
    server = serve(answer(published))
    with pytest.raises(OSError, match="could not be had") as caught:
        clips.load("esc10")
    one_sentence(caught.value, words, server.url, str(tmp_path / "cache"), esc.ARCHIVES["esc10"].file, "offline")
    assert server.asked == times
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("case", ["html", "cut short", "cut short, length unsaid", "500", "slow"])
def test_half_a_download_is_tried_again(published, serve, monkeypatch, case):
    monkeypatch.setattr(esc, "STALL_SECONDS", 0.3)
    server = serve(BAD_ANSWERS[case][0](published), whole(published))
    assert len(clips.load("esc10")) == 8
    assert server.asked == 2


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(published, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(esc, "MOST_BYTES", 1_000)
    serve(whole(published))
    with pytest.raises(OSError, match="would fill far more than a data set does"):
        clips.load("esc10")
    assert left_behind(tmp_path) == []


def test_next_run_starts_again_after_a_failure(published, serve):
    serve(whole(b"", 500))
    with pytest.raises(OSError, match="500"):
        clips.load("esc10")
    serve(whole(published))
    assert clips.load("esc10").source == "downloaded"


def test_dead_network_is_noticed_within_five_seconds(published, serve, monkeypatch):
    """A server that takes the call and never answers, and one that is not there."""
    monkeypatch.setattr(Handler, "do_HEAD", lambda handler: time.sleep(2))
    monkeypatch.setattr(esc, "CONNECT_SECONDS", 0.5)
    server = serve(whole(published))
    for _ in range(2):
        begun = time.monotonic()
        assert clips.locate("esc10") is None
        with pytest.raises(OSError, match="no answer from the network within 0.5 s") as caught:
            clips.load("esc10")
        assert time.monotonic() - begun < 2.5
        one_sentence(caught.value, server.url, "offline")
        server.shutdown()
        server.server_close()
    assert esc.CONNECT_SECONDS < 5


def test_full_disk_while_downloading_and_unpacking(published, serve, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    serve(whole(published))
    for owner, name in ((pooch.HTTPDownloader, "__call__"), (zipfile.ZipFile, "extractall")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, full)
            with pytest.raises(OSError, match="the disk is full") as caught:
                clips.load("esc10")
        one_sentence(caught.value, "AUDIO_CACHE", str(tmp_path / "cache"))
        assert left_behind(tmp_path) == []
    assert len(clips.load("esc10")) == 8


def test_a_cache_that_may_not_be_written_to_names_the_variable(published, serve, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    serve(whole(published))
    monkeypatch.setattr(esc.tempfile, "TemporaryDirectory", refused)
    with pytest.raises(OSError, match="Permission denied") as caught:
        clips.load("esc10")
    one_sentence(caught.value, "AUDIO_CACHE", str(tmp_path / "cache"))


SECOND_READER = """
import sys, time
from pathlib import Path
from helpers import clips, esc
folder, url = Path(sys.argv[1]), sys.argv[2]
esc.MANIFEST = folder / "manifest.csv"
esc.ARCHIVES["esc10"] = esc.Archive(url, "ESC-10.zip", 42)
read = clips.read_clip
clips.read_clip = lambda *arguments: (time.sleep(0.02), read(*arguments))[1]  # so that both are at it together
(folder / f"ready {sys.argv[3]}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
sounds = clips.load("esc10")
print(len(sounds), float(sounds.waveforms(3200).sum()))
"""


def test_two_processes_fill_one_cache_at_once(published, serve, tmp_path):
    both = threading.Barrier(2)  # nobody is answered before both have asked
    server = serve(lambda handler: (both.wait(60), whole(published)(handler)))
    command = [sys.executable, "-c", SECOND_READER, str(tmp_path), server.url]
    processes = [
        subprocess.Popen([*command, str(i)], cwd=esc.PROJECT, stdout=subprocess.PIPE, text=True) for i in range(2)
    ]
    while len(list(tmp_path.glob("ready *"))) < 2:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    (tmp_path / "go").touch()
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1]
    assert printed[0].startswith("8 ")
    assert server.asked == 2
    assert [name.split("-")[0] for name in left_behind(tmp_path)] == ["esc10", "esc10"]


# ESC-50: the same way, other checks


@pytest.fixture
def small_esc50(tmp_path, monkeypatch):
    monkeypatch.setattr(esc, "ESC50_SHAPE", {"clips": 15, "classes": 3, "folds": 5})
    monkeypatch.delenv("AUDIO_DATA", raising=False)
    monkeypatch.setenv("AUDIO_CACHE", str(tmp_path / "cache"))
    return esc50(tmp_path)


def test_esc50_is_downloaded_and_read(small_esc50, serve):
    server = serve(whole(zipped(small_esc50, "ESC-50-master")))
    sounds = clips.load("esc50")
    assert (len(sounds), clips.load("esc50").source, server.asked) == (15, "from the cache", 1)
    assert sounds.class_names == ["dog", "rain", "crying baby"]
    assert (sounds.table.recording[sounds.bark], len(sounds[sounds.bark])) == ("30226", 80_000)
    assert [len(part) for part in sounds.split(5)] == [12, 3]
    assert "CC BY-NC, https://freesound.org/s/30226" in sounds.credits(sounds.bark)


def _shorten(tree):
    soundfile.write(tree / "audio" / "3-103-A-1.wav", np.zeros(44_100), 44_100)


def _spoil(tree):
    (tree / "audio" / "3-103-A-1.wav").write_bytes(b"RIFF")


def _drop_rows(tree):
    meta = tree / "meta" / "esc50.csv"
    pd.read_csv(meta).iloc[:-1].to_csv(meta, index=False)


def _drop_column(tree):
    meta = tree / "meta" / "esc50.csv"
    pd.read_csv(meta).drop(columns="fold").to_csv(meta, index=False)


BAD_TREES = {
    "short": (_shorten, "audio/3-103-A-1.wav lasts 1.00 s"),
    "spoilt": (_spoil, "audio/3-103-A-1.wav is missing or no sound"),
    "missing": (
        lambda tree: (tree / "audio" / "3-103-A-1.wav").unlink(),
        "audio/3-103-A-1.wav is missing or no sound",
    ),
    "fewer rows": (_drop_rows, "'clips': 14"),
    "empty table": (lambda tree: (tree / "meta" / "esc50.csv").write_text(""), "No columns"),
    "no folds": (_drop_column, "lacks the columns ['fold']"),
    "no table": (lambda tree: (tree / "meta" / "esc50.csv").unlink(), "meta/esc50.csv is missing"),
}


@pytest.mark.parametrize("case", BAD_TREES)
def test_esc50_that_is_not_as_published_is_refused(small_esc50, serve, tmp_path, case, monkeypatch):
    damage, words = BAD_TREES[case]
    damage(small_esc50)
    monkeypatch.setenv("AUDIO_DATA", str(tmp_path))
    with pytest.raises(OSError, match="not as published") as caught:
        clips.load("esc50")
    one_sentence(caught.value, words)
    monkeypatch.delenv("AUDIO_DATA")
    serve(whole(zipped(small_esc50, "ESC-50-master")))
    with pytest.raises(OSError, match="could not be had") as caught:
        clips.load("esc50")
    one_sentence(caught.value, words)
    assert left_behind(tmp_path) == []
