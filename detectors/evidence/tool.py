"""Which program made a report, as far as it knows itself."""

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "SpoofLens"
#: Packages whose release can change a score or what a decoder gives.
_PACKAGES = ("torch", "transformers", "peft", "numpy", "scipy", "soxr", "av", "safetensors")
_ROOT = Path(__file__).parents[2]


@lru_cache(1)
def tool_facts() -> dict[str, object]:
    """Name, commit (None when this is no git checkout, with "+ changes" when files differ from it), Python,
    system and the releases of the packages that scores depend on."""
    return {
        "name": NAME,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _release(name) for name in _PACKAGES},
    }


def _commit() -> str | None:
    if not (_ROOT / ".git").exists():  # git would go on to search the folders above
        return None
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{commit} + changes" if commit and changed else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
