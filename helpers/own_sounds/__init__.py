"""Lesson 06: your own sounds, from a folder of recordings to a model that names them.

python -m helpers.own_sounds inspect FOLDER
python -m helpers.own_sounds train FOLDER --out MODEL.safetensors
python -m helpers.own_sounds predict MODEL.safetensors FILES...
python -m helpers.own_sounds serve MODEL.safetensors
"""

from helpers.own_sounds.example import example, example_recording
from helpers.own_sounds.folder import BACKGROUND, from_folder, inspect, starts, summary, windows
from helpers.own_sounds.model import (
    NONE,
    alarms,
    answers,
    background_of,
    card,
    choose_threshold,
    curve,
    file_for,
    front_end,
    named,
    picture,
    timeline,
    train,
)
