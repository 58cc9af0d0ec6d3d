"""The workbench's and the team's handlers as the page calls them, and what the widget is made of."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from demo import markup, messages, waveform
from demo.pages.team import TeamHandlers
from demo.pages.workbench import WorkbenchHandlers
from demo.services import Services
from demo.workbench import ImportReport
from detectors.labels.agreement import agreement
from tests.demo.fake_detectors import fake_services, write_clip

ORDER = "uncertain"


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """With two clips in the queue, both judged."""
    services = fake_services(tmp_path / "data")
    clips = [write_clip(tmp_path / f"{n}.wav", 2.0 + n) for n in range(2)]
    services.workbench.import_clips(clips, consent=True)
    while services.workbench.judge_next():
        pass
    return services


@pytest.fixture
def handlers(services: Services, tmp_path: Path) -> WorkbenchHandlers:
    return WorkbenchHandlers(services, str(tmp_path / "cache"))


def asked(clip: dict[str, Any], **details: Any) -> Any:
    """An event as the widget triggers it."""
    said = {"label": "spoof", "regions": [], **details}
    return SimpleNamespace(sha256=clip["sha256"], visit=clip["visit"], **said)


def save(
    handlers: WorkbenchHandlers, clip: dict[str, Any], saved: list[str], **changes: Any
) -> tuple[Any, ...]:
    fields = {"name": "Anna", "consent": True, "compare": False, "details": {}} | changes
    return handlers.save(
        fields["name"], ORDER, fields["consent"], fields["compare"], 3, "", "hiss", saved,
        asked(clip, **fields["details"]),
    )  # fmt: skip


def test_scores_leave_the_server_only_when_the_label_is_given(handlers: WorkbenchHandlers) -> None:
    first = handlers.show("Anna", ORDER)
    assert first["gentle"] is True
    assert (first["clip"]["tracks"], first["clip"]["scores"]) == ([], messages.SCORES_HIDDEN)
    told, saved, confidence, attack, note = save(handlers, first["clip"], [])
    assert "The detectors said: Fake-Mamba 0." in told["notice"]
    assert told["clip"]["sha256"] != first["clip"]["sha256"]
    assert told["clip"]["tracks"] == []
    assert (len(saved), confidence, attack, note) == (1, 3, "", "")  # the fields are empty for the next clip
    assert told["progress"]["text"] == "1 of 2 labelled"


def test_a_remembered_name_is_filled_in_but_never_erases_one(handlers: WorkbenchHandlers) -> None:
    clip = handlers.show("Anna", ORDER)["clip"]
    save(handlers, clip, [])
    filled, told = handlers.enter("", ORDER, "Anna")
    assert (filled, told["progress"]["labelled"]) == ("Anna", 1)
    assert handlers.enter("Ben", ORDER, "Anna")[0] == gr.skip()
    assert handlers.enter("", ORDER, "")[0] == gr.skip()


def test_comparing_keeps_the_visit_and_shows_the_windows(handlers: WorkbenchHandlers) -> None:
    clip = handlers.show("Anna", ORDER)["clip"]
    told = save(handlers, clip, [], compare=True)[0]
    assert (told["clip"]["visit"], told["clip"]["saved"]) == (clip["visit"], True)
    assert len(told["clip"]["tracks"]) == 2
    assert "highest" in told["clip"]["tracks"][0]["caption"]
    assert handlers.go_on("Anna", ORDER)["clip"]["sha256"] != clip["sha256"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consent": False}, "tick the box"),
        ({"name": ""}, "name is missing"),
        ({"details": {"label": "x"}}, "not a label"),
    ],
)
def test_a_refusal_leaves_the_clip_and_the_fields_alone(
    handlers: WorkbenchHandlers, changes: dict[str, Any], message: str
) -> None:
    clip = handlers.show("Anna", ORDER)["clip"]
    told, *fields = save(handlers, clip, [], **changes)
    assert message in told["notice"]
    assert "clip" not in told
    assert fields == [gr.skip()] * 4


def test_undo_brings_back_the_clip_with_what_was_said(handlers: WorkbenchHandlers) -> None:
    clip = handlers.show("Anna", ORDER)["clip"]
    region = {"start": 0.5, "end": 1.0, "label": "unsure"}
    saved = save(handlers, clip, [], details={"regions": [region]})[1]
    told, left = handlers.undo("Anna", saved)
    assert left == []
    assert told["clip"]["sha256"] == clip["sha256"]
    assert told["clip"]["said"] == {"label": "spoof", "regions": [region]}
    assert handlers.undo("Anna", left)[0]["notice"] == messages.NOTHING_TO_UNDO


def test_a_clip_that_was_deleted_meanwhile_is_explained(
    handlers: WorkbenchHandlers, services: Services
) -> None:
    clip = handlers.show("Anna", ORDER)["clip"]
    services.store.delete_clip(clip["sha256"], by="Ben", reason="asked for")
    assert "no longer in the store" in save(handlers, clip, [])[0]["notice"]
    assert "no longer in the store" in handlers.reveal("Anna", asked(clip))["notice"]


def test_skipping_all_says_that_the_queue_is_through(handlers: WorkbenchHandlers) -> None:
    for _ in range(2):
        told = handlers.skip("Anna", ORDER, asked(handlers.go_on("Anna", ORDER)["clip"]))
    assert told["clip"] is None
    assert messages.QUEUE_DONE in told["notice"]
    assert handlers.bring_back("Anna", ORDER)["notice"].startswith("2 clips brought back")


def test_the_import_says_what_it_did(handlers: WorkbenchHandlers, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "new.wav", 1.0)
    fields: tuple[str, ...] = ("", "", "CC0", "Anna")
    report, *files = handlers.import_clips([str(clip)], [str(clip)], *fields, True)
    assert "2 clips: 1 new, 1 already here." in report
    assert files == [None, None]
    timer, told = handlers.wake()
    assert (timer.active, messages.JUDGING in told) == (True, True)
    timer, told = handlers.judge()
    assert (timer.active, told) == (False, "")
    for nothing, consent, message in ((None, True, "nothing to add"), ([str(clip)], False, "tick the box")):
        with pytest.raises(gr.Error, match=message):
            handlers.import_clips(nothing, None, *fields, consent)


def test_the_team_settles_one_disagreement_after_the_other(services: Services, tmp_path: Path) -> None:
    for item in services.store.queue("x", "newest"):
        for name, answer in (("Anna", "spoof"), ("Ben", "bonafide")):
            services.workbench.save(
                item.sha256, annotator=name, label=answer, confidence=2, consent=True, note=f"by {name}"
            )
    team = TeamHandlers(services, str(tmp_path / "cache"))
    dropdown, told = team.list_conflicts("Cleo")
    (_, first), (_, second) = dropdown.choices
    assert dropdown.choices[0][0].endswith("Anna machine-made, Ben a human voice")
    assert told["clip"]["tracks"][0]["caption"] == "Anna: machine-made, confidence 2 of 5 · “by Anna”"
    assert team.choose(second, "Cleo")["clip"]["sha256"] == second
    assert len(team.reveal("Cleo", asked(told["clip"]))["clip"]["tracks"]) == 4
    refused = team.settle("Cleo", False, "why", asked(told["clip"]))
    assert "tick the box" in refused[1]["notice"]
    assert refused[2] == "why"
    dropdown, told, note = team.settle("Cleo", True, "why", asked(told["clip"]))
    assert ([sha256 for _, sha256 in dropdown.choices], note) == ([second], "")
    assert first != second
    *_, ruling = services.store.labels()
    assert (ruling.adjudication, ruling.note, ruling.blind) == (True, "why", False)
    _, told, _ = team.settle("Cleo", True, "", asked(told["clip"], label="bonafide"))
    assert (told["clip"], told["notice"]) == (None, f"Settled: a human voice. {messages.NO_CONFLICTS}")
    assert "Cohen’s kappa, anna and ben (2 clips, 0% the same)" in team.figures()


# ---- what the page is made of


def test_texts_of_users_are_escaped() -> None:
    report = ImportReport(0, 0, (("<img src=x>.wav", "<b>"), *[("a", "b")] * 30))
    page = markup.import_report(report)
    assert "<img" not in page
    assert "<b>" not in page
    assert "And 11 more." in page
    assert messages.AGREEMENT_NONE in markup.agreement(agreement([]))


def test_every_key_on_the_list_is_one_that_the_script_knows() -> None:
    keys = (waveform.ASSETS / "keys.js").read_text(encoding="utf-8")
    spelled = {"←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown", "Esc": "Escape"}
    for listed, _ in messages.KEYS:
        for key in listed.split():
            name = spelled.get(key, key.lower() if len(key) == 1 else key)
            name = '" "' if name == "Space" else f'"{name}"' if name == "?" else name
            assert f"\n  {name}: {{ask:" in keys, key


def test_the_script_and_the_template_fit_each_other() -> None:
    """Whatever the script looks up is in the template, and every button has its method."""
    script = waveform.script()
    page = waveform.template(messages.WIDGET, waveform.ACTIONS)
    for name in set(re.findall(r'this\.part\("([\w-]+)"\)', script)):
        assert f'data-part="{name}"' in page, name
    for ask in set(re.findall(r'data-ask="(\w+)"', page)) | set(re.findall(r'ask: "(\w+)"', script)):
        assert f"\n  {ask}(" in script, ask
    for text in set(re.findall(r"this\.texts\.(\w+)", script)):
        assert text in messages.WIDGET, text
    assert "</script" not in script
    assert "http" not in script  # nothing is fetched from elsewhere
    assert "`" not in page  # Gradio reads these two as its own
    assert "{{" not in page
