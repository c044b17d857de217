"""Training learns, is the same after a kill, refuses what it must, and says what is wrong."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from fine_tuning_run import PLACES, PLAIN, RECIPE, small_sounds, small_vit
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.models import get_model_input_config

from experiments import one_fold
from helpers import backbones, checkpoints, devices, explorers, fine_tuning, heads, patches

RUN = Path(__file__).with_name("fine_tuning_run.py")
STATISTICS = {"num_classes": 3, "mean": 0.0, "std": 1.0}


def train(recipe=RECIPE, folder=None, model=None, **changes):
    model = model or small_vit()
    features, labels = small_sounds()
    arguments = {"features": features, "labels": labels} | STATISTICS | changes
    history = fine_tuning.train(model, recipe=recipe, folder=folder, **arguments)
    return model, history


def run(*arguments, launcher=()):
    command = [sys.executable, *launcher, str(RUN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=RUN.parents[1], env=environment())


def environment():
    return os.environ | {"PYTHONPATH": str(RUN.parents[1]), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def equal(one, other, **tolerance):
    for name in one:
        torch.testing.assert_close(one[name], other[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=name)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums in the same order as in `run`, or weights are not the same to the bit; and on the CPU, as there."""
    threads, device = torch.get_num_threads(), os.environ.get("ACCELERATE_USE_CPU")
    os.environ["ACCELERATE_USE_CPU"] = "true"
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    os.environ.pop("ACCELERATE_USE_CPU")
    os.environ |= {} if device is None else {"ACCELERATE_USE_CPU": device}
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and weights of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    model, history = train(folder=folder)
    return folder, model.state_dict(), history


def test_the_loss_falls_and_the_clips_are_told_apart():
    model, history = train(replace(PLAIN, epochs=20, lr=3e-3), model=small_vit(0.0))
    features, labels = small_sounds()
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert fine_tuning.accuracy(fine_tuning.evaluate(model, features, mean=0.0, std=1.0), labels) > 0.9


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_run_ends_with_the_same_weights_to_the_bit(finished, tmp_path, place):
    _, undisturbed, _ = finished
    killed = run(tmp_path / "run", tmp_path / "out.safetensors", "--die", place)
    assert killed.returncode == -9 if os.name == "posix" else killed.returncode != 0
    assert not (tmp_path / "out.safetensors").exists()
    assert [path.name for path in checkpoints.found(tmp_path / "run")] == ["epoch_001"]
    if place == "in a batch":  # a process of its own takes seconds to import all, and reads the same files each time
        again = run(tmp_path / "run", tmp_path / "out.safetensors")
        assert again.returncode == 0, again.stderr
        weights = load_file(tmp_path / "out.safetensors")
    else:
        weights = train(folder=tmp_path / "run")[0].state_dict()
    equal(weights, undisturbed)


def test_two_checkpoints_are_kept_and_a_finished_run_is_not_run_again(finished, tmp_path):
    folder, weights, history = finished
    assert [path.name for path in checkpoints.found(folder)] == ["epoch_003", "epoch_002"]
    copy = shutil.copytree(folder, tmp_path / "copy")
    model, again = train(folder=copy)
    assert again == history
    equal(model.state_dict(), weights)


@pytest.mark.parametrize("damage", ["cut", "missing", "unsealed"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(finished, tmp_path, capsys, damage):
    folder, weights, _ = finished
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "epoch_003" / ("sums.json" if damage == "unsealed" else "optimizer.bin")
    file.write_bytes(file.read_bytes()[:100]) if damage == "cut" else file.unlink()
    model, _ = train(folder=copy)
    assert "epoch_003 is damaged" in capsys.readouterr().out
    equal(model.state_dict(), weights)


def damaged_copy(folder, to):
    """Of a finished run, with nothing whole in it."""
    copy = shutil.copytree(folder, to)
    for checkpoint in checkpoints.found(copy):
        (checkpoint / "sums.json").unlink()
    return copy


def test_with_all_checkpoints_damaged_training_starts_again_and_keeps_the_new_ones(finished, tmp_path, capsys):
    copy = damaged_copy(finished[0], tmp_path / "copy")

    def stop(model, history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder=copy, after_epoch=stop)
    assert "No whole checkpoint is left: training starts again" in capsys.readouterr().out
    assert [path.name for path in checkpoints.found(copy)] == ["epoch_001"]
    model, _ = train(folder=copy)
    equal(model.state_dict(), finished[1])


class Code:
    """What a pickle may hold: a call, made when it is loaded."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return Path.touch, (Path(self.file),)


@pytest.mark.parametrize("name", ["custom_checkpoint_0.pkl", "optimizer.bin", "random_states_0.pkl", "scheduler.bin"])
def test_somebody_elses_checkpoint_runs_no_code_whatever_its_seal_says(finished, tmp_path, name):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    for checkpoint in checkpoints.found(copy):
        torch.save({"step": Code(tmp_path / "ran")}, checkpoint / name)
        (checkpoint / "sums.json").write_text(json.dumps(checkpoints._sums(checkpoint)))
    with suppress(
        ValueError, RuntimeError
    ):  # random states that cannot be read are left alone: each epoch sets its own
        train(folder=copy)
    assert not (tmp_path / "ran").exists()
    torch.load(checkpoint / name, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_what_was_written_into_a_checkpoint_beside_numbers_is_said(finished, tmp_path):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    torch.save(Code(tmp_path / "ran"), copy / "epoch_003" / "optimizer.bin")
    (copy / "epoch_003" / "sums.json").write_text(json.dumps(checkpoints._sums(copy / "epoch_003")))
    with pytest.raises(ValueError, match="epoch_003 holds more than numbers"):
        train(folder=copy)


@pytest.mark.parametrize("kind", ["a file", "a link", "a folder", "no object"])
def test_what_stands_in_a_checkpoints_place_is_removed_and_training_goes_on(finished, tmp_path, kind):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("mine")
    shutil.rmtree(copy / "epoch_003")
    if kind == "a file":
        (copy / "epoch_003").write_text("x")
    elif kind == "a link":
        (copy / "epoch_003").symlink_to(tmp_path / "elsewhere")
    else:
        (copy / "epoch_003").mkdir()
        (copy / "epoch_003" / "sums.json").write_text("[]" if kind == "no object" else "")
    model, history = train(folder=copy)
    equal(model.state_dict(), finished[1])
    assert [row["loss"] for row in history] == [row["loss"] for row in finished[2]]
    assert [path.name for path in checkpoints.found(copy)] == ["epoch_003", "epoch_002"]
    assert (tmp_path / "elsewhere" / "kept").read_text() == "mine"


def test_a_folder_that_takes_no_checkpoints_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file takes no checkpoints .*: choose another folder, or set RUNS to one"):
        train(folder=tmp_path / "file")


def test_a_file_of_somebody_else_does_not_make_a_checkpoint_damaged(finished, tmp_path, capsys):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    (copy / "epoch_003" / ".DS_Store").write_bytes(b"a file manager was here")
    _, history = train(folder=copy)
    assert history == finished[2]
    assert "damaged" not in capsys.readouterr().out


def test_the_thousandth_epoch_is_newer_than_the_one_before(tmp_path):
    for name in ("epoch_999", "epoch_1000", "epoch_998", "epoch_998 copy", "epoch_999.part", "epoch_1.zip"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoints.found(tmp_path)] == ["epoch_1000", "epoch_999", "epoch_998"]


def test_a_checkpoint_that_was_not_finished_is_no_checkpoint(finished, tmp_path):
    folder, weights, _ = finished
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "epoch_003").rename(copy / "epoch_003.part")
    model, _ = train(folder=copy)
    equal(model.state_dict(), weights)
    assert not list(copy.glob("*.part"))


def test_a_convnet_goes_on_to_the_bit_too(tmp_path):
    """With its batch norms, and its channels last in memory while it trains."""
    create = partial(timm.create_model, "test_efficientnet", in_chans=1, num_classes=3)
    torch.manual_seed(0)
    start = create().state_dict()
    folder = tmp_path / "run"
    models = [create(), create()]
    for model in models:
        model.load_state_dict(start)
        train(model=model, folder=folder)
        shutil.rmtree(folder / "epoch_003")  # the second goes on from the end of epoch 2
    equal(models[1].state_dict(), models[0].state_dict())
    assert all(weight.is_contiguous() for weight in models[0].state_dict().values())


def test_a_run_goes_on_in_the_precision_it_began_with(tmp_path, monkeypatch):
    """Whatever is fast on the machine where it goes on."""
    auto = replace(RECIPE, epochs=2, precision="auto")

    def stop(model, history):
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(devices, "bf16_gain", lambda: 2.0)
    with pytest.raises(KeyboardInterrupt):
        train(auto, folder=tmp_path, after_epoch=stop)
    monkeypatch.setattr(devices, "bf16_gain", lambda: 0.5)
    train(auto, folder=tmp_path)
    assert json.loads((tmp_path / "configuration.json").read_text())["precision"] == "bf16"


def test_fp16_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(ValueError, match='"fp16" needs a GPU'):
        train(replace(RECIPE, precision="fp16"))
    auto = replace(RECIPE, precision="auto")
    train(replace(auto, epochs=1), folder=tmp_path)  # as if on a T4
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"precision": "fp16", "epochs": 3}))
    with pytest.raises(ValueError, match='"fp16" needs a GPU'):
        train(auto, folder=tmp_path)


def test_what_suits_a_cpu_changes_nothing_but_rounding():
    for name in ("test_vit", "test_efficientnet"):
        model = timm.create_model(name, in_chans=1, num_classes=3).eval()
        x = torch.randn(2, 1, 160, 160)
        before = model(x)
        with devices.suited(model, torch.device("cpu")):
            torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)
        assert not any(getattr(module, "fused_attn", False) for module in model.modules())


def half_frozen():
    model = small_vit()
    model.blocks[0].requires_grad_(False)
    return model


def other_start():
    model = small_vit()
    torch.nn.init.normal_(model.patch_embed.proj.weight)
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": replace(RECIPE, lr=0.1)}, "lr was 0.001, is 0.1"),
        ({"recipe": replace(RECIPE, precision="bf16")}, "precision was 'no', is 'bf16'"),
        ({"mean": 1.0}, "mean was 0.0, is 1.0"),
        ({"std": 2.0}, "std was 1.0, is 2.0"),
        ({"features": small_sounds()[0] + 1}, "data was"),
        (
            {
                "features": small_sounds()[0].index_put(
                    (torch.tensor([5]), torch.tensor([0]), torch.tensor([3])), torch.ones(1)
                )
            },
            "data was",
        ),
        ({"labels": small_sounds()[1].flip(0)}, "data was"),
        ({"model": small_vit(0.5)}, "model was"),
        ({"model": half_frozen()}, "learning was '32 tensors, .*', is '20 tensors"),
        ({"model": other_start()}, "start was .*: create the model anew after the same seed"),
    ],
)
def test_another_configuration_is_refused_with_the_difference(finished, tmp_path, changes, message):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    with pytest.raises(ValueError, match=f"another configuration .*{message}") as refusal:
        train(**{"folder": copy} | changes)
    assert str(refusal.value).count(" was ") == 1


@pytest.mark.parametrize(
    "damage",
    [lambda file: file.unlink(), lambda file: file.write_text('{"lr": 0.0'), lambda file: file.write_text("[]")],
)
def test_checkpoints_of_an_unknown_configuration_are_refused(finished, tmp_path, damage):
    copy = shutil.copytree(finished[0], tmp_path / "copy")
    damage(copy / "configuration.json")
    with pytest.raises(ValueError, match="configuration.json is missing or damaged: choose another folder"):
        train(folder=copy)


def test_two_processes_give_the_weights_and_the_history_of_one(tmp_path):
    one = run(tmp_path / "one", tmp_path / "one.safetensors", "--plain")
    options = {"num_processes": 2, "num_machines": 1, "main_process_port": 0, "mixed_precision": "no"}
    options = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # in Accelerate --cpu means one process; --multi_gpu on a machine without GPUs means several on the CPU
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--dynamo_backend", "no", *options]
    two = run(tmp_path / "two", tmp_path / "two.safetensors", "--plain", launcher=launcher)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    equal(load_file(tmp_path / "one.safetensors"), load_file(tmp_path / "two.safetensors"), rtol=1e-4, atol=1e-5)
    notes = {}
    for name in ("one", "two"):
        with safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            notes[name] = file.metadata()
    assert (notes["one"]["processes"], notes["two"]["processes"]) == ("1", "2")
    assert json.loads(notes["two"]["losses"]) == pytest.approx(json.loads(notes["one"]["losses"]), abs=1e-5)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with checkpoints.claim(tmp_path, Accelerator()), pytest.raises(OSError, match="Another process is training"):
        train(folder=tmp_path)


@pytest.mark.parametrize("layer_decay", [0.5, None])
def test_layer_decay_takes_effect_and_positions_norms_and_biases_do_not_decay(layer_decay):
    model = timm.create_model("test_vit", num_classes=10)
    recipe = replace(RECIPE, lr=1.0, layer_decay=layer_decay, warmup=0)
    optimizer = fine_tuning.make_optimizer(model, recipe)
    fine_tuning.make_scheduler(optimizer, recipe, num_updates=10).step_update(0)
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    rate = {name: groups[id(p)]["lr"] for name, p in model.named_parameters()}
    decay = {name: groups[id(p)]["weight_decay"] for name, p in model.named_parameters()}
    depth, share = len(model.blocks), layer_decay or 1.0
    assert rate["head.weight"] == 1.0
    assert rate["patch_embed.proj.weight"] == pytest.approx(share ** (depth + 1))
    assert rate["blocks.0.attn.qkv.weight"] == pytest.approx(share**depth)
    assert not any(
        decay[name] for name in ("pos_embed", "cls_token", "norm.weight", "head.bias", "blocks.0.norm1.weight")
    )
    assert decay["blocks.0.attn.qkv.weight"] == recipe.weight_decay


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing():
    optimizer = torch.optim.AdamW(small_vit().parameters(), lr=1.0)
    scheduler = fine_tuning.make_scheduler(optimizer, replace(RECIPE, lr=1.0, warmup=0.2), num_updates=50)
    rates = []
    for update in range(51):
        scheduler.step_update(update)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == 0
    assert np.argmax(rates) == 10
    assert rates[10] > 0.85
    assert rates[50] < 1e-9


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="labels must be 0 to 2, got 0 to 3"):
        train(labels=torch.arange(24) % 4)
    with pytest.raises(ValueError, match="one for each of the 24 clips"):
        train(labels=torch.zeros(23))


def test_labels_that_are_not_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="labels must be whole numbers, got 0.7"):
        train(labels=torch.full((24,), 0.7))


def test_what_cannot_be_trained_with_is_refused_at_once(tmp_path):
    features, _ = small_sounds()
    with pytest.raises(ValueError, match="at least one"):
        train(features=features[:0], labels=torch.zeros(0))
    with pytest.raises(ValueError, match="epochs and batch_size must be at least 1, got 0 and 8"):
        train(replace(RECIPE, epochs=0))
    with pytest.raises(ValueError, match="std must be above 0, got 0.0"):
        train(std=0.0)
    for mean, std in ((float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(ValueError, match="std must be above 0, got .*, and mean finite, got"):
            train(mean=mean, std=std)
        with pytest.raises(ValueError, match="std must be above 0"):
            fine_tuning.evaluate(small_vit(), features, mean=mean, std=std)
    for setting in ({"warmup": 10}, {"warmup": -0.1}, {"layer_decay": 1.5}, {"lr": float("nan")}, {"clip_norm": -1.0}):
        with pytest.raises(
            ValueError, match=f"{next(iter(setting))} must be 0 to .*, got {next(iter(setting.values()))}"
        ):
            train(replace(RECIPE, **setting))
    with pytest.raises(ValueError, match=r"features must be \(clips, 1, n_mels, frames\), got shape \(24, 16, 32\)"):
        train(features=features[:, 0])
    with pytest.raises(ValueError, match="features must be"):
        fine_tuning.evaluate(small_vit(), features[:, 0], mean=0.0, std=1.0)
    model = timm.create_model("test_vit", in_chans=1, num_classes=10)
    with pytest.raises(ValueError, match="The model has 10 outputs for 3 classes: create it with num_classes=3"):
        train(model=model)


def test_a_pair_of_logits_is_refused():
    model = timm.create_model("deit_tiny_distilled_patch16_224", img_size=(16, 32), in_chans=1, num_classes=3, depth=1)
    model.set_distilled_training(True)
    with pytest.raises(ValueError, match=r"set_distilled_training\(False\)"):
        train(model=model)


def test_a_last_batch_of_one_is_named_where_batch_norm_can_do_nothing_with_it():
    model = timm.create_model("test_efficientnet", in_chans=1, num_classes=3)  # its last maps are 1 x 1
    features, labels = small_sounds()
    with pytest.raises(ValueError, match="The last batch has one clip, .* choose another batch_size than 4"):
        train(replace(RECIPE, batch_size=4), model=model, features=features[:13], labels=labels[:13])
    train(replace(RECIPE, batch_size=5, epochs=1), model=model, features=features[:13], labels=labels[:13])


def test_labels_may_be_a_filtered_column_and_no_names():
    features, labels = small_sounds()
    column = pd.Series(labels.numpy(), index=range(100, 124))
    model, _ = train(replace(RECIPE, epochs=1), features=features.numpy(), labels=column)
    other, _ = train(replace(RECIPE, epochs=1), features=features, labels=labels)
    equal(model.state_dict(), other.state_dict())
    logits = fine_tuning.evaluate(model, features.numpy(), mean=0.0, std=1.0)
    assert torch.equal(logits, fine_tuning.evaluate(model, features, mean=0.0, std=1.0))
    with pytest.raises(ValueError, match="labels must be whole numbers, got dog"):
        train(labels=["dog"] * 24)


def test_accuracy_is_of_numbers_and_of_one_label_a_clip():
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, float("inf")]])
    assert fine_tuning.accuracy(logits, pd.Series([1, 0, 0], index=[7, 5, 3])) == pytest.approx(2 / 3)
    for wrong, labels in ((torch.full((3, 2), float("nan")), [0, 0, 0]), (logits, [[1], [0], [0]]), (logits, [1])):
        with pytest.raises(ValueError, match="logits must be numbers, a row for each label, got"):
            fine_tuning.accuracy(wrong, labels)


class Wrapped(torch.nn.Module):
    """A model of one's own around timm's."""

    def __init__(self):
        super().__init__()
        self.scale, self.backbone = torch.nn.Linear(1, 1), timm.create_model("test_vit", num_classes=10)


@pytest.mark.parametrize("layer_decay", [0.5, None])
def test_a_model_inside_ones_own_module_keeps_its_rates(layer_decay):
    model, recipe = Wrapped(), replace(RECIPE, lr=1.0, layer_decay=layer_decay, warmup=0)
    groups = {}
    for each in (model, model.backbone):
        optimizer = fine_tuning.make_optimizer(each, recipe)
        fine_tuning.make_scheduler(optimizer, recipe, num_updates=10).step_update(0)
        groups[each] = {
            p: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
        }
        assert groups[each].keys() == set(each.parameters())
    assert all(groups[model][p] == where for p, where in groups[model.backbone].items())
    assert groups[model][model.scale.weight] == (1.0, recipe.weight_decay)
    assert groups[model][model.scale.bias] == (1.0, 0.0)


def test_clips_that_are_not_numbers_are_named():
    features, _ = small_sounds()
    features[5, 0, 3, 3], features[7, 0, 0, 0] = float("nan"), float("inf")
    with pytest.raises(ValueError, match=r"Clips \[5, 7\] of features hold values that are not finite"):
        train(features=features)


def spoil(call, make_hook):
    """Let something go wrong in the so-manieth update, counted from 1."""
    calls = []

    def count(*arguments):
        calls.append(1)
        return make_hook(*arguments) if len(calls) == call else None

    return count


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(finished, tmp_path):
    model = small_vit()
    model.register_forward_hook(spoil(5, lambda _, inputs, output: output * float("nan")))
    with pytest.raises(FloatingPointError, match="Loss nan in update 5: lower lr"):
        train(model=model, folder=tmp_path)
    assert [path.name for path in checkpoints.found(tmp_path)] == ["epoch_001"]
    model, _ = train(folder=tmp_path)
    equal(model.state_dict(), finished[1])


@pytest.mark.parametrize("update", [6, 9], ids=["last of an epoch", "last of all"])
def test_a_gradient_that_is_not_finite_gets_into_no_checkpoint(finished, tmp_path, update):
    model = small_vit()
    model.head.bias.register_hook(spoil(update, lambda gradient: gradient * float("nan")))
    with pytest.raises(FloatingPointError, match=rf"After epoch {update // 3}, \S+ is not finite"):
        train(model=model, folder=tmp_path)
    assert checkpoints.found(tmp_path)[0].name == f"epoch_{update // 3 - 1:03d}"
    model, _ = train(folder=tmp_path)
    equal(model.state_dict(), finished[1])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail] unexpected pos, No space left"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_says_so_and_keeps_the_checkpoint_before(tmp_path, monkeypatch, error):
    save_state = Accelerator.save_state

    def full(self, output_dir, **others):
        save_state(self, output_dir, **others)
        if "002" in output_dir:
            raise error

    monkeypatch.setattr(Accelerator, "save_state", full)
    with pytest.raises(OSError, match="epoch 2 cannot be written .*No space left.*make room"):
        train(folder=tmp_path)
    assert [path.name for path in tmp_path.glob("epoch_*")] == ["epoch_001"]


def test_what_the_environment_asks_of_accelerate_does_not_change_a_run(monkeypatch):
    plain, _ = train()
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    asked, _ = train()
    equal(asked.state_dict(), plain.state_dict())


def test_a_forward_of_the_learners_own_is_trained_with_and_stays():
    model, calls = small_vit(), []
    own = model.forward

    def watched(x):
        calls.append(len(x))
        return own(x)

    model.forward = watched
    train(replace(RECIPE, epochs=1), model=model)
    assert calls == [8, 8, 8]
    assert model.forward is watched


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1e15 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1e15 bytes."),  # on Windows
        MemoryError(),
    ],
    ids=["Linux", "Windows", "Python"],
)
def test_a_batch_that_does_not_fit_comes_with_advice(monkeypatch, error):
    def greedy(*_, **__):
        raise error

    monkeypatch.setattr(fine_tuning, "train_one_epoch", greedy)
    with pytest.raises(MemoryError, match="halve batch_size"):
        train()


def test_training_shows_a_bar_in_a_terminal_and_nothing_elsewhere(monkeypatch, capsys):
    train(replace(RECIPE, epochs=1))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = fine_tuning._progress(range(2), Accelerator())
    bar.delay = bar.mininterval = 0  # however quick it is
    assert list(bar) == [0, 1]
    assert "training: 100%" in capsys.readouterr().err


def test_each_part_of_the_recipe_augments_alone():
    x, target = torch.rand(6, 1, 16, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    none = replace(RECIPE, mixup=0, roll=False, gain_db=0.0, max_mels=0, max_frames=0)
    same, hard = fine_tuning.make_augment(none, num_classes=3, std=1.0)(x, target)
    assert torch.equal(same, x)
    assert torch.equal(hard, torch.nn.functional.one_hot(target, 3).to(x))
    for part in ({"mixup": 1.0}, {"roll": True}, {"gain_db": 6.0}, {"max_mels": 8}, {"max_frames": 8}):
        torch.manual_seed(0)
        changed, soft = fine_tuning.make_augment(replace(none, **part), num_classes=3, std=1.0)(x, target)
        assert not torch.equal(changed, x), part
        assert torch.equal(soft, hard) != ("mixup" in part), part
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(6))


def test_a_model_is_trained_on_some_clips_with_their_statistics_and_tested_on_others(monkeypatch):
    features, labels = small_sounds()
    train_clips, test_clips, seen = np.arange(4, 24), np.arange(4), []
    real = fine_tuning.train

    def watched(model, some, its_labels, recipe, **given):
        seen.append((some, its_labels, given))
        return real(model, some, its_labels, recipe, **given)

    monkeypatch.setattr(fine_tuning, "train", watched)
    model = small_vit()
    history, logits = one_fold.train_and_test(
        lambda: model, features, labels, train_clips, test_clips, replace(RECIPE, epochs=1), num_classes=3
    )
    ((some, its_labels, given),) = seen
    assert len(history) == 1
    assert torch.equal(some, features[4:])
    assert torch.equal(its_labels, labels[4:])
    statistics = {"mean": features[4:].mean().item(), "std": features[4:].std().item()}
    assert {name: given[name] for name in statistics} == pytest.approx(statistics, rel=1e-3)
    assert torch.equal(logits, fine_tuning.evaluate(model, features[:4], mean=given["mean"], std=given["std"]))


def test_the_bootstrap_interval_agrees_with_the_binomial():
    correct = np.arange(400) < 360
    low, high = fine_tuning.bootstrap_interval(correct)
    error = 1.96 * np.sqrt(0.9 * 0.1 / 400)
    assert (low, high) == pytest.approx((0.9 - error, 0.9 + error), abs=0.004)


def test_clips_that_are_drawn_together_widen_the_interval():
    correct = np.random.default_rng(0).random(200) < 0.9
    low, high = fine_tuning.bootstrap_interval(correct)
    alone = fine_tuning.bootstrap_interval(correct, groups=np.arange(200))
    assert alone == pytest.approx((low, high), abs=0.006)
    pairs = fine_tuning.bootstrap_interval(np.repeat(correct, 2), groups=np.repeat(np.arange(200), 2))
    assert pairs == pytest.approx((low, high), abs=0.006)  # of each clip twice nothing is learnt
    together = np.repeat([True, True, True, False], 50), np.repeat(np.arange(8), 25)
    wide = fine_tuning.bootstrap_interval(*together)
    assert wide[1] - wide[0] > 3 * np.subtract(*fine_tuning.bootstrap_interval(together[0])[::-1])


# a model in a file

NOTES = {"class_names": list("abc"), "log_mel": {"sample_rate": 8_000, "n_fft": 256, "hop_length": 64, "n_mels": 20}}
NOTES |= {"seconds": 1.0, "mean": -3.0, "std": 2.0, "remark": "of a test"}
NANO = {"in_chans": 1, "img_size": (64, 128), "num_classes": 3}


def made(name, weights=None, **arguments):
    torch.manual_seed(0)
    model = backbones.create(name, SimpleNamespace(weights=weights), pretrained=False, **arguments)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)  # a head of zeros would hide a difference
    return model


def pooled(model, *arguments):
    model.reset_classifier(*arguments)
    return model


def resized(model, *size):
    model.set_input_size(size)
    return model


def padded_as_its_json_says(tmp_path):
    model = timm.create_model("test_efficientnet", pad_type="same")
    save_file(model.state_dict(), tmp_path / "test_efficientnet.made_up.safetensors")
    (tmp_path / "test_efficientnet.made_up.json").write_text('{"model_args": {"pad_type": "same"}}')
    return made("test_efficientnet", tmp_path, in_chans=1, num_classes=3)


SHAPES = {
    "ViT": lambda _: made("vit_nano_patch16_224", **NANO),
    "mean of the tokens": lambda _: pooled(made("vit_nano_patch16_224", **NANO | {"num_classes": 7}), 3, "avg"),
    "another norm": lambda _: made("vit_nano_patch16_224", **NANO, global_pool="avg", fc_norm=False),
    "overlap": lambda _: patches.overlap(made("vit_nano_patch16_224", **NANO), (10, 16)),
    "another size": lambda _: resized(made("vit_nano_patch16_224", **NANO), 48, 96),
    "two heads": lambda _: heads.replace_head(made("deit_nano_distilled_patch16_224", **NANO), 3),
    "largest of the map": lambda _: pooled(made("convnext_nano_patch4_224", in_chans=1), 3, "max"),
    "another padding": padded_as_its_json_says,
    "a stem of ours": lambda _: made("test_nfnet", in_chans=1, num_classes=3),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_saved_model_comes_back_as_it_was(tmp_path, shape):
    model, file = SHAPES[shape](tmp_path).train(), tmp_path / "new" / "model.safetensors"
    fine_tuning.save_model(model, file, NOTES)
    assert model.training
    (tmp_path / "test_efficientnet.made_up.json").unlink(missing_ok=True)  # another machine
    loaded, log_mel, notes = fine_tuning.load_model(str(file))
    assert not loaded.training
    assert {name: notes[name] for name in NOTES} == NOTES
    assert log_mel.settings["n_mels"] == 20
    x = torch.randn(2, *get_model_input_config(model)["input_size"])
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), model.eval()(x))
    assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"]


def test_a_model_that_would_come_back_as_another_one_is_not_saved(tmp_path):
    file, model = tmp_path / "model.safetensors", made("vit_nano_patch16_224", **NANO)
    model.norm.eps = 10.0  # nothing that timm knows of
    with pytest.raises(ValueError, match="model.safetensors gives back another model, which answers"):
        fine_tuning.save_model(model, file, NOTES)
    model = made("vit_nano_patch16_224", **NANO)
    model.blocks[0].mlp.fc1 = torch.nn.Linear(192, 10)
    model.blocks[0].mlp.fc2 = torch.nn.Linear(10, 192)
    with pytest.raises(ValueError, match="model.safetensors holds no model that save_model can give back"):
        fine_tuning.save_model(model, file, NOTES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": None}, "notes must also have mean"),
        ({"class_names": ["a"]}, "model must be timm's, with 1 classes, got VisionTransformer"),
        ({"remark": np.zeros(3)}, "notes must be text, numbers, lists and dicts"),
    ],
)
def test_notes_that_cannot_be_used_are_refused(tmp_path, changes, message):
    notes = {name: value for name, value in (NOTES | changes).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        fine_tuning.save_model(made("vit_nano_patch16_224", **NANO), tmp_path / "model.safetensors", notes)


def test_a_file_that_is_no_saved_model_is_named(tmp_path):
    (tmp_path / "text.safetensors").write_text("no model")
    save_file({"weight": torch.ones(3)}, tmp_path / "weights.safetensors")
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match=f"{file.name} holds no model that save_model can give back"):
            fine_tuning.load_model(file)
    with pytest.raises(FileNotFoundError):
        fine_tuning.load_model(tmp_path / "nothing.safetensors")


def test_mixed_precision_leaves_the_model_as_it_found_it():
    model, _ = train(replace(RECIPE, epochs=1, precision="bf16"))
    left = {name for name in vars(model) if "forward" in name or "accelerate" in name}
    assert left <= set(vars(small_vit()))
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_precision_ends_with_the_training():
    """Accelerate keeps one for a process: a loop that a reader writes afterwards has its own."""
    mine = Accelerator()
    train(replace(RECIPE, epochs=1, precision="bf16"))
    assert mine.mixed_precision == Accelerator().mixed_precision == "no"


def test_features_may_have_any_float_type_and_the_folder_may_be_text(tmp_path):
    features, _ = small_sounds()
    train(replace(RECIPE, epochs=1), features=features.bfloat16(), folder=str(tmp_path))
    assert [path.name for path in checkpoints.found(tmp_path)] == ["epoch_001"]


def test_a_training_that_fails_leaves_the_memory_layout_as_it_came():
    def fail(model, history):
        raise KeyboardInterrupt

    model = timm.create_model("test_efficientnet", in_chans=1, num_classes=3)
    with pytest.raises(KeyboardInterrupt):
        train(model=model, after_epoch=fail)
    assert all(weight.is_contiguous() for weight in model.state_dict().values())


def test_what_is_measured_after_an_epoch_is_measured_in_float32():
    """Or the last point of a curve differs from the result that is printed below it."""
    seen, (features, _) = [], small_sounds()
    given = {"mean": STATISTICS["mean"], "std": STATISTICS["std"]}
    look = lambda model, history: seen.append(fine_tuning.evaluate(model, features, **given))
    model, _ = train(replace(RECIPE, epochs=2, precision="bf16"), after_epoch=look)
    torch.testing.assert_close(seen[-1], fine_tuning.evaluate(model, features, **given), rtol=0, atol=1e-6)


# figure and explorer of the lesson


def some_rates(layer_decay, warmup):
    """Of the small model: rates of three layers over 20 updates."""
    model, recipe = small_vit(), replace(RECIPE, layer_decay=layer_decay, warmup=warmup)
    optimizer = fine_tuning.make_optimizer(model, recipe)
    scheduler, lines = fine_tuning.make_scheduler(optimizer, recipe, num_updates=20), []
    for update in range(20):
        scheduler.step_update(update)
        lines.append([group["lr"] for group in optimizer.param_groups[::3][:3]])
    return dict(zip(("one", "two", "three"), np.array(lines).T, strict=True))


def test_the_explorer_of_rates_draws_three_lines_at_every_setting(monkeypatch):
    shown = []
    monkeypatch.setattr(explorers, "display", shown.append)
    widget = explorers.explore_rates(some_rates)
    sliders = [child for child in widget.children if hasattr(child, "max")]
    for decay in (sliders[0].min, 75, sliders[0].max):
        for warmup in (sliders[1].min, 10, sliders[1].max):
            shown.clear()
            widget.f(decay, warmup)
            (axes,) = shown[0].axes
            assert f"layer decay {decay / 100:.2f}, warm-up {warmup} %" in axes.get_title()
            assert len(axes.lines) == 3
            highest = [max(line.get_ydata()) for line in axes.lines]
            assert axes.get_ylim()[0] == pytest.approx(max(highest) / 1e4)
            assert (len(set(np.round(highest, 9))) == 1) == (decay == 100)


@pytest.mark.parametrize(("gain", "precision"), [(0.0, "no"), (0.5, "no"), (1.1, "no"), (1.3, "bf16"), (2.2, "bf16")])
def test_a_cpu_trains_in_bf16_where_that_multiplies_faster(monkeypatch, gain, precision):
    monkeypatch.setattr(devices, "bf16_gain", lambda: gain)
    assert devices.fast_precision(torch.device("cpu")) == precision
    assert devices.fast_precision(torch.device("mps")) == "no"


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_the_gain_by_bf16_is_measured(monkeypatch, times):
    """With a clock that stands still but in products."""
    clock = [0.0]
    product = torch.Tensor.__matmul__

    def slow(one, other):
        clock[0] += 1.0 if one.dtype == torch.float32 else 1 / times
        return product(one, other)

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.Tensor, "__matmul__", slow)
    monkeypatch.setattr(devices.time, "perf_counter", lambda: clock[0])
    assert devices.bf16_gain.__wrapped__() == pytest.approx(times)


def test_without_the_instructions_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert devices.bf16_gain.__wrapped__() == 0


def test_a_gpu_that_cannot_be_used_is_not_trained_on_either(monkeypatch):
    asked = []

    def watched(**settings):
        asked.append(settings["cpu"])
        return Accelerator(**settings)

    monkeypatch.setattr(devices, "Accelerator", watched)
    train(replace(RECIPE, epochs=1))
    monkeypatch.setattr(devices.session, "cuda_fault", lambda: "no kernel image")
    train(replace(RECIPE, epochs=1))
    assert asked == [False, False, True, True]


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp16")])
def test_an_older_gpu_trains_in_fp16(monkeypatch, native, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert devices.fast_precision(torch.device("cuda")) == precision


# fp16 with a scaled loss, as on a T4: Accelerate gives a scaler to GPUs alone, and PyTorch has one for the CPU, too


class TakesTheCpuForAGpu(Accelerator):
    """Sets itself up as on a GPU, so that fp16 brings autocast and a scaler, and trains on the CPU."""

    set_up = False

    def __init__(self, **settings):
        super().__init__(**settings)
        self.set_up = "dataloader_config" in settings  # the one that trains; the one before it only looks where it is

    @property
    def device(self):
        return super().device if self.set_up else torch.device("cuda")


def fp16_on_the_cpu(monkeypatch, first_scale):
    """From now on; the list that is returned holds the scaler of each training in fp16."""
    made = []

    def scaler_for_the_cpu(*_, **settings):
        made.append(torch.amp.GradScaler("cpu", init_scale=first_scale, growth_interval=4, **settings))
        return made[-1]

    monkeypatch.setattr(devices, "Accelerator", TakesTheCpuForAGpu)
    monkeypatch.setattr("accelerate.accelerator.get_grad_scaler", scaler_for_the_cpu)
    return made


TOO_LARGE = 2.0**22  # a gradient of float16 ends at 65,504


def test_fp16_with_a_scaled_loss_learns_as_float32_does(monkeypatch):
    scalers, losses, computed_in = fp16_on_the_cpu(monkeypatch, first_scale=2.0**8), {}, set()
    for precision in ("no", "fp16"):
        model = small_vit(0.0)
        model.blocks[0].mlp.fc1.register_forward_hook(lambda _, inputs, output: computed_in.add(output.dtype))
        _, history = train(replace(PLAIN, epochs=8, lr=3e-3, precision=precision), model=model)
        losses[precision] = [row["loss"] for row in history]
    assert computed_in == {torch.float32, torch.float16}
    assert losses["fp16"] == pytest.approx(losses["no"], abs=0.02)
    assert losses["fp16"][-1] < 0.8 * losses["fp16"][0]
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.float32}
    assert [scaler.get_scale() for scaler in scalers] == [2.0**14]  # doubled after each fourth of 24 updates


def test_an_update_whose_gradient_overflows_in_fp16_leaves_the_weights_and_halves_the_scale(monkeypatch):
    scalers, scales, model = fp16_on_the_cpu(monkeypatch, TOO_LARGE), [TOO_LARGE], small_vit()
    weights = [{name: weight.clone() for name, weight in model.state_dict().items()}]

    def look(model, history):  # after each update: an epoch has one
        scales.append(scalers[0].get_scale())
        weights.append({name: weight.clone() for name, weight in model.state_dict().items()})

    train(replace(RECIPE, epochs=12, batch_size=24, precision="fp16"), model=model, after_epoch=look)
    stayed = [all(map(torch.equal, old.values(), new.values())) for old, new in pairwise(weights)]
    assert stayed == [new == old / 2 for old, new in pairwise(scales)]
    assert all(stayed[:3])  # from the first
    assert not all(stayed)


def test_a_run_in_fp16_goes_on_to_the_bit_with_its_scale_even_where_bf16_is_fast(monkeypatch, tmp_path):
    scalers = fp16_on_the_cpu(monkeypatch, TOO_LARGE)
    recipe = replace(RECIPE, epochs=10, batch_size=24, precision="auto")

    def stop(model, history):
        if len(history) == 6:
            raise KeyboardInterrupt  # before its checkpoint

    monkeypatch.setattr(devices, "fast_precision", lambda device: "fp16")
    undisturbed, _ = train(recipe)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder=tmp_path, after_epoch=stop)
    kept = torch.load(tmp_path / "epoch_005" / "scaler.pt")
    assert kept["scale"] < TOO_LARGE
    monkeypatch.setattr(devices, "fast_precision", lambda device: "bf16")
    resumed, _ = train(recipe, folder=tmp_path)
    equal(resumed.state_dict(), undisturbed.state_dict())
    assert scalers[2].state_dict() == scalers[0].state_dict() != kept


def test_labels_may_be_a_view(tmp_path):
    features, labels = small_sounds()
    train(replace(RECIPE, epochs=1), labels=labels.repeat_interleave(2)[::2], folder=tmp_path)
