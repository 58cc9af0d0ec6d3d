"""What may import what, and that the README tells the truth about the files and the tests."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("*.py"), *(ROOT / "detectors").rglob("*.py"), *(ROOT / "demo").rglob("*.py")])


def imports_of(source: str) -> set[str]:
    """Full names of all modules that a source imports anywhere, such as "torch.nn"; for
    `from a import b` both "a" and "a.b", as b may be a module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would pass by these tests"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "__import__",
        ):
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return found


def breaches(files: list[Path], forbidden: set[str]) -> list[str]:
    """ "file imports module" for each import of a forbidden module or of a part of it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imports_of(path.read_text(encoding="utf-8")))
        if any(name == module or name.startswith(module + ".") for module in forbidden)
    ]


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import os\ndef f():\n    from torch import nn\n    import gradio.themes as g\n"
    source += "importlib.import_module('demo.ui')\n"
    assert imports_of(source) == {"os", "torch", "torch.nn", "gradio.themes", "demo.ui"}


@pytest.mark.parametrize(
    ("pattern", "forbidden"),
    [
        ("detectors/**/*.py", {"demo", "app", "gradio"}),
        ("detectors/metrics.py", {"torch", "transformers", "gradio"}),
        ("detectors/calibration.py", {"torch", "transformers", "gradio"}),
        ("detectors/intervals.py", {"torch", "transformers", "gradio"}),
        ("detectors/plots.py", {"torch", "transformers", "gradio", "matplotlib.pyplot"}),
        ("demo/**/*.py", {"app"}),
        ("detectors/labels/**/*.py", {"gradio", "torch", "transformers"}),
        ("demo/figures.py", {"gradio"}),
    ],
)
def test_imports_point_one_way(pattern: str, forbidden: set[str]) -> None:
    files = sorted(ROOT.glob(pattern))
    assert files, f"{pattern} matches no file; this test guards nothing"
    assert breaches(files, forbidden) == []


def test_only_the_store_speaks_sql() -> None:
    store = ROOT / "detectors" / "labels" / "store"
    others = [path for path in SOURCES if store not in path.parents]
    assert breaches(others, {"sqlite3", "sqlalchemy", "psycopg", "sqlite_utils"}) == []
    assert breaches(sorted(store.glob("*.py")), {"sqlalchemy"}) != []


def kept_files() -> list[Path]:
    """Every file that git keeps, or would keep, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this copy is no git checkout")
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def code_blocks(markdown: str) -> list[str]:
    """The fenced blocks of a Markdown text, without their fences."""
    return re.findall(r"^```[^\n]*\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def tree_of(readme: str) -> str:
    trees = [block for block in code_blocks(readme) if "detectors/" in block and "demo/" in block]
    assert trees, "README.md has no file tree: a fenced block that names detectors/ and demo/"
    return "\n".join(trees)


def test_the_readme_shows_every_file(readme: str) -> None:
    """Its tree has what lies at the top and what lies directly in each of the two packages."""
    shown = set(re.findall(r"[\w.\-]+", tree_of(readme)))
    known_anyway = {"README.md", "LICENSE", "__init__.py"}
    kept = kept_files()
    names = {path.parts[0] for path in kept if not path.parts[0].startswith(".")}
    names |= {path.parts[1] for path in kept if path.parts[0] in ("detectors", "demo")}
    assert sorted(names - shown - known_anyway) == []


def test_the_readme_shows_no_module_that_is_gone(readme: str) -> None:
    names = {path.name for path in kept_files()}
    assert sorted(set(re.findall(r"[\w\-]+\.py\b", tree_of(readme))) - names) == []


def test_ci_runs_the_readmes_test_command(readme: str) -> None:
    lines = [line.strip() for block in code_blocks(readme) for line in block.splitlines()]
    commands = [line for line in lines if line.endswith("-m pytest")]
    assert commands, "README.md has no test command: a line in a fenced block that ends in -m pytest"
    assert commands[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
