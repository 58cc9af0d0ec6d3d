"""A stranger at the HTTP door of the running app: each attack must fail."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio import route_utils
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError

from demo.limits import Limits
from demo.settings import Settings
from detectors.audio import sha256_of
from detectors.labels.records import LabelError
from tests.demo.fake_detectors import fake_services, write_clip
from tests.demo.running import RunningApp, serve

TOKEN = "a token that nobody guesses"
REFUSAL = "Only the people who run this page may do that"


@pytest.fixture
def public_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApp]:
    """As strangers reach it: with the limits, and an administrator's token."""
    limits = replace(Limits.public(), guesses=100)
    settings = Settings(data=tmp_path / "data", public=True, admin_token=TOKEN, limits=limits)
    yield from serve(fake_services(tmp_path, settings=settings), tmp_path, monkeypatch)


class Stranger:
    """Talks to the app without its page, as a program of one's own can."""

    def __init__(self, app: RunningApp) -> None:
        self.app = app
        self.session = uuid.uuid4().hex
        self.http = httpx.Client(base_url=app.url, timeout=60)

    def functions(self, *names: str) -> list[int]:
        """The numbers of the page's functions with these names; of all, when none is named."""
        found = [i for i, fn in self.app.demo.fns.items() if fn.fn and (not names or fn.name in names)]
        assert found, f"the page has no {names}"
        return found

    def call(self, function: int, data: list[Any], event: Any = None, session: str = "") -> str:
        """What the app answers, as text: results, or what it says of the failure."""
        asked = {
            "data": data,
            "fn_index": function,
            "session_hash": session or self.session,
            "event_data": event,
        }
        queued = self.app.demo.fns[function].queue
        if not queued:
            return self.http.post("gradio_api/run/predict", json=asked).text
        joined = self.http.post("gradio_api/queue/join", json=asked)
        if joined.status_code != 200:
            return joined.text
        number = joined.json()["event_id"]
        heard = f"gradio_api/queue/data?session_hash={asked['session_hash']}"
        with self.http.stream("GET", heard) as answers:
            for line in answers.iter_lines():
                said = json.loads(line.removeprefix("data: ")) if line else {}
                if said.get("msg") == "process_completed" and said.get("event_id") == number:
                    return json.dumps(said["output"])
        raise AssertionError("the app said nothing")

    def data_for(self, function: int, **values: Any) -> list[Any]:
        """Something for each input; values: by the class name of the component."""
        usual = {"Checkbox": True, "Textbox": "Mallory", "Slider": 0.2, "Dropdown": "newest"}
        inputs = self.app.demo.fns[function].inputs
        return [values.get(type(each).__name__, usual.get(type(each).__name__)) for each in inputs]

    def upload(self, path: Path, name: str = "") -> httpx.Response:
        with path.open("rb") as file:
            return self.http.post("gradio_api/upload", files={"files": (name or path.name, file)})


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


# ---- files that were never uploaded


def hostile_paths(app: RunningApp, tmp_path: Path) -> list[str]:
    database = app.services.settings.data / "labels.sqlite3"
    cache = tmp_path / "cache"
    return [
        "/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd", str(database), "/proc/self/environ",
        f"{cache}/../data/labels.sqlite3", f"{cache}/%2e%2e/%2e%2e/etc/passwd", "app.py", ".", "", "\0",
        str(tmp_path / "secret.wav"), "concat:/etc/passwd|/etc/hosts",
    ]  # fmt: skip


def test_no_function_opens_a_file_that_was_not_uploaded(running_app: RunningApp, tmp_path: Path) -> None:
    stranger = Stranger(running_app)
    secret = write_clip(tmp_path / "secret.wav", seconds=2.0)
    sha256 = sha256_of(secret)
    running_app.services.workbench.import_clips([write_clip(tmp_path / "known.wav", 1.0)], consent=True)
    for function in stranger.functions("analyze", "analyze_here", "import_clips", "find"):
        many = stranger.app.demo.fns[function].name == "import_clips"
        for path in hostile_paths(running_app, tmp_path):
            named = [file(path)] if many else file(path)
            data = stranger.data_for(function, Audio=named, File=named, Textbox="")
            answer = stranger.call(function, data)
            assert "root:" not in answer
            assert sha256 not in answer
            assert "verdict" not in answer
    assert running_app.services.store.clip(sha256) is None


def test_the_file_route_serves_uploads_and_examples_only(running_app: RunningApp, tmp_path: Path) -> None:
    stranger = Stranger(running_app)
    for path in hostile_paths(running_app, tmp_path):
        for route in ("gradio_api/file=", "file=", "gradio_api/file/"):
            answer = stranger.http.get(route + path.replace("\0", "%00"), follow_redirects=True)
            assert answer.status_code in (400, 403, 404, 422), (route, path)
            assert "root:" not in answer.text


NO_HASHES = ("../..", "../../etc/passwd", "/etc/passwd", "", "0" * 64, "%2e%2e", "\0")


@pytest.mark.parametrize("sha256", NO_HASHES)
def test_a_hash_is_no_path(tmp_path: Path, sha256: str) -> None:
    services = fake_services(tmp_path / "data")
    bench = services.workbench
    bench.import_clips([write_clip(tmp_path / "clip.wav", 1.0)], consent=True)
    for ask in (
        lambda: bench.open(sha256, "Mallory", True),
        lambda: bench.wav(sha256),
        lambda: bench.save(sha256, annotator="Mallory", label="spoof", confidence=3, consent=True),
        lambda: services.deletion.delete(sha256, "Mallory", "because"),
    ):
        with pytest.raises(LabelError):
            ask()


def test_an_event_of_the_widget_names_no_path(running_app: RunningApp, tmp_path: Path) -> None:
    stranger = Stranger(running_app)
    clips = [write_clip(tmp_path / "clip.wav", 1.0)]
    running_app.services.workbench.import_clips(clips, consent=True)
    for sha256 in NO_HASHES:
        asked = {"sha256": sha256, "visit": "x", "label": "spoof", "regions": []}
        for function in stranger.functions("save", "reveal", "settle"):
            answer = stranger.call(function, stranger.data_for(function), asked)
            assert "root:" not in answer
            assert "clip.wav" not in answer
    assert running_app.services.store.labels() == []


# ---- addresses


@pytest.fixture
def inside() -> Iterator[tuple[str, list[str]]]:
    """A server that only this machine can reach, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"secret of the inside")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_app_fetches_nothing_for_anybody(running_app: RunningApp, inside: tuple[str, list[str]]) -> None:
    address, asked = inside
    stranger = Stranger(running_app)
    for function in stranger.functions("analyze", "analyze_here", "import_clips", "find"):
        many = stranger.app.demo.fns[function].name == "import_clips"
        urls = [file(path, url=f"{address}/b.wav") for path in ("", "x.wav")]
        for named in (file(f"{address}/a.wav"), *urls):
            data = stranger.data_for(function, Audio=named, File=[named] if many else named, Textbox="")
            assert "secret" not in stranger.call(function, data)
    for route in ("gradio_api/file=", "gradio_api/proxy=", "gradio_api/file/", "file=", "proxy="):
        answer = stranger.http.get(f"{route}{address}/d.wav")
        assert answer.status_code in (400, 403, 404)
    client = Client(running_app.url, verbose=False)
    with pytest.raises(ValidationError, match="Download the file, then upload it"):
        client.predict(file(f"{address}/e.wav"), api_name="/analyze")
    assert asked == []


# ---- what belongs to others


def test_anothers_visit_cannot_be_taken_over(running_app: RunningApp, tmp_path: Path) -> None:
    victim, stranger = Stranger(running_app), Stranger(running_app)
    clip = victim.upload(write_clip(tmp_path / "clip.wav", 2.0)).json()[0]
    (analyze_here,) = victim.functions("analyze_here")
    report = json.loads(victim.call(analyze_here, [file(clip)]))["data"][0]
    shown = victim.functions("show")[0]
    assert report["sha256"] in victim.call(shown, [None])  # the visit itself remembers it
    for forged in (report["analysis_id"], [report["analysis_id"]], {"value": report["analysis_id"]}):
        for function in stranger.functions("show", "draw", "run", "make", "answer", "save"):
            answer = stranger.call(function, stranger.data_for(function, State=forged))
            assert report["sha256"] not in answer
            assert "data:image" not in answer
    for session in ("", "../..", "null", "0" * 32, stranger.session[:-1] + "x"):
        assert report["sha256"] not in stranger.call(shown, [None], session=session or "empty")


def test_an_upload_has_a_name_that_cannot_be_worked_out(running_app: RunningApp, tmp_path: Path) -> None:
    """Whoever has the same file must not learn that it was uploaded here."""
    clip = write_clip(tmp_path / "clip.wav", 1.0)
    (path,) = Stranger(running_app).upload(clip).json()
    folder = Path(path).parent.name
    assert len(folder) >= 32
    for name in ("sha256", "sha1", "md5", "sha512", "blake2b"):
        assert hashlib.new(name, clip.read_bytes()).hexdigest() not in path
    stranger = Stranger(running_app)
    cache = tmp_path / "cache"
    for guess in (cache, cache / folder, cache / sha256_of(clip) / "clip.wav", cache / folder / "other.wav"):
        assert stranger.http.get(f"gradio_api/file={guess}").status_code == 403
    answer = stranger.http.get(f"gradio_api/file={path}")  # who was given the address has the clip
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")


def test_what_is_uploaded_is_never_a_page(running_app: RunningApp, tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    stranger = Stranger(running_app)
    for name in ("page.html", "picture.svg", "script.js", "page.xhtml", "x.wav.html"):
        (path,) = stranger.upload(tmp_path / "evil", name).json()
        headers = stranger.http.get(f"gradio_api/file={path}").headers
        assert headers["content-disposition"].startswith("attachment")
        assert headers["content-type"] == "application/octet-stream"
        assert "sandbox" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_an_upload_stays_in_its_folder(running_app: RunningApp, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.wav", 0.5)
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    stranger = Stranger(running_app)
    for name in ("../../../evil.wav", "..\\..\\evil.wav", "/etc/evil.wav", "a\0b.wav", "." * 300):
        answer = stranger.upload(clip, name)
        for path in answer.json() if answer.is_success else []:
            assert Path(path).resolve().is_relative_to((tmp_path / "cache").resolve())
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before


def test_uploads_and_their_analyses_are_deleted_on_time(running_app: RunningApp, tmp_path: Path) -> None:
    client = Client(running_app.url, verbose=False)
    report = client.predict(handle_file(write_clip(tmp_path / "clip.wav", 1.0)), api_name="/analyze")
    cached = [path for path in (tmp_path / "cache").rglob("clip.wav")]
    assert cached
    route_utils.delete_files_created_by_app(running_app.demo, age=3600)
    assert all(path.exists() for path in cached)
    assert running_app.demo.delete_cache == (1800, 7200)  # and then those above that age go:
    route_utils.delete_files_created_by_app(running_app.demo, age=-1)
    assert not any(path.exists() for path in cached)
    assert running_app.services.store.clip(report["sha256"]) is None  # nothing was kept without consent


# ---- what is the administrators'


PROTECTED = ("figures", "list_conflicts", "choose", "settle", "find", "delete", "export", "use")


def protected_calls(stranger: Stranger, sha256: str) -> list[tuple[int, list[Any], Any]]:
    """A call of every function that is not for strangers, with fitting arguments."""
    asked = {"sha256": sha256, "visit": "x", "label": "spoof", "regions": []}
    fitting = {
        "export": ["csv", "both", 0.2, True],
        "use": [""],
        "find": [sha256, None],
        "choose": [None, "Mallory"],
    }
    # `reveal` is there twice: the second one is the team's.
    functions = [*stranger.functions(*PROTECTED), stranger.functions("reveal")[1]]
    names = [stranger.app.demo.fns[function].name for function in functions]
    assert set(names) == {*PROTECTED, "reveal"}
    return [
        (function, fitting.get(name) or stranger.data_for(function), asked)
        for function, name in zip(functions, names, strict=True)
    ]


@pytest.fixture
def labelled(public_app: RunningApp, tmp_path: Path) -> str:
    """The hash of a clip on which two people disagree."""
    clip = write_clip(tmp_path / "clip.wav", 2.0)
    bench = public_app.services.workbench
    bench.import_clips([clip], consent=True)
    for name, label in (("Anna", "spoof"), ("Bert", "bonafide")):
        bench.save(sha256_of(clip), annotator=name, label=label, confidence=4, consent=True)
    return sha256_of(clip)


@pytest.mark.parametrize("forged", ["", "x-spooflens-admin", "x-forwarded-for", "cookie", "authorization"])
def test_hidden_functions_refuse_strangers(public_app: RunningApp, labelled: str, forged: str) -> None:
    stranger = Stranger(public_app)
    if forged:
        stranger.http.headers[forged] = "127.0.0.1"
    for function, data, event in protected_calls(stranger, labelled):
        assert REFUSAL in stranger.call(function, data, event), public_app.demo.fns[function].name
    store = public_app.services.store
    assert store.clip(labelled) is not None
    assert len(store.labels()) == 2
    assert store.tombstones() == []


def test_the_token_opens_them_by_header_and_for_a_visit(public_app: RunningApp, labelled: str) -> None:
    with pytest.raises(AppError, match=REFUSAL):
        Client(public_app.url, verbose=False).predict(api_name="/export")
    client = Client(public_app.url, verbose=False, headers={"x-spooflens-admin": TOKEN})
    with pytest.raises(AppError, match=r"(?i)export|clip"):  # nothing agreed on, which is another matter
        client.predict(api_name="/export")
    stranger = Stranger(public_app)
    opening = stranger.functions("open")[-1]  # the administrators' field comes last
    (figures,) = stranger.functions("figures")
    assert "Nothing was opened" in stranger.call(opening, ["guess"])
    assert REFUSAL in stranger.call(figures, [])
    assert "tabs are open" in stranger.call(opening, [TOKEN])
    assert "people" in stranger.call(figures, [])
    assert REFUSAL in stranger.call(figures, [], session="another")


def test_their_controls_are_hidden_from_strangers(public_app: RunningApp, running_app: RunningApp) -> None:
    def tabs(app: RunningApp) -> dict[str, bool]:
        parts = httpx.get(f"{app.url}config").json()["components"]
        tabs = [part["props"] for part in parts if part["type"] == "tabitem"]
        return {tab["label"]: tab["visible"] for tab in tabs}

    assert {name for name, visible in tabs(public_app).items() if not visible} == {"Team", "Export"}
    assert all(tabs(running_app).values())


def test_a_stranger_cannot_label_as_somebody_else(
    public_app: RunningApp, labelled: str, tmp_path: Path
) -> None:
    client = Client(public_app.url, verbose=False)
    report = client.predict(handle_file(tmp_path / "clip.wav"), api_name="/analyze")
    annas = next(label for label in public_app.services.store.labels(labelled) if label.annotator == "Anna")
    fields = {"label": "unsure", "confidence": 3, "annotator": "Anna", "consent": True}
    saved = client.predict(analysis_id=report["analysis_id"], **fields, api_name="/label")
    assert saved["annotator"].startswith("Anna (guest ")
    with pytest.raises(AppError, match="Only the person who gave a label can correct it"):
        client.predict(analysis_id=report["analysis_id"], **fields, supersedes=annas.id, api_name="/label")
    stranger = Stranger(public_app)
    for function in stranger.functions("save", "undo"):
        asked = {"sha256": labelled, "visit": "x", "label": "unsure", "regions": []}
        stranger.call(function, stranger.data_for(function, Textbox="Anna", State=[annas.id], Radio=3), asked)
    current = public_app.services.store.labels(labelled, current_only=True)
    assert annas.id in [label.id for label in current]


@pytest.mark.skipif(not find_spec("authlib"), reason="needs gradio[oauth]")
def test_a_forged_sign_in_is_none(tmp_path: Path) -> None:
    """Only Gradio's own cookie, signed with the Space's secret and not expired, makes an administrator."""
    command = [sys.executable, "-m", "tests.demo.signing_in"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    assert REFUSAL not in answers.pop("hers")
    assert len(answers) == 5
    assert all(REFUSAL in answer for answer in answers.values()), answers


# ---- too much


def test_an_upload_beyond_the_limit_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(Limits.public(), file_bytes=100_000)
    settings = Settings(data=tmp_path / "data", public=True, limits=limits)
    for app in serve(fake_services(tmp_path, settings=settings), tmp_path, monkeypatch):
        (tmp_path / "big.wav").write_bytes(os.urandom(300_000))
        refused = Stranger(app).upload(tmp_path / "big.wav")
        assert refused.status_code == 413
        assert "more than 97.7 kB, the most that can be uploaded here. Cut it into parts" in refused.text
        assert list((tmp_path / "cache").rglob("big.wav")) == []


def test_one_visitor_cannot_take_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "data", public=True, limits=replace(Limits.public(), analyses=2))
    clip = write_clip(tmp_path / "clip.wav", 1.0)
    for app in serve(fake_services(tmp_path, settings=settings), tmp_path, monkeypatch):
        client = Client(app.url, verbose=False)
        for _ in range(2):
            client.predict(handle_file(clip), api_name="/analyze")
        with pytest.raises(AppError, match=r"more than 2 analyses in 10 minutes.* Try again in 10 minutes"):
            client.predict(handle_file(clip), api_name="/analyze")


def test_other_sites_cannot_use_a_visitors_browser(running_app: RunningApp) -> None:
    for origin in ("https://evil.example", "null"):
        answer = httpx.get(running_app.url, headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        # A form of another site can send only such types, without asking first.
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            sent = httpx.post(
                f"{running_app.url}gradio_api/call/label",
                content='{"data": []}',
                headers={"origin": origin, "content-type": kind},
            )
            assert not sent.is_success
