"""`python -m tools.results` writes the table of README.md from the recorded runs in `experiments/*.csv`."""

from pathlib import Path

from timm.models import get_arch_name

from helpers import recorded

README = Path(__file__).resolve().parents[1] / "README.md"
LEARNS = {"full": "all", "half-frozen": "second half", "frozen": "head"}
LEARNS |= {"averaged": "all; averaged", "three seeds averaged": "all; 3 seeds averaged"}
LEARNS |= {"chosen in each fold": "all; each fold's validation clips chose how"}
BEST = "without layer decay, patches that overlap"  # on validation clips, see experiments/README.md
LEARNS |= {BEST: f"all; {BEST}", f"three seeds averaged, {BEST}": f"all; 3 seeds averaged, {BEST}"}
LEARNS |= {f"five seeds averaged, {BEST}": f"all; 5 seeds averaged, {BEST}"}
LEARNS |= {f"averaged, {BEST}": f"all; averaged, {BEST}"}
START, END = "<!-- results -->\n", "<!-- end of results -->"


def table() -> str:
    """Mean accuracy on the five official folds of ESC-10, of every model that has been tested on all of them."""
    rows = []
    for name in ("averaged", "nested", "recipe", "esc10", "nano"):
        for (model, pretrained, variant), line in recorded.summary(recorded.read(name)).iterrows():
            shown = [BEST] if name == "recipe" else LEARNS  # the rest, lesson 05 shows
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
