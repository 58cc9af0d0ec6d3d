"""Records to rows and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, select

from detectors.labels.records import Judgement, Label, QueueItem, regions_from
from detectors.labels.store.tables import clip, judgement

_FROM_JSON = ("versions", "scores")
_FROM_INTEGER = ("consent", "blind", "adjudication")

#: Columns of a clip's newest judgement, named apart from the clip's own.
_JUDGED = ("versions", "scores", "windows", "seconds")


def label_row(record: Label) -> dict[str, Any]:
    """A row of the table `label`."""
    row = {name: getattr(record, name) for name in Label.__dataclass_fields__}
    row["regions"] = json.dumps([asdict(region) for region in record.regions])
    for name in _FROM_JSON:
        row[name] = as_json(row[name])
    for name in _FROM_INTEGER:
        row[name] = int(row[name])
    return row


def label_from(row: Mapping[Any, Any]) -> Label:
    """The label that a row of the table `label` holds."""
    fields = dict(row)
    fields["regions"] = regions_from(json.loads(fields["regions"]))
    for name in _FROM_JSON:
        fields[name] = json.loads(fields[name])
    for name in _FROM_INTEGER:
        fields[name] = bool(fields[name])
    return Label(**fields)


def judgement_row(record: Judgement) -> dict[str, Any]:
    """The columns of `judgement` that say what was judged."""
    return {
        "versions": as_json(record.versions),
        "scores": as_json(record.scores),
        "windows": as_json({name: [dict(w) for w in rows] for name, rows in record.windows.items()}),
        "seconds": float(record.seconds),
    }


def judgement_from(row: Mapping[Any, Any]) -> Judgement:
    """The judgement that a row of the table `judgement` holds."""
    told = {name: row[name] for name in _JUDGED}
    for name in ("versions", "scores", "windows"):
        told[name] = json.loads(told[name])
    return Judgement(**told)


def items() -> Select[Any]:
    """Clips with their newest judgement, as `item_from` reads them."""
    judged = [judgement.c[name].label(f"judged_{name}") for name in _JUDGED]
    return select(clip, *judged).outerjoin(judgement, judgement.c.id == clip.c.judgement_id)


def item_from(row: Mapping[Any, Any]) -> QueueItem:
    """The clip that a row of `items()` holds."""
    known = {name: row[name] for name in QueueItem.__dataclass_fields__ if name != "judgement"}
    if row["judgement_id"] is None:
        return QueueItem(**known, judgement=None)
    judged = judgement_from({name: row[f"judged_{name}"] for name in _JUDGED})
    return QueueItem(**known, judgement=judged)


def as_json(value: Mapping[str, Any]) -> str:
    """One spelling for the same content: sorted keys, plain dicts inside."""
    return json.dumps(value, sort_keys=True, default=dict)
