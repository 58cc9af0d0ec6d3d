"""YAML files read into plain frozen records."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from detectors.errors import DetectorError

Record = TypeVar("Record")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises DetectorError for a missing or broken file."""
    if not path.is_file():
        raise DetectorError(f"There is no training recipe at {path}.")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise DetectorError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise DetectorError(f"{path} must be a mapping of keys to values.")
    return values


def record(kind: type[Record], values: dict[str, Any], path: Path) -> Record:
    """A dataclass from YAML values; YAML reads 1e-4 as text, so numbers are made numbers.

    Raises DetectorError for no mapping, and naming unknown keys; TypeError or ValueError for a value of the
    wrong kind.
    """
    if not isinstance(values, dict):
        raise DetectorError(f"{path} has {values!r} where keys with values belong.")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise DetectorError(
            f"{path} has unknown keys: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    numbers = {name: f.type for name, f in known.items() if f.type in (int, float)}
    return kind(**{name: numbers[name](v) if name in numbers else v for name, v in values.items()})
