"""Habits that keep a stranger's file or text from becoming code: looked for in every source."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [*ROOT.glob("*.py"), *(ROOT / "detectors").rglob("*.py"), *(ROOT / "demo").rglob("*.py")]

#: Modules that run code out of files.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
#: Calls that run text as code.
UNSAFE_CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def calls() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Where, what is called, and the keyword arguments as source."""
    for place, node in nodes():
        if isinstance(node, ast.Call):
            keywords = {each.arg or "**": ast.unparse(each.value) for each in node.keywords}
            yield place, ast.unparse(node.func), keywords


def test_no_pickle_is_ever_opened() -> None:
    imported = [
        (place, alias.name)
        for place, node in nodes()
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in [*node.names, ast.alias(getattr(node, "module", None) or "")]
    ]
    assert [each for each in imported if each[1].split(".")[0] in UNSAFE_MODULES] == []
    for place, called, keywords in calls():
        if called == "torch.load":
            assert keywords.get("weights_only") == "True", place
        assert keywords.get("allow_pickle", "False") == "False", place
        assert keywords.get("trust_remote_code", "False") == "False", place


def test_no_text_is_run_as_code() -> None:
    assert [(place, called) for place, called, _ in calls() if called in UNSAFE_CALLS] == []
    for place, _, keywords in calls():
        assert keywords.get("shell", "False") == "False", place


def test_every_message_to_a_visitor_goes_through_one_door() -> None:
    """Gradio shows gr.Error and its like as HTML; demo.pages.refusal makes them text."""
    messages = {"gr.Error", "gr.Warning", "gr.Info"}
    found = [place for place, called, _ in calls() if called in messages]
    assert [place for place in found if not place.startswith("demo/pages/refusal.py")] == []
