"""Scoring as a Ray Data job, for corpora past one machine: Ray hands the clips out, `score_clips` scores.

Each worker loads the detectors once and writes the rows of a batch of clips as one Parquet file, so a job
that was stopped goes on where it was. Files, results and this project must be at the same place on every
machine, such as a shared file system. Ray is an optional extra (requirements-corpora.txt).
"""

import hashlib
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from detectors.errors import DetectorError
from detectors.score_parquet import put_rows
from detectors.scoring import Clip, Task, score_clips
from detectors.steady_memory import keep_memory_steady

#: Clips that are handed to a worker at a time and become one Parquet file; a kill loses that much of each.
CLIPS = 256
#: `--ray` without an address.
LOCAL = "local"


def score_with_ray(tasks: Sequence[Task], args: Namespace) -> int:
    """Score the tasks into the Parquet folder `args.out`; the number of clips that failed.

    args: those of the score command. Raises DetectorError when Ray is missing or its cluster is not
    there.
    """
    if not tasks:
        return 0
    ray = connected(args.ray)
    try:
        items = [
            {"utt_id": clip.utt_id, "path": str(clip.path), "detectors": [scorer.name for scorer in scorers]}
            for clip, scorers in tasks
        ]
        workers, each = resources(ray.cluster_resources(), args.device)
        # The last core is the model's own; on a CPU there is one core each, and no processes beside it.
        settings = (args.detector, args.preset, args.checkpoint, args.device, args.out.absolute())
        blocks = max(-(-len(items) // CLIPS), min(workers, len(items)))
        found = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            ScoreBatch,
            batch_size=None,  # a block each
            batch_format="numpy",
            fn_constructor_args=(*settings, each["num_cpus"] - 1),
            compute=ray.data.ActorPoolStrategy(size=min(workers, blocks)),
            **each,
        )
        return _watched(found, len(items))
    finally:
        ray.shutdown()


def connected(address: str) -> Any:
    """The module ray, connected to a cluster, or with one of its own on this machine for "local"."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DetectorError("--ray needs Ray: pip install -r requirements-corpora.txt.") from error
    try:
        ray.init(None if address == LOCAL else address, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise DetectorError(f"No Ray cluster answers at {address} ({error}). Check --ray.") from error
    ray.data.DataContext.get_current().enable_progress_bars = False  # the command has its own
    return ray


def resources(cluster: dict[str, float], device: str) -> tuple[int, dict[str, int]]:
    """How many workers a cluster has room for, one for each GPU or else for each core, and what each gets."""
    cores, gpus = int(cluster.get("CPU", 1)), int(cluster.get("GPU", 0))
    if gpus and device != "cpu":
        return gpus, {"num_gpus": 1, "num_cpus": max(1, cores // gpus)}
    return max(1, cores), {"num_cpus": 1}


class ScoreBatch:
    """A worker: the detectors, loaded once, and a call for each batch of clips.

    name: as --detector. out: folder for the rows. decoders: as in
    `score_clips`.
    """

    def __init__(
        self, name: str, preset: str, checkpoint: Path | None, device: str, out: Path, decoders: int
    ) -> None:
        from detectors.score import load_detectors

        keep_memory_steady()
        self.scorers = {scorer.name: scorer for scorer in load_detectors(name, preset, checkpoint, device)}
        self.out, self.decoders = out, decoders

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """batch: utt_id, path and detectors (names) of clips. Returns path and error ("" when scored)."""
        tasks = [
            (Clip(str(utt_id), Path(str(path))), [self.scorers[name] for name in names])
            for utt_id, path, names in zip(batch["utt_id"], batch["path"], batch["detectors"], strict=True)
        ]
        scored = list(score_clips(tasks, self.decoders))
        # Named after what it holds: should Ray run a batch again, the file takes the place of the first.
        content = "\n".join(f"{clip.path}:{[scorer.name for scorer in wanted]}" for clip, wanted in tasks)
        name = hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        put_rows([row for _, rows in scored for row in rows], self.out / f"scores-{name}.parquet")
        errors = [next((row.error for row in rows if row.error), "") for _, rows in scored]
        return {
            "path": np.array([str(clip.path) for clip, _ in scored]),
            "error": np.array(errors, dtype=str),
        }


def _watched(found: Any, count: int) -> int:
    """Run the job, with a bar on stderr; the number of clips that failed, each of which is named."""
    failed = 0
    with tqdm(total=count, unit="file", desc="scoring with Ray", file=sys.stderr) as bar:
        for batch in found.iter_batches(batch_size=None, batch_format="numpy"):
            for path, error in zip(batch["path"], batch["error"], strict=True):
                if error:
                    tqdm.write(f"{path}: {error}", file=sys.stderr)
                    failed += 1
                bar.update()
    return failed
