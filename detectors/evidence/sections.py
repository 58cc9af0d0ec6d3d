"""The report's words, tables and pictures in reading order: what HTML and PDF both lay out."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from detectors.detection import INCONCLUSIVE_LLR, LIKELY_LLR
from detectors.evidence import wording
from detectors.evidence.case import Picture
from detectors.evidence.likelihood import shown
from detectors.step_rates import FIELD as STEPS
from detectors.step_rates import StepRates

#: Rows of a table of windows: a long recording has thousands.
MAX_WINDOWS = 40


@dataclass(frozen=True)
class Text:
    """A paragraph. strong: it says the main thing."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and their values, a line each."""

    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table; all but its first column are numbers or short words."""

    header: list[str]
    rows: list[list[str]]


Block = Text | Facts | Table | Picture


@dataclass(frozen=True)
class Section:
    title: str
    blocks: list[Block]


def plain(text: object) -> str:
    """Text from outside, in one line, without characters that could reorder or hide what stands around it."""
    return "".join(
        " "
        if char.isspace()
        else "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(char)[0] == "C"
        else char
        for char in str(text)
    )


def sections_of(report: dict[str, Any], pictures: Sequence[Picture]) -> list[Section]:
    """The whole report. report: as report.report_of makes it, or as read back from report.json."""
    found = [
        Section("Result", _result(report)),
        Section("Recording", _recording(report)),
        Section("Detectors", _detectors(report)),
        Section("How often such verdicts are wrong", _error_rates(report)),
        Section("Windows", _windows(report)),
        Section("Robustness", _robustness(report)),
        Section("Deletion test of the maps", _deletion_test(report)),
        Section("Labels and notes", _labels(report)),
        Section("Limits", [Text(limit) for limit in report["limits"]]),
        Section("How it was made, and how to check it", _making(report)),
    ]
    drawn = [replace(each, title=plain(each.title), caption=plain(each.caption)) for each in pictures]
    return [*found, Section("Figures", [*drawn])] if drawn else found


def _result(report: dict[str, Any]) -> list[Block]:
    result = report["result"]
    if result is None:
        return [Text(wording.NO_VERDICT, strong=True)]
    favoured = "human over machine-made" if result["favours"] == "bonafide" else "machine-made over human"
    return [
        Text(_verdict(result), strong=True),
        *_abstained(result),
        Text(result["in_words"]),
        Facts(
            [
                ("Log-likelihood ratio", f"{_signed(result['llr'])} (natural log, human over machine-made)"),
                ("Likelihood ratio", f"{shown(result['lr'])} ({favoured})"),
                ("Probability at even odds", f"{_p(result['p_spoof'])} machine-made"),
                ("Proposition “human”", report["propositions"]["bonafide"]),
                ("Proposition “machine-made”", report["propositions"]["spoof"]),
            ]
        ),
    ]


def _verdict(of: dict[str, Any]) -> str:
    """In five steps; reports of earlier versions have three."""
    return wording.STEPS[of["step"]] if "step" in of else wording.VERDICTS[of["verdict"]]


def _abstained(result: dict[str, Any]) -> list[Block]:
    reasons = [wording.REASONS[reason] for reason in result.get("abstained", ())]
    return [Text(wording.ABSTAINED.format(reasons="; ".join(reasons)))] if reasons else []


def _recording(report: dict[str, Any]) -> list[Block]:
    clip = report["clip"]
    file = clip["file"]
    rows = [
        ("File name as given", plain(clip["name"])),
        ("SHA-256 of the original bytes", clip["sha256"]),
        ("Size", f"{file['bytes']:,} bytes"),
        (
            "Sound",
            f"{clip['seconds']:.2f} s decoded, {_stated(file['claimed_seconds'], '.2f', ' s')} by its header",
        ),
        ("Container", plain(file["container"])),
        ("Codec", plain(f"{file['codec']} ({file['codec_name']})")),
        ("Sample rate", _stated(file["sample_rate"], ",", " Hz")),
        ("Channels", plain(f"{file['channels']} ({file['layout']})")),
        ("Sample format", plain(file["sample_format"] or wording.NOT_STATED)),
        ("Bit rate", _stated(file["bit_rate"], ",", " bit/s")),
    ]
    return [Facts(rows + [(f"Tag “{plain(tag)}”", plain(value)) for tag, value in file["tags"].items()])]


def _calibration(fitted: dict[str, float]) -> str:
    score = "log-odds of the score" if fitted.get("of_log_prob") else "score"
    line = f"LLR = {fitted['scale']:.5f} × {score} {_signed(fitted['offset'], 5)}"
    return f"{line}, not beyond ±{fitted['limit']:g}" if "limit" in fitted else line


def _detectors(report: dict[str, Any]) -> list[Block]:
    found: list[Block] = []
    for of in report["detectors"].values():
        fitted = of.get("calibration")
        found.append(Text(of["title"], strong=True))
        found.append(
            Facts(
                [
                    ("Verdict", _verdict(of)),
                    ("LLR", _signed(of["llr"])),
                    ("Probability at even odds", f"{_p(of['p_spoof'])} machine-made"),
                    ("Score", f"{_signed(of['score'])} (higher: more human)"),
                    ("Weights, SHA-256", of["weights_sha256"] or f"begins with {plain(of['version'])}"),
                    (
                        "Calibration",
                        _calibration(fitted) if fitted else wording.NOT_KNOWN,
                    ),
                    *_long(of),
                    ("Method", of["paper"]),
                    ("Device", of["device"]),
                ]
            )
        )
    found += [
        Text(f"{plain(name)} gave no score: {plain(reason)}")
        for name, reason in report["unavailable"].items()
    ]
    return found


def _long(of: dict[str, Any]) -> list[tuple[str, str]]:
    """What counts in a long clip, where it is not the mean."""
    if of.get("mean_llr") is None:
        return []
    return [("Long clip", wording.LONG_CLIP.format(mean_llr=_signed(of["mean_llr"])))]


def _error_rates(report: dict[str, Any]) -> list[Block]:
    header = ["", "on", "real called fake %", "fake called real %", "EER %", "Cllr"]
    rows = []
    named = {of["title"]: of["error_rates"] for of in report["detectors"].values()}
    for title, rates in [("The verdict, all together", report["error_rates"]), *named.items()]:
        if not rates:
            rows.append([title, wording.NOT_MEASURED, "", "", "", ""])
            continue
        for condition, of in rates["conditions"].items():
            numbers = [of["real_called_fake"], of["fake_called_real"], of["eer_pooled"]]
            rows.append([title, condition, *(f"{value:.1f}" for value in numbers), f"{of['cllr']:.3f}"])
    measured = [rates for rates in (report["error_rates"], *named.values()) if rates]
    notes: list[Block] = [Text(text) for text in dict.fromkeys(_measured_on(rates) for rates in measured)]
    return [Table(header, rows), *notes, *_steps(report)]


def _steps(report: dict[str, Any]) -> list[Block]:
    """How many clips of each class got each step from all detectors together."""
    found: list[Block] = []
    for condition, of in (report["error_rates"] or {"conditions": {}})["conditions"].items():
        if not of.get(STEPS):
            continue
        rates = StepRates.of_fields(of[STEPS])
        numbers = {"real_called_fake": rates.real_called_fake, "fake_called_real": rates.fake_called_real}
        told = wording.STEPS_HELP.format(
            leaning=INCONCLUSIVE_LLR, likely=LIKELY_LLR, condition=condition, **numbers
        )
        rows = [
            [words, *map("{} ({:.1f} %)".format, rates.counts[step], rates.shares(step))]
            for step, words in reversed(wording.STEPS.items())
        ]
        found += [Text(told), Table(["Step", "Human clips", "Machine-made clips"], rows)]
    return found


def _measured_on(rates: dict[str, Any]) -> str:
    return wording.RATES.format(bonafide=f"{rates['bonafide']:,}", spoof=f"{rates['spoof']:,}")


def _windows(report: dict[str, Any]) -> list[Block]:
    found: list[Block] = []
    for of in report["detectors"].values():
        windows = of["windows"]
        worst = sorted(windows, key=lambda window: window["llr"])[:MAX_WINDOWS]
        found.append(Text(of["title"], strong=True))
        if len(worst) < len(windows):
            found.append(Text(wording.WORST_WINDOWS.format(count=len(worst), total=len(windows))))
        rows = [
            [f"{w['start']:.2f}–{w['end']:.2f} s", _signed(w["score"]), _signed(w["llr"]), _p(w["p_spoof"])]
            for w in sorted(worst, key=lambda window: window["start"])
        ]
        found.append(Table(["Window", "Score", "LLR", "Machine-made"], rows))
    return found or [Text(wording.NO_VERDICT)]


def _robustness(report: dict[str, Any]) -> list[Block]:
    test = report["robustness"]
    if test is None:
        return [Text(f"Stress test: {wording.NOT_RUN}.")]
    told = wording.HELD.format(**{**test, "llr": _signed(test["llr"])})
    rows = [
        [trial["title"], _signed(trial["llr"]), _p(trial["p_spoof"]), wording.VERDICTS[trial["verdict"]],
         "held" if trial["held"] else "changed"]
        for trial in test["trials"]
    ]  # fmt: skip
    left_out = [
        Text(f"Not tested: {title} ({plain(why).rstrip('.')}).") for title, why in test["left_out"].items()
    ]
    return [Text(told), Table(["Change", "LLR", "Machine-made", "Verdict", ""], rows), *left_out]


def _deletion_test(report: dict[str, Any]) -> list[Block]:
    test = report.get("deletion_test")  # reports of earlier versions have none
    if test is None:
        return [Text(f"Deletion test: {wording.NOT_RUN}.")]
    end = test["start"] + test["seconds"]
    rows = [
        [report["detectors"][name]["title"], wording.MAPS[of["map"]], _signed(of["area"]),
         f"{_signed(of['random_lowest'])} to {_signed(of['random_highest'])}",
         wording.OUTCOMES[of["outcome"]]]
        for name, found in test["detectors"].items()
        for of in found["maps"]
    ]  # fmt: skip
    header = ["Detector", "Map", "Area", "Random orders", "Marked parts matter"]
    told = wording.DELETION.format(start=test["start"], end=end, columns=test["columns"])
    return [Text(told), Table(header, rows)]


def _labels(report: dict[str, Any]) -> list[Block]:
    found: list[Block] = []
    for label in report["labels"]:
        rows = [
            ("Answer", f"{wording.ANSWERS[label['label']]}, confidence {label['confidence']} of 5"),
            ("By", plain(label["annotator"])),
            ("Saved", plain(label["created"])),
            ("Scores", "hidden while answering" if label["blind"] else "seen before answering"),
        ]
        rows += [("Tool named", plain(label["attack"]))] if label["attack"] else []
        rows += [
            (f"{region['start']:.2f}–{region['end']:.2f} s", wording.ANSWERS[region["label"]])
            for region in label["regions"]
        ]
        rows += [("Note", plain(label["note"]))] if label["note"] else []
        found.append(Facts(rows))
    return found or [Text(wording.NONE_SAVED)]


def _making(report: dict[str, Any]) -> list[Block]:
    tool, settings = report["tool"], report["settings"]
    packages = ", ".join(f"{name} {release or '?'}" for name, release in tool["packages"].items())
    return [
        Facts(
            [
                ("Analysed (UTC)", report["analysed"]),
                ("Report made (UTC)", report["created"]),
                ("Program", f"{tool['name']}, commit {tool['commit'] or wording.NOT_KNOWN}"),
                ("Runs on", f"Python {tool['python']}, {tool['system']}; {packages}"),
                ("Device", settings["device"] or wording.NOT_KNOWN),
                ("Preset", settings["preset"]),
                ("Together", settings["fusion"]),
                ("Inconclusive", f"LLR between ±{settings['inconclusive_below_llr']:.3f}"),
                ("To check", f"{wording.VERIFY} {wording.VERIFY_HELP}"),
            ]
        )
    ]


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _p(p_spoof: float) -> str:
    # As on the page: never rounded to a certainty.
    return f"{min(max(p_spoof, 0.01), 0.99):.2f}"


def _stated(value: float | None, form: str, unit: str) -> str:
    return wording.NOT_STATED if value is None else f"{value:{form}}{unit}"
