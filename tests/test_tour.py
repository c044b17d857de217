"""The tour can be entered at any part: what the parts before it leave is put in place by `catch_up`."""

import ast
import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import clips, fine_tuning, session, spectrograms, synthetic, tour
from tools import notebooks

NOTEBOOK = notebooks.read(notebooks.FOLDER / "00_tour.ipynb")
LAST = 5


def parts():
    """Part -> the sources of its code cells; 0 is what stands before part 1."""
    found, part = {0: []}, 0
    for cell in NOTEBOOK.cells:
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## (\d)\. ", cell.source, re.MULTILINE)
            part = int(headings[-1]) if headings else part
        elif "setup" not in notebooks.tags(cell):
            found.setdefault(part, []).append(cell.source)
    return found


@pytest.fixture(scope="module")
def data():
    """Forty synthetic clips in two folds, four of each class."""
    whole = synthetic.table()
    chosen = (whole["fold"] <= 2) & (whole.groupby(["class_name", "fold"]).cumcount() < 2)
    table, here = whole[chosen].reset_index(drop=True), session.PROFILES["offline"]
    waveforms = [
        clips.resampled(torch.from_numpy(synthetic.clip(path)), synthetic.SAMPLE_RATE, here.sample_rate)
        for path in table["path"]
    ]
    bark = int(np.flatnonzero(table["path"] == synthetic.BARK)[0])
    sounds = clips.Clips("synthetic", here.sample_rate, table, "generated", bark, None, waveforms)
    log_mel = spectrograms.LogMel(**here.log_mel)(sounds.waveforms(here.num_samples))
    train, test = sounds.split(test_fold=1)
    mean, std = spectrograms.fit_statistics(log_mel[train])
    labels, folds = torch.tensor(table["label"].to_numpy()), table["fold"].to_numpy()
    pictures = spectrograms.standardize(log_mel, mean, std)
    return session.Data(sounds, log_mel, pictures, labels, folds, train, test, mean, std)


@pytest.fixture
def run(data, tmp_path, monkeypatch):
    """`run(finished)`: the names that a fresh kernel holds when these parts were caught up with, and all later ones run."""
    here = replace(session.PROFILES["offline"], epochs=1, runs=tmp_path)
    monkeypatch.setattr(session, "start", lambda: here)
    monkeypatch.setattr(session.Session, "load", lambda _: data)

    def run(finished):
        scope = {"display": lambda *_: None}
        imports, catch_up, *opening = parts()[0]
        assert "finished = 0" in catch_up
        late = catch_up.replace("finished = 0", f"finished = {finished}")
        cells = [imports, late, *(opening if finished == 0 else [])]
        for cell in [*cells, *(cell for part in range(finished + 1, LAST + 1) for cell in parts()[part])]:
            exec(compile(cell, "tour", "exec"), scope)
        return scope

    return run


def test_the_tour_has_its_parts():
    assert sorted(parts()) == list(range(LAST + 1))


@pytest.mark.parametrize("finished", range(1, LAST))
def test_one_can_go_on_anywhere(run, finished, monkeypatch):
    monkeypatch.setattr(fine_tuning, "train", lambda *_, **__: [])  # it needs no name that the cells after it do not
    assert "low" in run(finished)


def test_catching_up_makes_what_the_cells_make(run, data):
    scope = run(0)
    made = tour.catch_up(LAST - 1, scope["here"], data)
    assert made.keys() == {"one", "shape", "frozen"}
    assert (made["shape"], made["frozen"]) == (scope["shape"], scope["frozen"])
    weights = scope["one"].state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in made["one"].state_dict().items())
    # what the file of the trained model answers is what the model answers
    bark = [data.sounds.bark]
    logits = fine_tuning.evaluate(scope["tuned"], data.log_mel[bark], mean=data.mean, std=data.std)
    likeliest = data.class_names[logits.argmax()]
    answer = tour.predict(data.sounds.waveforms(scope["here"].num_samples, bark)[0], scope["file"])
    assert next(iter(answer)) == likeliest
    assert answer[likeliest] == pytest.approx(logits.softmax(dim=1).max().item(), abs=1e-5)


@pytest.mark.parametrize("wrong", [-1, LAST, "two"])
def test_there_are_no_more_parts_to_catch_up_with(wrong, data):
    with pytest.raises(ValueError, match="0 to 4"):
        tour.catch_up(wrong, session.PROFILES["offline"], data)


def test_the_riddles_answer_is_right(data):
    pictures, sounds, answer = tour.riddle(data)
    front_end = spectrograms.LogMel(**session.PROFILES["offline"].log_mel)
    found = re.findall(r"^([ABC]) is sound (\d), (\w+)", answer, re.MULTILINE)
    assert {kind for *_, kind in found} == {"dog", "clock", "rain"}
    for letter, number, _ in found:
        log_mel = front_end(clips.fix_length(sounds[int(number) - 1], session.PROFILES["offline"].num_samples)[None])
        picture = spectrograms.standardize(log_mel, data.mean, data.std)[0, 0]
        torch.testing.assert_close(picture, pictures[letter])


def test_the_loop_that_is_read_aloud_is_the_one_that_trains():
    text = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    (shown,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "backward" in block]
    real = [ast.unparse(node) for node in ast.walk(ast.parse(inspect.getsource(fine_tuning.train_one_epoch)))]
    places = [real.index(ast.unparse(line)) for line in ast.parse(shown).body]
    assert len(places) == 5
