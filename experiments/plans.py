"""The recorded experiments as lists of runs: what is trained, how, and on which folds and seeds."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from torch import nn

from experiments import changes
from helpers import recorded, session
from helpers.fine_tuning import Recipe

RECIPES = {
    "vit": Recipe(epochs=25, lr=2e-4, layer_decay=0.75, mixup=1.0),
    "convnet": Recipe(epochs=25, lr=1e-3, layer_decay=None, mixup=1.0),
}
RECIPES["deit"] = RECIPES["vit"]
ONE_RATE = replace(RECIPES["vit"], layer_decay=None)
LONG = {"vit": replace(ONE_RATE, epochs=50), "convnet": replace(RECIPES["convnet"], epochs=50)}
SOUND = {"log_floor": 1e-2}  # how deep silence is
DEEP = {"log_floor": 1e-7}  # as in lessons 01-04; what `tuning` compares with it
NANO = session.PROFILES["offline"]
LAPTOP = session.PROFILES["laptop"]
FOLDS = range(1, 6)


@dataclass(frozen=True)
class Run:
    """One training and its test."""

    variant: str
    role: str = "vit"
    pretrained: bool = True
    recipe: Recipe = RECIPES["vit"]
    nano: bool = False  # the embedded model of that role, whatever the session has
    zero_head: bool = True  # lesson 04's; else the head that timm draws
    change: Callable[[nn.Module, str], None] | None = None  # what is done to the new model; it may use the model's name
    in_chans: int = 1
    patch_drop: float = 0.25  # share of the patches that a ViT does not see in training, PaSST's patchout
    sound: dict = field(default_factory=dict)  # settings of the session that differ, beside SOUND
    clips_per_class: int | None = None  # all of them
    inner: bool = False  # tested on validation clips inside the training folds
    fold: int = 1
    seed: int = 0
    kept: bool = False  # whether its logits are kept, for averages
    members: tuple["Run", ...] = ()  # in place of a training: the runs whose probabilities are averaged


FULL = Run("full", kept=True)
CANDIDATES = [  # to replace the recipe's ViT: the first noticed in `recipe`, the second the best in `tuning`; see README.md
    Run("without layer decay", recipe=ONE_RATE, kept=True),
    Run("without layer decay, patches that overlap", recipe=ONE_RATE, change=changes.overlap_patches, kept=True),
]
CANDIDATES.append(  # the last that was tried: better on validation clips than the one before
    replace(CANDIDATES[1], variant=f"{CANDIDATES[1].variant}, 50 epochs", recipe=LONG["vit"])
)


def esc10() -> list[Run]:
    roles = ("vit", "convnet")
    pretrained = [Run("full", role, recipe=RECIPES[role], kept=True) for role in roles]
    scratch = [Run("full", role, False, RECIPES[role]) for role in roles]
    parts = {"frozen": changes.freeze, "half-frozen": changes.freeze_half}
    less = [Run(name, role, recipe=RECIPES[role], change=change) for role in roles for name, change in parts.items()]
    return on_folds(pretrained + scratch + less) + on_folds(pretrained, (1, 2)) + on_folds(scratch, (1, 2))


def nano() -> list[Run]:
    models = [Run("full", role, trained, RECIPES[role], nano=True) for role in RECIPES for trained in (True, False)]
    return on_folds(models, seeds=(0, 1, 2))


def channels() -> list[Run]:
    close = [Run("sum"), Run("mean", change=changes.average_stem)]
    others = [
        Run("copy", change=changes.copy_input, in_chans=3),
        Run("random", change=changes.redraw_stem),
        Run("random, as strong as the sum", change=changes.redraw_stem_as_strong),
    ]
    return on_folds(close + others) + on_folds(close, seeds=(1,))


def position_tables() -> list[Run]:
    close = [
        Run("interpolated"),
        Run("cropped", change=changes.crop_table),
        Run("trapped", change=changes.trap_table),
    ]
    others = [Run("re-initialised", change=changes.redraw_table), Run("shuffled", change=changes.shuffle_table)]
    return on_folds(close + others) + on_folds(close, seeds=(1,))


def recipe() -> list[Run]:
    base, convnet = RECIPES["vit"], RECIPES["convnet"]
    parts = []
    for role, trained in itertools.product(("vit", "convnet"), (True, False)):
        parts.append(Run("whole recipe", role, trained, RECIPES[role]))
        parts.append(Run("timm's head", role, trained, RECIPES[role], zero_head=False, kept=trained))
    parts.append(Run("timm's head, log floor 1e-7", zero_head=False, sound=DEEP))
    parts.append(Run("frozen", "convnet", recipe=convnet, change=changes.freeze))
    parts.append(Run("timm's head, frozen", "convnet", recipe=convnet, zero_head=False, change=changes.freeze))
    differences = {
        "without mixup": {"mixup": 0.0},
        "without masks": {"max_mels": 0, "max_frames": 0},
        "without roll": {"roll": False},
        "without gain": {"gain_db": 0.0},
        "12 epochs": {"epochs": 12},
        "50 epochs": {"epochs": 50},
        "float32": {"precision": "no"},
    }
    parts += [Run(name, recipe=replace(base, **difference)) for name, difference in differences.items()]
    parts += CANDIDATES
    parts.append(Run("all patches", patch_drop=0.0))
    parts.append(Run("16 kHz", sound={"sample_rate": 16_000, "n_fft": 1024, "hop_length": 320}))
    parts.append(Run("100 frames a second", sound={"hop_length": 320}))
    parts.append(Run("patches that overlap", change=changes.overlap_patches))
    three = on_folds([Run("whole recipe"), *CANDIDATES], seeds=(1, 2))
    return on_folds(parts) + three + on_folds(CANDIDATES[1:], seeds=(3, 4))  # those that the averages of five have


def learning_curve() -> list[Run]:
    """Every size gets 200 updates, with ten classes: few clips are seen more often, not less."""
    runs = []
    for count in (2, 4, 8, 16, 32):
        updates_per_epoch = -(-10 * count // RECIPES["vit"].batch_size)
        epochs = replace(RECIPES["vit"], epochs=round(200 / updates_per_epoch))
        runs += [
            Run(f"{count} clips a class", "vit", trained, epochs, clips_per_class=count) for trained in (True, False)
        ]
    return on_folds(runs)


def averaged() -> list[Run]:
    """ViT and ConvNet together, for each seed; three seeds of the one, of the other, of both; so with two candidates.

    Of the second and third candidates five seeds, too; of the third three, alone and with those of the second.
    """
    seeds, runs = (0, 1, 2), []
    overlapping, longer = CANDIDATES[1:]
    convnet = on_folds([Run("full", "convnet", recipe=RECIPES["convnet"], kept=True)], seeds)
    for first in [FULL, *CANDIDATES[:2]]:
        what = "" if first is FULL else f", {first.variant}"
        vit = on_folds([first], seeds)
        pairs = zip(vit, convnet, strict=True)
        runs += [replace(pair[0], variant=f"averaged{what}", members=pair) for pair in pairs]
        for models in (vit, vit + convnet) if what else (vit, convnet, vit + convnet):
            of_fold = {fold: tuple(one for one in models if one.fold == fold) for fold in FOLDS}
            runs += [Run(f"three seeds averaged{what}", members=some, fold=fold) for fold, some in of_fold.items()]
    for fold in FOLDS:
        short, long = (tuple(on_folds([one], range(5), [fold])) for one in (overlapping, longer))
        several = {
            f"five seeds averaged, {overlapping.variant}": short,
            f"three seeds averaged, {longer.variant}": long[:3],
            f"five seeds averaged, {longer.variant}": long,
            f"three seeds averaged, {overlapping.variant}, 25 and 50 epochs": short[:3] + long[:3],
        }
        runs += [Run(variant, members=members, fold=fold) for variant, members in several.items()]
    return runs


WAYS = {  # what `tuning` tried on all folds with both models, the recipe last
    "timm's head, log floor 1e-7": {"zero_head": False, "sound": DEEP},
    "timm's head": {"zero_head": False},
    "recipe": {},
}
NESTED = {  # what each fold chooses from: those three, and for the ViT the candidates that came later
    "chosen in each fold": [],
    "chosen in each fold, layer decay too": CANDIDATES[:1],
    "chosen in each fold, overlap too": CANDIDATES[:2],
    "chosen in each fold, 50 epochs too": CANDIDATES,
}


def nested() -> list[Run]:
    """ViT, ConvNet and both, each fold with what its own validation clips chose, as far as `tuning` has them.

    Of ESC-10 and the laptop profile's models alone.
    """
    runs = []
    for (variant, later), fold in itertools.product(NESTED.items(), FOLDS):
        ways = {
            "vit": WAYS | {one.variant: {"recipe": one.recipe, "change": one.change} for one in later},
            "convnet": WAYS,
        }
        chosen = {role: chosen_by_validation(role, fold, several) for role, several in ways.items()}
        if None in chosen.values():
            continue
        vit, convnet = (
            Run("full", role, fold=fold, kept=True, **{"recipe": RECIPES[role]} | ways[role][name])
            for role, name in chosen.items()
        )
        for members in ((vit,), (vit, convnet)) if later else ((vit,), (convnet,), (vit, convnet)):
            runs.append(Run(variant, members[0].role, members=members, fold=fold))
    return runs


def chosen_by_validation(role: str, fold: int, ways: Iterable[str] = WAYS) -> str | None:
    """The way that is best on the validation clips inside this fold's training folds of ESC-10; of equals the first."""
    rows = recorded.read("tuning")
    # Another profile's models and spectrograms, which a GPU would add to the same file, would choose something else.
    rows = rows[(rows["profile"] == LAPTOP.profile) & (rows["model"] == getattr(LAPTOP, role)) & (rows["fold"] == fold)]
    accuracies = dict(zip(rows["variant"], rows["accuracy"], strict=True))
    if not set(ways) <= accuracies.keys():
        return None
    return max(ways, key=accuracies.get)


def tuning() -> list[Run]:
    """On validation clips inside the training folds; all that was tried to its end, some of it on two of the five folds."""
    vit, old = RECIPES["vit"], WAYS["timm's head, log floor 1e-7"]
    runs = on_folds(
        [
            Run(name, role, recipe=RECIPES[role], **differs)
            for name, differs in WAYS.items()
            for role in ("vit", "convnet")
        ]
        + [Run("timm's head, log floor 1e-7, all patches", patch_drop=0.0, **old)]
        + CANDIDATES
        + [Run("without layer decay, 50 epochs", recipe=LONG["vit"])]
        + [Run("without layer decay, 100 frames a second", recipe=ONE_RATE, sound={"hop_length": 320})]
        + [Run("50 epochs", "convnet", recipe=LONG["convnet"])]
    )
    tried = {
        "half of the patches": {"patch_drop": 0.5},
        "half of the patches, 50 epochs": {"patch_drop": 0.5, "recipe": replace(vit, epochs=50)},
        "rate 5e-4": {"recipe": replace(vit, lr=5e-4)},
        "rate 1e-4": {"recipe": replace(vit, lr=1e-4)},
    }
    some = [Run(f"timm's head, log floor 1e-7, {name}", **old, **differs) for name, differs in tried.items()]
    return [replace(run, inner=True) for run in runs + on_folds(some, folds=(1, 2))]


EXPERIMENTS = {
    "esc10": esc10,
    "nano": nano,
    "channels": channels,
    "positions": position_tables,
    "recipe": recipe,
    "learning_curve": learning_curve,
    "averaged": averaged,
    "tuning": tuning,
    "nested": nested,
}


def on_folds(runs: list[Run], seeds=(0,), folds=FOLDS) -> list[Run]:
    """Each run on each fold; one seed of all before the next, so that a stopped experiment compares like with like."""
    return [
        replace(run, fold=fold, seed=seed, recipe=replace(run.recipe, seed=seed))
        for seed, run, fold in itertools.product(seeds, runs, folds)
    ]
