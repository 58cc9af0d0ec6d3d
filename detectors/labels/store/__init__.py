"""The label store. Nothing outside this package speaks SQL."""

from detectors.labels.store.label_store import LabelStore

__all__ = ["LabelStore"]
