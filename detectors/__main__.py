"""The command line: `python -m detectors COMMAND ...`."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from detectors.errors import DetectorError

#: Command -> (module with add_arguments and run, what it does). A module is imported only when
#: its command is used, so that help does not wait for torch.
COMMANDS = {
    "score": ("detectors.score", "score files, folders or a protocol"),
    "evaluate": ("detectors.evaluate", "error rates of a score file against its keys"),
    "evaluate-chat": ("detectors.chat.evaluate_chat", "how well the chat's answers keep to the facts"),
    "convert": ("detectors.convert", "turn a released .pth checkpoint into a safetensors folder"),
    "train": ("detectors.train_command", "train a detector or an audio language model"),
    "prepare": ("detectors.llm.prepare", "speech with transcripts, as data for `train audio_llm`"),
    "evaluate-llm": ("detectors.llm.evaluate", "measure how an audio language model answers"),
    "copies": ("detectors.copies", "machine-made copies of human clips, as training material"),
    "assess": ("detectors.assess", "measure trained detectors per source, and calibrate them"),
    "familiar": ("detectors.familiar_command", "measure what clips detectors learnt from are like"),
    "results": ("detectors.results", "the table of what assess measured, from the files it wrote"),
    "robustness": ("detectors.robustness_command", "error rates under codecs, noise, band limits and length"),
    "explain": ("detectors.explain", "whether the detectors' maps tell where the evidence lies"),
    "verify": ("detectors.evidence.verify", "check a report of an evidence package against its clip"),
    "export": ("detectors.export", "what people labelled, in the form that another tool reads"),
    "ask": ("detectors.ask", "ask a question about a clip, answered from what the detectors found"),
    "finetune": ("detectors.finetune", "make a detector better with what people labelled"),
    "benchmark": ("detectors.benchmark.command", "speed and memory, ours and others' ways side by side"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 some inputs failed, 2 unusable arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(arguments[0] if arguments else "").parse_args(arguments)
    command = importlib.import_module(COMMANDS[args.command][0])
    try:
        code: int = command.run(args)
        return code
    except DetectorError as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{args.command}: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`... | head`). Python would complain again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser(command: str) -> argparse.ArgumentParser:
    """All commands by name, with the arguments of the one that is about to be used."""
    parser = argparse.ArgumentParser(
        prog="python -m detectors", description="Detectors of machine-made voices."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        child = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == command:
            found = importlib.import_module(module)
            child.description = found.__doc__
            found.add_arguments(child)
    return parser


if __name__ == "__main__":
    sys.exit(main())
