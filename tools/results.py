"""`python -m tools.results` writes the table of README.md from the recorded runs in `experiments/*.csv`."""

from pathlib import Path

from timm.models import get_arch_name

from helpers import recorded

README = Path(__file__).resolve().parents[1] / "README.md"
LEARNS = {"full": "all", "half-frozen": "second half", "frozen": "head"}
LEARNS |= {"averaged": "all; averaged", "three seeds averaged": "all; 3 seeds averaged"}
LEARNS |= {"chosen in each fold": "all; each fold's validation clips chose how"}
OVERLAP = "without layer decay, patches that overlap"
BEST = (OVERLAP, f"{OVERLAP}, 50 epochs")  # on validation clips, one after the other: see experiments/README.md
LEARNS |= {variant: f"all; {variant}" for variant in BEST}
LEARNS |= {
    f"{some} seeds averaged, {OVERLAP}": f"all; {n} seeds averaged, {OVERLAP}"
    for some, n in (("three", 3), ("five", 5))
}
LEARNS |= {f"three seeds averaged, {BEST[1]}": f"all; 3 seeds averaged, {BEST[1]}"}
LEARNS |= {
    f"three seeds averaged, {OVERLAP}, 25 and 50 epochs": f"all; 3 seeds of each averaged, {OVERLAP}, 25 and 50 epochs"
}
LEARNS |= {f"averaged, {OVERLAP}": f"all; averaged, {OVERLAP}"}
START, END = "<!-- results -->\n", "<!-- end of results -->"


def table() -> str:
    """Mean accuracy on the five official folds of ESC-10, of every model that has been tested on all of them."""
    rows = []
    for name in ("averaged", "nested", "recipe", "esc10", "nano"):
        for (model, pretrained, variant), line in recorded.summary(recorded.read(name)).iterrows():
            shown = BEST if name == "recipe" else LEARNS  # the rest, lesson 05 shows
            if line["folds"] < 5 or variant not in shown:
                continue
            start = "photographs" if pretrained else "nothing"
            learns = LEARNS[variant]
            models = " + ".join(f"`{get_arch_name(one)}`" for one in model.split(" + "))
            seeds = "-" if line["seeds"] == 1 else f"{100 * line['seed_spread']:.1f}"
            rows.append(
                f"| {models} | {start} | {learns} | {recorded.percent(line['accuracy'])} "
                f"| {100 * line['fold_spread']:.1f} | {seeds} ({line['seeds']:.0f}) | {line['minutes']:.1f} |"
            )
    head = ["| model | starts from | learns | accuracy, % | ± folds | ± seeds (number) | minutes a fold |"]
    return "\n".join([*head, "|---|---|---|---|---|---|---|", *rows]) + "\n"


def with_table(text: str) -> str:
    before, rest = text.split(START)
    return before + START + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
