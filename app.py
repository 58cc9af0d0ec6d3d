"""SpoofLens in the browser: `python app.py`, then open the address that it prints."""

import argparse
import os
import signal
import sys

from demo import messages
from demo.cache import Cache
from demo.services import Services
from demo.settings import DEVICES, PRESETS, Settings, SettingsError
from demo.ui import build_demo, launch_options
from detectors.errors import DetectorError
from detectors.labels.records import StoreError
from detectors.steady_memory import keep_memory_steady


def parser() -> argparse.ArgumentParser:
    """The app's arguments; preset, device and data may come from the environment instead."""
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__)
    parser.add_argument("--host", help="address to listen on (default: this machine only, 127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument("--preset", choices=PRESETS, help="model size (SPOOFLENS_PRESET; default: mini)")
    parser.add_argument(
        "--device", choices=DEVICES, help="where models run (SPOOFLENS_DEVICE; default: auto)"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="where labels and their clips are kept (SPOOFLENS_DATA; default: data)",
    )
    parser.add_argument(
        "--share", action="store_true", help="also open a public address through Gradio's relay servers"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Serve the page until it is stopped. Returns 2, with a message, when the settings are unusable."""
    args = parser().parse_args(argv)
    try:
        with Cache(os.environ) as cache:
            return _serve(args, cache)
    except OSError as error:
        return _refuse(messages.CACHE_FOLDER.format(reason=error))


def _serve(args: argparse.Namespace, cache: Cache) -> int:
    keep_memory_steady()
    try:
        settings = Settings.from_env(
            os.environ,
            preset=args.preset,
            device=args.device,
            data=args.data,
            host=args.host,
            share="yes" if args.share else None,
        )
        services = Services(settings)
        demo = build_demo(services)
    except (SettingsError, DetectorError, StoreError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(messages.DATA_FOLDER.format(reason=error))
    signal.signal(signal.SIGTERM, _stop)
    cache.tidy = services.tidy
    cache.watch()
    try:
        options = launch_options(services)
        demo.launch(server_name=args.host, server_port=args.port, share=args.share, **options)
    except OSError:  # Gradio's word for a port that is taken
        return _refuse(messages.PORT_BUSY.format(port=args.port))
    finally:
        services.close()
    return 0


def _stop(_signal: int, _frame: object) -> None:
    """A Space is stopped by SIGTERM, which by itself would end Python without sending the last labels."""
    sys.exit(0)


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
