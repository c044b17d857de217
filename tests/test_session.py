"""The session chooses what this machine can have, says why, and is strict when a profile is named."""

import math
import subprocess
import sys
import types
from importlib import metadata

import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from helpers import backbones, clips, esc, session

VARIABLES = ("PROFILE", "AUDIO_DATA", "VISION_WEIGHTS", "RUNS")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def can_have(monkeypatch):
    """can_have(name, ...): only these models and data sets, and the project's own, can be had; no CUDA."""

    def only(*names, place="cache", cuda=False):
        own = {getattr(session.PROFILES["offline"], role): "embedded" for role in session.ROLES} | {
            "synthetic": "generated"
        }
        places = own | dict.fromkeys(names, place)
        monkeypatch.setattr(backbones, "locate", lambda name, folder: places.get(name))
        monkeypatch.setattr(clips, "locate", lambda name: places.get(name))
        monkeypatch.setattr(session, "_device", lambda: torch.device("cuda" if cuda else "cpu"))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")

    return only


LAPTOP = session.PROFILES["laptop"]
LARGE = session.PROFILES["large"]


def test_without_anything_auto_is_offline_and_says_what_is_missing(can_have, capsys):
    can_have()
    here = session.start()
    printed = capsys.readouterr().out
    assert (here.profile, here.dataset, here.vit) == ("offline", "synthetic", session.PROFILES["offline"].vit)
    assert here.epochs == session.PROFILES["offline"].epochs
    assert "profile  offline, because nothing of laptop can be had here" in printed
    assert f"note     you can go on; for the original,\n         {session.WAY_OUT}" in printed
    assert len(printed.splitlines()) == 7


def test_each_resource_is_replaced_by_itself(can_have, capsys):
    can_have(LAPTOP.vit, "esc10")
    here = session.start()
    assert (here.profile, here.vit, here.dataset) == ("laptop", LAPTOP.vit, "esc10")
    assert here.deit == session.PROFILES["offline"].deit
    printed = capsys.readouterr().out
    assert f"DeiT     {here.deit}, embedded in the project\n         in place of {LAPTOP.deit}\n" in printed
    assert "VISION_WEIGHTS" in printed


def test_where_all_is_there_start_says_it_in_five_lines(can_have, capsys):
    can_have(LAPTOP.vit, LAPTOP.deit, LAPTOP.convnet, "esc10")
    session.start()
    printed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == ["profile", "device", "ViT", "sound", "picture"]
    assert set(session.resolve()[1]) == {*printed, "DeiT", "ConvNet"}  # the report tells all


def test_sound_settings_follow_the_data_that_is_really_there(can_have):
    can_have(LAPTOP.vit)
    here = session.start()
    assert (here.profile, here.dataset, here.sample_rate) == ("laptop", "synthetic", 16_000)


def test_a_gpu_runs_the_laptop_models_for_more_epochs(can_have):
    can_have(LAPTOP.vit, LAPTOP.deit, "esc10", cuda=True)
    here = session.start()
    assert (here.profile, here.vit, here.deit) == ("gpu", LAPTOP.vit, LAPTOP.deit)
    assert here.img_size == LAPTOP.img_size
    assert here.epochs > LAPTOP.epochs


def test_large_models_are_taken_by_name_only(can_have):
    can_have(LAPTOP.vit, LARGE.vit, LARGE.deit, LARGE.convnet, "esc10", cuda=True)
    assert session.start().vit == LAPTOP.vit
    here = session.start("large")
    assert (here.vit, here.convnet, here.img_size) == (LARGE.vit, "convnext_tiny", (128, 512))


@pytest.mark.parametrize("profile", ["gpu", "large"])
def test_a_profile_for_a_gpu_says_what_it_costs_without_one(can_have, profile):
    here = session.PROFILES[profile]
    can_have(here.vit, here.deit, here.convnet, "esc10")
    assert "\nwithout a CUDA device" in session.resolve(profile)[1]["profile"]
    assert "CUDA" not in session.resolve("offline")[1]["profile"]
    can_have(here.vit, here.deit, here.convnet, "esc10", cuda=True)
    assert "CUDA" not in session.resolve(profile)[1]["profile"]


@pytest.mark.parametrize("names", [(), ("esc10",)])
def test_colab_without_a_gpu_says_where_there_is_one(can_have, monkeypatch, names):
    monkeypatch.setitem(sys.modules, "google.colab", None)
    can_have(*names)
    assert "\nRuntime > Change runtime type" in session.resolve()[1]["profile"]
    can_have(*names, cuda=True)
    assert "Runtime" not in session.resolve()[1]["profile"]


@pytest.mark.parametrize(
    ("loaded", "installed", "said"),
    [
        ("1.0.27", "1.0.31", "timm     1.0.27 WRONG: 1.0.31 is installed, restart the kernel"),
        ("1.0.27", "1.0.27", 'timm     1.0.27 WRONG: run python -m pip install "timm>=1.0.31", restart the kernel'),
        ("1.0.31", "1.0.27", None),
    ],
)
def test_a_package_out_of_range_is_said_at_the_start(can_have, monkeypatch, capsys, loaded, installed, said):
    found = metadata.distributions

    def distributions(name):
        if name == "av":  # not on Colab, and only some recordings need it
            return []
        return [types.SimpleNamespace(version=installed)] if name == "timm" else found(name=name)

    monkeypatch.delitem(sys.modules, "av", raising=False)

    monkeypatch.setattr(metadata, "distributions", distributions)
    monkeypatch.setattr(sys.modules["timm"], "__version__", loaded)
    can_have()
    session.start("offline")
    wrong = [line for line in capsys.readouterr().out.splitlines() if "WRONG" in line]
    assert wrong == [said] * (said is not None)


@pytest.mark.parametrize("backend", ["agg", "SVG"])
def test_a_notebook_draws_below_its_cells_whatever_the_environment_says(monkeypatch, backend):
    monkeypatch.setenv("MPLBACKEND", backend)
    cells = [
        "import matplotlib.pyplot as plt",
        "from helpers import session\nhere = session.start('offline')",
        "plt.plot([1, 2]);",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(esc.PROJECT)}}).execute()
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[2].outputs)


def test_one_call_loads_what_the_lessons_start_with(can_have):
    can_have()
    here = session.start("offline")
    data = here.load()
    assert data.pictures.shape == (400, 1, *here.img_size)
    assert torch.equal(data.bark[0], data.pictures[data.sounds.bark])
    assert data.class_names[data.labels[data.sounds.bark]] == "dog bark"
    train = data.pictures[data.train]
    assert abs(train.mean()) < 1e-2
    assert abs(train.std() - 0.5) < 1e-2
    assert set(data.folds[data.test]) == {1}
    assert len(data.train) + len(data.test) == len(data.labels) == len(data.folds)
    floor = math.log(here.log_floor)
    assert data.log_mel.min() == pytest.approx(floor, abs=1e-2)


@pytest.mark.parametrize("profile", ["laptop", "gpu", "large"])
def test_a_named_profile_raises_and_names_what_is_missing(can_have, profile):
    can_have("esc10")
    with pytest.raises(OSError, match=session.PROFILES[profile].vit):
        session.start(profile)


def test_the_variable_is_as_strict_as_the_argument(can_have, monkeypatch):
    can_have()
    monkeypatch.setenv("PROFILE", "laptop")
    with pytest.raises(OSError, match="VISION_WEIGHTS"):
        session.start()
    assert session.start("offline").profile == "offline"


@pytest.mark.parametrize("name", ["huge", "Laptop", ""])
def test_an_unknown_profile_lists_the_right_names(can_have, name):
    can_have()
    with pytest.raises(ValueError, match="auto, offline, laptop, gpu, large"):
        session.start(name)


@pytest.mark.parametrize("variable", ["AUDIO_DATA", "VISION_WEIGHTS"])
def test_a_variable_that_names_no_folder_is_an_error_in_every_profile(can_have, monkeypatch, variable):
    can_have()
    monkeypatch.setenv(variable, "no/such/folder")
    with pytest.raises(OSError, match=f"{variable}.*no/such/folder"):
        session.start("offline")


def test_relative_folders_start_at_the_project(monkeypatch):
    monkeypatch.setenv("AUDIO_DATA", "notebooks")
    assert session.folder("AUDIO_DATA") == esc.PROJECT / "notebooks"


def test_runs_may_lie_where_there_is_no_folder_yet(can_have, monkeypatch, tmp_path):
    can_have()
    monkeypatch.setenv("RUNS", str(tmp_path / "drive"))
    assert session.start().runs == tmp_path / "drive"


@pytest.mark.parametrize(("name", "frames"), [("offline", 256), ("laptop", 256), ("gpu", 256), ("large", 512)])
def test_every_profile_gives_whole_patches(name, frames):
    here = session.PROFILES[name]
    assert here.img_size == (128, frames)
    assert here.num_samples == here.img_size[1] * here.hop_length


def test_a_device_is_named_whatever_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")
    for kind, named in {"cpu": "cpu", "mps": "mps", "cuda": "cuda, NVIDIA T4"}.items():
        assert session.describe(torch.device(kind)) == named


@pytest.mark.parametrize("works", [True, False])
def test_a_gpu_without_kernels_in_this_pytorch_is_left_alone_and_said(monkeypatch, works):
    """As a P100 or a GTX 1080; one that works computes convolutions in float32."""

    def ones(*size, device):
        if not works:
            raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nmore")
        return torch.full(size, 1.0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA P100")
    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(clips, "locate", lambda name: "cache")
    monkeypatch.setattr(backbones, "locate", lambda name, folder: "cache")
    here, lines = session.resolve()
    assert (here.device.type, here.profile) == (("cuda", "gpu") if works else ("cpu", "laptop"))
    said = "cpu, since the CUDA device cannot be used (CUDA error: no kernel image is available for execution on the device)"
    assert lines["device"] == ("cuda, NVIDIA P100" if works else said)
    assert torch.backends.cudnn.allow_tf32 != works


def test_the_report_is_one_block_with_a_verdict_for_each_package():
    run = subprocess.run(
        [sys.executable, "-m", "helpers.session"], capture_output=True, text=True, check=True, cwd=esc.PROJECT
    )
    lines = {line[:18].strip(): line[18:].strip() for line in run.stdout.splitlines()}
    for package in ("torch", "torchaudio", "timm", "ipywidgets"):
        assert lines[package].endswith("OK"), lines[package]
    assert {"python", "profile", "device", "sound", "$HF_HOME", "cache"} <= set(lines)


def test_the_report_names_folders_that_cannot_be_used(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AUDIO_CACHE", "~nobody-is-called-this/cache")
    monkeypatch.setenv("RUNS", str(tmp_path / "file"))
    monkeypatch.setattr(session, "resolve", lambda: (None, {}))
    lines = {line[:18].strip(): line[18:].strip() for line in session.report().splitlines()}
    assert lines["cache"].startswith("WRONG: AUDIO_CACHE='~nobody-is-called-this/cache' names the home of a user")
    assert lines["runs"].startswith(f"WRONG: takes no files, {tmp_path / 'file'}")


def test_the_hub_is_asked_again_at_each_start(monkeypatch):
    """Offline first, then online, in one kernel."""
    monkeypatch.setattr(clips, "locate", lambda name: "cache")
    monkeypatch.setattr(backbones, "_is_cached", lambda hub_id: False)
    monkeypatch.setattr(backbones.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(session, "_device", lambda: torch.device("cpu"))

    def no_answer(url):
        raise ConnectionError

    monkeypatch.setattr(esc, "reach", no_answer)
    assert session.resolve()[0].vit == session.PROFILES["offline"].vit
    asked = []
    monkeypatch.setattr(esc, "reach", asked.append)
    assert session.resolve()[0].vit == LAPTOP.vit
    assert len(asked) == 1  # for three models
    backbones.hub_answers.cache_clear()
