"""What the pages may do: analyse a clip, save a label, list the detectors. No Gradio in here."""

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from demo import messages, messages_maps
from demo.analysis import Analysis, RecentAnalyses
from demo.chat import Chat
from demo.decoding import Decoder
from demo.deletion import Deletion
from demo.examples import JudgedExamples
from demo.judging import READING, Heard, judge_with_all
from demo.limits import Deadline
from demo.loaded import DetectorSource, Loaded, untold
from demo.permission import Permission
from demo.settings import Settings
from demo.talkers import LazySpeaker, lazy_speaker
from demo.uploads import Limits as ImportLimits
from demo.workbench import Workbench
from demo.zerogpu import LentGpu, NoGpuError, lent_gpu
from detectors.audio import SAMPLE_RATE, sha256_of
from detectors.clip_report import now
from detectors.errors import DetectorError
from detectors.labels.mirror import HubMirror, NoMirror
from detectors.labels.records import Label, LabelDraft, LabelError, clean, person_of, regions_within
from detectors.labels.store import LabelStore
from detectors.map_test import NO_MAP, MapTest, effort_for, has_marks, map_test
from detectors.progress import Progress
from detectors.robustness import StressTest, stress_test
from detectors.versions import Versions

logger = logging.getLogger(__name__)

#: Name of the one queue in which everything waits that uses a model.
GPU = "gpu"

#: Seconds that a GPU is asked for to judge a clip, or to put it under stress, besides those for its length.
HEAR_GPU_SECONDS, STRESS_GPU_SECONDS = 15, 45


class Services:
    """One per running app, shared by all visitors. Its methods may be called from any thread.

    read_audio: reads a recording as load_audio does; None: in a process of its own, within the limits of
    `settings`. Raises DetectorError when the device of `settings` is not here.
    """

    def __init__(
        self,
        settings: Settings,
        source: DetectorSource | None = None,
        read_audio: Callable[[str], np.ndarray] | None = None,
        recent: RecentAnalyses | None = None,
        speakers: LazySpeaker | None = None,
    ) -> None:
        self.settings = settings
        self.versions = Versions(settings.data)
        source = source or DetectorSource.of(self.versions)
        self.detectors = Loaded(source, settings.preset)
        self._lent = lent_gpu(settings)  # before torch is asked for a device
        self._device = source.device(settings.device)
        if self._device == "cpu":
            self._lent = None
        self.store = _store(settings)
        self.permission = Permission(settings)
        self._decoder = Decoder(settings.limits)
        self._read_audio = read_audio = read_audio or self._decoder
        self.file_facts = self._decoder.facts
        self._recent = recent or RecentAnalyses()
        self.examples = JudgedExamples()
        limits = ImportLimits(settings.limits.import_files, settings.limits.import_bytes)
        self.workbench = Workbench(self.store, self.judge, self.can_judge, read_audio, limits)
        self.deletion = Deletion(self.store, self._forget)
        if self._lent:
            self._prepare(self._lent)
        self.chat = Chat(
            self.recent,
            speakers or lazy_speaker(self._here),
            settings.limits.answer_seconds,
            self._lent,
            on_gpu=(speakers or lazy_speaker(self._device)) if self._lent else None,
        )

    @property
    def _here(self) -> str:
        """The device that models in this very process can use."""
        return "cpu" if self._lent else self._device

    def close(self) -> None:
        """Send what a mirror of the labels has not sent yet; to be called when the app stops."""
        self._decoder.close()
        self.store.close()

    def tidy(self) -> None:
        """Forget the clips that nobody has asked for in a long time."""
        self._recent.tidy()

    def device(self) -> str:
        """The device that detectors run on here: "cpu" or "cuda"."""
        return self._device

    def can_judge(self) -> bool:
        """True when at least one detector can run here."""
        return any(self.detectors.status(name) is None for name in self.detectors.names())

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Judge a clip and remember the result, so that it can be shown and labelled by its id."""
        missing = {name: self.detectors.status(name) for name in self.detectors.names()}
        in_use = tuple(self.detectors.in_use(name) for name, why in missing.items() if not why)
        detectors = (*missing.values(), *in_use)
        analysis = self.examples.again(path, detectors)
        if analysis is None:
            analysis = self.judge(path, progress)
            # Not when a detector failed that may do better next time.
            if not analysis.notes and all(missing[name] for name in analysis.unavailable):
                self.examples.keep(analysis, detectors)
        self._recent.add(analysis)
        return analysis

    def judge(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Hash, read and judge a clip with every detector that can run.

        A detector that cannot run, or that fails, is listed in `unavailable` and does not stop the
        others. Raises DetectorError when the file is not audio, or when the clip is refused by
        every detector that ran (too short, silent).
        """
        tell = progress or untold
        tell(0.0, messages.READING)
        sha256 = sha256_of(path)  # of the original bytes, before anything else touches them
        wave = self._read_audio(str(path))
        heard, note = self._hear(wave, tell)
        return Analysis(
            id=uuid.uuid4().hex,
            created=now(),
            path=str(path),
            sha256=sha256,
            wave=wave,
            seconds=len(wave) / SAMPLE_RATE,
            preset=self.settings.preset,
            detections=heard.detections,
            versions=heard.versions,
            unavailable=heard.unavailable,
            llr=heard.llr,
            notes=(note,) if note else (),
        )

    def recent(self, analysis_id: str) -> Analysis:
        """A recent analysis. DetectorError when it is unknown or no longer in memory."""
        analysis = self._recent.get(analysis_id)
        if analysis is None:
            raise DetectorError(messages.ANALYSIS_GONE)
        return analysis

    def is_kept(self, analysis_id: str) -> bool:
        """Whether `recent` would give an analysis now."""
        return self._recent.is_kept(analysis_id)

    def is_deleted(self, sha256: str) -> bool:
        """Whether a clip was deleted on request since this app was started."""
        return self._recent.is_deleted(sha256)

    def drop(self, analysis_id: str) -> None:
        """Forget an analysis before its time: its visitor has asked for that."""
        self._recent.drop(analysis_id)

    def stress(self, analysis_id: str, progress: Progress | None = None) -> StressTest:
        """Judge a recent clip again under codecs, noise and the like; once for each analysis.

        Raises DetectorError when the analysis is gone, when no detector judged the clip, or when a detector's
        version has changed since.
        """
        analysis = self.recent(analysis_id)
        if analysis.stress is not None:
            return analysis.stress
        if not analysis.detections:
            raise DetectorError(messages.NOTHING_TO_STRESS)
        found = self._stress(analysis, progress or untold)
        self._recent.renew(analysis_id, stress=found)
        return found

    def _stress(self, analysis: Analysis, tell: Progress) -> StressTest:
        if self._lent:
            tell(0.0, messages.WAITING_FOR_GPU)
            seconds = STRESS_GPU_SECONDS + len(analysis.wave) / SAMPLE_RATE
            try:
                return self._lent.run("stress", seconds, analysis.wave, analysis.versions)
            except NoGpuError:
                tell(0.0, messages.NO_GPU)
        return self._stress_on(self._here, analysis.wave, analysis.versions, tell)

    def _stress_on(
        self, device: str, wave: np.ndarray, versions: dict[str, str], tell: Progress
    ) -> StressTest:
        used = {name: self.detectors.as_used(name, version, device) for name, version in versions.items()}
        judges = {name: detector.analyze for name, detector in used.items()}
        deadline = Deadline(self.settings.limits.job_seconds)

        def stressing(share: float, title: str) -> None:
            deadline.check()
            tell(share, messages.STRESSING.format(title=title))

        with deadline.running():
            return stress_test(wave, judges, stressing, versions)

    def map_test(self, analysis_id: str, progress: Progress | None = None) -> MapTest:
        """Test whether the maps of a recent clip tell where the evidence lies; once for each analysis.

        It runs in this process, on the CPU where GPUs are only lent. Raises DetectorError as `stress` does,
        and when no detector that judged the clip has a map over time.
        """
        analysis = self.recent(analysis_id)
        if analysis.map_test is not None:
            return analysis.map_test
        found = self._map_test(analysis, progress or untold)
        self._recent.renew(analysis_id, map_test=found)
        return found

    def _map_test(self, analysis: Analysis, tell: Progress) -> MapTest:
        tested = [name for name, detection in analysis.detections.items() if has_marks(detection)]
        if not tested:
            raise DetectorError(messages_maps.NOTHING_TO_TEST)
        versions = analysis.versions
        detectors = {name: self.detectors.as_used(name, versions[name], self._here) for name in tested}
        deadline = Deadline(self.settings.limits.job_seconds)

        def testing(share: float) -> None:
            deadline.check()
            tell(share, messages_maps.TESTING)

        with deadline.running():
            effort = effort_for(self._here, self.settings.preset)
            found = map_test(analysis.wave, detectors, effort, testing)
        return replace(found, left_out=dict.fromkeys(set(analysis.detections) - set(tested), NO_MAP))

    def save_label(
        self,
        analysis_id: str,
        *,
        label: str,
        confidence: int,
        annotator: str,
        consent: bool,
        note: str = "",
        attack: str = "",
        licence: str = "",
        regions: Sequence[dict[str, Any]] = (),
        blind: bool = False,
        supersedes: str | None = None,
    ) -> Label:
        """Store a label of an analysed clip with the scores and versions that were shown.

        Raises LabelError when a field is wrong or consent is missing, DetectorError when the
        analysis is no longer in memory. Nothing is stored then.
        """
        analysis = self.recent(analysis_id)
        self._check_correction(supersedes, annotator)
        stretches = regions_within(regions, analysis.seconds)
        draft = LabelDraft(
            audio_sha256=analysis.sha256,
            annotator=clean(annotator),
            label=label,
            confidence=confidence,
            consent=consent,
            regions=stretches,
            attack=clean(attack),
            note=clean(note),
            licence=clean(licence),
            versions=analysis.versions,
            scores=analysis.scores(),
            blind=bool(blind),
            supersedes=supersedes or None,
        )
        return self.store.add(draft, analysis.path)

    def _check_correction(self, label_id: str | None, annotator: str) -> None:
        """On a public page nobody corrects another person's label, whose id they may have seen somewhere."""
        before = self.store.get(label_id) if label_id and self.settings.public else None
        if before and person_of(before.annotator) != person_of(clean(annotator)):
            raise LabelError(messages.NOT_YOUR_LABEL)

    def _forget(self, sha256: str) -> None:
        """A clip was deleted on request: nothing of it stays in memory."""
        self._recent.forget(sha256)
        self.workbench.forget()

    def _prepare(self, lent: LentGpu) -> None:
        """What GPUs are lent for; and every model, as a lent GPU gets a copy of the process as it is then."""
        lent.register("hear", lambda wave: self._detect(self._device, wave, untold))
        lent.register("stress", lambda wave, versions: self._stress_on(self._device, wave, versions, untold))
        for name in self.detectors.names():
            for device in (self._device, self._here):
                try:
                    if self.detectors.status(name) is None:
                        self.detectors.get(name, device, untold)
                except DetectorError as error:
                    logger.warning("%s cannot be loaded on %s: %s", name, device, error)

    def _hear(self, wave: np.ndarray, tell: Progress) -> tuple[Heard, str]:
        """What the detectors say, and what a visitor should know of where they ran, if anything."""
        note = ""
        if self._lent:
            tell(READING, messages.WAITING_FOR_GPU)
            try:
                return self._lent.run("hear", HEAR_GPU_SECONDS + len(wave) / SAMPLE_RATE / 10, wave), ""
            except NoGpuError as error:
                note = str(error)
        return self._detect(self._here, wave, tell), note

    def _detect(self, device: str, wave: np.ndarray, tell: Progress) -> Heard:
        deadline = Deadline(self.settings.limits.job_seconds)
        return judge_with_all(self.detectors, device, wave, deadline, tell)


def _store(settings: Settings) -> LabelStore:
    mirror = HubMirror(settings.data, settings.label_repo) if settings.label_repo else NoMirror()
    return LabelStore(settings.data, settings.database_url, mirror)
