"""The label store. Nothing outside this package speaks SQL."""

from detectors.labels.store.database import DATABASE_FILE
from detectors.labels.store.label_store import LabelStore

__all__ = ["DATABASE_FILE", "LabelStore"]
