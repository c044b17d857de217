"""The command line of own sounds: inspect, train, predict, serve. Each says in one sentence what is wrong, if anything is."""

import argparse
import sys
from pathlib import Path

from helpers import fine_tuning, own_sounds, session
from helpers.own_sounds import demo


def inspect(options: argparse.Namespace) -> None:
    found = own_sounds.inspect(options.folder, recording=options.recording)
    print(own_sounds.summary(found).to_string(float_format="{:.2f}".format))
    print(found.attrs["recordings"])
    for row in found[(found["problem"] != "") | (found["note"] != "")].itertuples():
        print(f"{row.path}: {'left out, ' + row.problem if row.problem else row.note}")


def train(options: argparse.Namespace) -> None:
    found = own_sounds.inspect(options.folder, recording=options.recording)
    settings = own_sounds.front_end(found)
    seconds = settings["seconds"]
    sounds = own_sounds.from_folder(options.folder, found=found, seconds=seconds, mode=settings["mode"])
    here, how = session.start(), {"name": options.model, "epochs": options.epochs, "most_alarms": options.alarms}
    print(f"{len(sounds)} clips of {seconds} s, {len(sounds.class_names)} classes; {sounds.source}", flush=True)
    notes = own_sounds.train(sounds, settings, options.out, here, **how)
    print(own_sounds.card(notes))
    print(f"{options.out} and {Path(options.out).with_suffix('.md')} are written.")


def predict(options: argparse.Namespace) -> int:
    loaded, failed = fine_tuning.load_model(options.model), 0
    columns = ["file", "start", "end", "class", "probability"]
    print(",".join(columns))
    for file in options.files:
        try:
            heard = own_sounds.timeline(loaded, file).assign(file=file).round(4)
            print(heard.to_csv(columns=columns, index=False, header=False), end="", flush=True)
        except (OSError, ValueError) as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


def serve(options: argparse.Namespace) -> None:
    demo.serve(fine_tuning.load_model(options.model), host=options.host, port=options.port)


def main(argv: list[str] | None = None) -> int:
    purpose = own_sounds.__doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m helpers.own_sounds", description=purpose)
    commands = parser.add_subparsers(dest="command", required=True)
    purposes = {"inspect": "what lies in a folder, and what would be left out", "train": "make a model of a folder"}
    for name, purpose in purposes.items():
        command = commands.add_parser(name, help=purpose)
        command.add_argument("folder", help="folder of class folders, each with sound files at any depth")
        command.add_argument("--recording", metavar="PATTERN", help=r"such as 'speaker(\d+)'; its files stay together")
    command.add_argument("--out", required=True, help="file to write, ending in .safetensors")
    command.add_argument("--epochs", type=int, default=30)
    command.add_argument("--model", metavar="NAME", help="a timm model; the session's ViT unless given")
    command.add_argument("--alarms", type=float, default=1000.0, help="most false alarms an hour in validation (1000)")
    command = commands.add_parser("predict", help="what a model hears in files, as CSV")
    command.add_argument("model")
    command.add_argument("files", nargs="+")
    command = commands.add_parser("serve", help="a page in the browser, with upload and microphone")
    command.add_argument("model")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    command.add_argument("--port", type=int, default=7860)
    options = parser.parse_args(argv)
    try:
        return {"inspect": inspect, "train": train, "predict": predict, "serve": serve}[options.command](options) or 0
    except KeyboardInterrupt:
        print("Stopped. Nothing is lost: the same command goes on from the last whole epoch.", file=sys.stderr)
        return 130
    except (OSError, ValueError, MemoryError, FloatingPointError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
