"""`helpers.backbones`: where weights come from, and one sentence for everything that can be wrong with them."""

import json
import socket
import time
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from helpers import backbones, esc, positions

NANOS = ["vit_nano_patch16_224", "deit_nano_distilled_patch16_224", "convnext_nano_patch4_224"]
NOWHERE = SimpleNamespace(weights=None)


@pytest.fixture
def folder(tmp_path):
    """A folder as $VISION_WEIGHTS names one: a small real architecture of timm with made-up weights, and what it needs."""
    torch.manual_seed(1)
    model = timm.create_model("test_vit", num_classes=1000)
    save_file(model.state_dict(), tmp_path / "test_vit.made_up.safetensors")
    extra = {"model_args": {"proj_drop_rate": 0.1}, "pretrained_cfg_overlay": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (tmp_path / "test_vit.made_up.json").write_text(json.dumps(extra), encoding="utf-8")
    return tmp_path


def one_sentence(error) -> str:
    """The message, having checked that it is one: short, and without a path of this machine."""
    message = str(error.value)
    assert len(message) < 700 and "\n" not in message
    return message


# ------------------------------------------------------------------------------------------------------ names and places
def test_the_nano_models_are_registered_under_names_of_their_own():
    assert set(NANOS) <= set(timm.list_models(pretrained=False))
    assert set(timm.list_models(module="backbones")) == set(NANOS)
    assert "convnext_nano" in timm.list_models(module="convnext")  # timm's own is untouched


def test_places_are_told_in_the_order_in_which_create_looks(folder, monkeypatch):
    monkeypatch.setattr(backbones, "hub_answers", lambda: False)
    monkeypatch.setattr(backbones, "_is_cached", lambda hub_id: hub_id.startswith("timm/resnet18"))
    assert backbones.locate("test_vit", folder) == "VISION_WEIGHTS"
    assert backbones.locate("test_vit.made_up", folder) == "VISION_WEIGHTS"
    assert backbones.locate("test_vit", None) is None
    assert backbones.locate("resnet18", folder) == "cache"
    assert backbones.locate("vit_nano_patch16_224", folder) == "embedded"
    monkeypatch.setattr(backbones, "hub_answers", lambda: True)
    assert backbones.locate("test_vit", None) == "network"


def test_an_offline_hub_is_not_asked(monkeypatch):
    backbones.hub_answers.cache_clear()
    monkeypatch.setattr(backbones.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(esc, "reach", lambda url: pytest.fail("the hub was asked"))
    assert backbones.locate("resnet18.a1_in1k", None) in (None, "cache")
    backbones.hub_answers.cache_clear()


def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(monkeypatch):
    """As behind a network that drops what it is asked: the look-up itself knows no limit."""

    def look_up(*_, **__):
        time.sleep(2)
        raise socket.gaierror

    backbones.hub_answers.cache_clear()
    monkeypatch.setattr(backbones.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(backbones.constants, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(esc, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("NO_PROXY", "*")
    begun = time.monotonic()
    assert backbones.hub_answers() is False
    assert time.monotonic() - begun < 1.5
    backbones.hub_answers.cache_clear()


def test_weights_cut_short_in_the_hubs_cache_are_named_with_the_way_out(monkeypatch, tmp_path):
    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":')
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name, encoding="utf-8")
    monkeypatch.setattr(backbones.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(backbones.constants, "HF_HUB_OFFLINE", True)
    assert backbones.locate("resnet18.a1_in1k", None) == "cache"
    with pytest.raises(OSError) as error:
        backbones.create("resnet18.a1_in1k", NOWHERE)
    assert "remove the folder models--timm--resnet18.a1_in1k" in one_sentence(error)


def test_an_unknown_name_suggests_the_nearest():
    for ask in (lambda name: backbones.create(name, NOWHERE), lambda name: backbones.locate(name, None)):
        with pytest.raises(ValueError) as error:
            ask("vit_nanno_patch16_224")
        assert "vit_nano_patch16_224" in one_sentence(error)


def test_a_model_without_a_hub_says_the_ways_out(monkeypatch):
    monkeypatch.setattr(backbones, "hub_answers", lambda: False)
    monkeypatch.setattr(backbones, "_is_cached", lambda hub_id: False)
    with pytest.raises(OSError) as error:
        backbones.create("convnext_tiny", NOWHERE)
    assert "VISION_WEIGHTS" in one_sentence(error) and "offline" in one_sentence(error)


def test_a_model_that_nobody_trained_is_refused_but_can_be_had_untrained():
    with pytest.raises(ValueError) as error:
        backbones.create("convnext_atto_rms", NOWHERE)
    assert "pretrained=False" in one_sentence(error)
    assert backbones.create("convnext_atto_rms", NOWHERE, pretrained=False, num_classes=3).num_classes == 3


# ---------------------------------------------------------------------------------------------- a folder of the learner's
@pytest.mark.parametrize("name", ["test_vit", "test_vit.made_up"])
def test_a_file_of_the_folder_comes_first_with_what_its_json_says(folder, name):
    model = backbones.create(name, SimpleNamespace(weights=folder), in_chans=1, num_classes=10).eval()
    stored = load_file(folder / "test_vit.made_up.safetensors")
    torch.testing.assert_close(model.patch_embed.proj.weight, stored["patch_embed.proj.weight"].sum(1, keepdim=True))
    assert model.blocks[0].mlp.drop1.p == 0.1
    assert tuple(model.pretrained_cfg["std"]) == (0.25,) * 3
    assert model.num_classes == 10


def test_without_its_weights_a_model_of_the_folder_has_the_layers_that_its_json_says(folder):
    model = backbones.create("test_vit", SimpleNamespace(weights=folder), pretrained=False, num_classes=10)
    assert model.blocks[0].mlp.drop1.p == 0.1
    stored = load_file(folder / "test_vit.made_up.safetensors")
    assert not torch.equal(model.pos_embed, stored["pos_embed"])
    other = backbones.create("test_vit", SimpleNamespace(weights=folder), pretrained=False, proj_drop_rate=0.2)
    assert other.blocks[0].mlp.drop1.p == 0.2


def test_an_own_checkpoint_keeps_its_head_and_its_grid_by_its_json_alone(tmp_path):
    made_with = {"num_classes": 7, "img_size": [112, 448], "in_chans": 1}  # 7 x 28 places
    stored, here = pretrained(tmp_path, "test_vit", made_with)
    torch.nn.init.normal_(stored.pos_embed)
    save_file(stored.state_dict(), tmp_path / "test_vit.made_up.safetensors")
    same = backbones.create("test_vit", here)
    assert all(map(torch.equal, same.state_dict().values(), stored.state_dict().values()))
    other = backbones.create("test_vit", here, img_size=(128, 256), num_classes=7)
    assert torch.equal(other.head.weight, stored.head.weight)
    places = {"old_grid": (7, 28), "new_grid": (8, 16), "num_prefix_tokens": stored.num_prefix_tokens}
    torch.testing.assert_close(other.pos_embed, positions.resample_pos_embed(stored.pos_embed, **places))
    assert torch.equal(backbones.create("test_vit", here, num_classes=3).norm.weight, stored.norm.weight)
    (tmp_path / "test_vit.made_up.json").unlink()
    with pytest.raises(ValueError, match="a json beside it") as error:
        backbones.create("test_vit", here)
    assert "7" in one_sentence(error)


def test_another_model_of_the_folder_goes_on_to_the_next_place(folder):
    assert backbones.create("vit_nano_patch16_224", SimpleNamespace(weights=folder)).embed_dim == 192


def test_two_files_for_one_architecture_must_be_told_apart(folder):
    (folder / "test_vit.other.safetensors").write_bytes((folder / "test_vit.made_up.safetensors").read_bytes())
    with pytest.raises(ValueError) as error:
        backbones.create("test_vit", SimpleNamespace(weights=folder))
    assert "test_vit.made_up" in one_sentence(error) and "test_vit.other" in one_sentence(error)


def test_a_file_cut_short_is_named(folder):
    file = folder / "test_vit.made_up.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(OSError) as error:
        backbones.create("test_vit", SimpleNamespace(weights=folder), num_classes=10)
    assert "test_vit.made_up.safetensors" in one_sentence(error) and str(folder) not in one_sentence(error)


@pytest.mark.parametrize("num_classes", [10, 1000])
def test_weights_of_another_architecture_are_refused_even_with_a_new_head(folder, num_classes):
    (folder / "test_vit.made_up.safetensors").replace(folder / "test_convnext.made_up.safetensors")
    with pytest.raises(ValueError) as error:
        backbones.create("test_convnext", SimpleNamespace(weights=folder), num_classes=num_classes)
    assert "test_convnext" in one_sentence(error)


def test_a_broken_json_is_named(folder):
    (folder / "test_vit.made_up.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError) as error:
        backbones.create("test_vit", SimpleNamespace(weights=folder))
    assert "test_vit.made_up.json" in one_sentence(error)


# ------------------------------------------------------------------------------------------------ stems that timm spoils
SMALL_GEMMA = {"depth": 1, "embed_dim": 48, "num_heads": 2, "position_embedding_size": 100}
STEMS = [  # one for each kind: standardising, the same with "same" padding, linear (colours last, first), of blocks of pixels
    ("test_nfnet", {}),
    ("vit_tiny_r_s16_p8_224", {"depth": 1}),
    ("naflexvit_base_patch16_gap", {"depth": 1, "embed_dim": 48, "num_heads": 2}),
    ("gemma4_vit_167m", SMALL_GEMMA),
    ("tresnet_m", {}),
]


def pretrained(folder, name, model_args):
    """A model with made-up weights, which `create` finds in the folder."""
    torch.manual_seed(0)
    model = timm.create_model(name, **model_args)
    save_file(model.state_dict(), folder / f"{name}.made_up.safetensors")
    (folder / f"{name}.made_up.json").write_text(json.dumps({"model_args": model_args}), encoding="utf-8")
    return model.eval(), SimpleNamespace(weights=folder)


@torch.inference_mode()
@pytest.mark.parametrize(("name", "model_args"), STEMS, ids=[name for name, _ in STEMS])
def test_one_channel_is_answered_as_three_copies_whatever_the_stem(tmp_path, caplog, name, model_args):
    colour, here = pretrained(tmp_path, name, model_args)
    x = torch.randn(1, 1, *((224, 224) if name.startswith("vit") else (96, 96)))
    copies = colour(x.expand(-1, 3, -1, -1))
    for in_chans in (1, 6) if name != "tresnet_m" else (1,):
        model = backbones.create(name, here, in_chans=in_chans).eval()
        assert model.in_chans == in_chans
        error = (model(x.expand(-1, in_chans, -1, -1)) - copies).norm() / copies.norm()
        assert error < 1e-5, (in_chans, error)
    assert "random" not in caplog.text
    untrained = backbones.create(name, here, pretrained=False, in_chans=1)
    assert {key: value.shape for key, value in untrained.state_dict().items()} == {
        key: value.shape for key, value in backbones.create(name, here, in_chans=1).state_dict().items()
    }


def test_a_stem_that_timm_would_draw_anew_is_refused(tmp_path):
    _, here = pretrained(tmp_path, "tresnet_m", {})
    with pytest.raises(ValueError, match="in_chans must be 1 or 3 for 'tresnet_m'"):
        backbones.create("tresnet_m", here, in_chans=2)
    assert backbones.create("tresnet_m", here, pretrained=False, in_chans=2).in_chans == 2


# ----------------------------------------------------------------------------------------------------- the embedded files
@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """The nano models' files moved to where a test may damage them."""
    monkeypatch.setattr(backbones, "NANO", tmp_path)
    return tmp_path / "vit_nano_patch16_224.safetensors"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "pointer", "another"])
def test_a_damaged_nano_file_is_named_with_the_way_to_restore_it(embedded, damage):
    whole = (backbones.Path(backbones.__file__).parent / "nano" / embedded.name).read_bytes()
    contents = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    }
    if damage == "another":
        save_file({"weight": torch.ones(3)}, embedded)
    elif damage != "missing":
        embedded.write_bytes(contents[damage])
    for make in (
        lambda: backbones.create("vit_nano_patch16_224", NOWHERE),
        lambda: timm.create_model("vit_nano_patch16_224", pretrained=True),
    ):
        with pytest.raises(OSError) as error:
            make()
        assert f"helpers/nano/{embedded.name}" in one_sentence(error) and "git checkout" in one_sentence(error)


def test_without_pretrained_no_file_is_needed(embedded):
    assert backbones.create("vit_nano_patch16_224", NOWHERE, pretrained=False, num_classes=5).num_classes == 5
