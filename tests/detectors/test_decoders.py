"""A pool that decodes: all pieces of all recordings, and nothing that a bad one can bring down."""

import os
import signal
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from detectors import decoders as module
from detectors.audio import SAMPLE_RATE, load_audio, sha256_of
from detectors.decoders import Piece, decoded, pieces_of


def write(path: Path, seconds: float, rate: int = SAMPLE_RATE) -> Path:
    noise = np.random.default_rng(len(path.name)).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(path, noise, rate)
    return path


def gathered(paths: list[Path], decoders: int) -> dict[int, list[Piece]]:
    found = defaultdict(list)
    for place, piece in decoded(paths, decoders):
        found[place].append(piece)
    return found


def test_a_short_recording_is_one_piece(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", 2.0, 44_100)
    (piece,) = pieces_of(path)
    assert piece.last
    assert (piece.error, piece.sha256) == (None, sha256_of(path))
    np.testing.assert_array_equal(piece.wave, load_audio(path))


def test_a_long_recording_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_SECONDS", 5)
    path = write(tmp_path / "a.wav", 23.0)
    pieces = list(pieces_of(path))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert all(5 <= len(piece.wave) / SAMPLE_RATE < 10 for piece in pieces[:-1])
    assert {piece.claimed for piece in pieces} == {23.0}
    np.testing.assert_array_equal(np.concatenate([piece.wave for piece in pieces]), load_audio(path))


def test_what_is_wrong_is_in_the_last_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letter.wav").write_text("Dear Sir or Madam, this is no recording.\n" * 20)
    (piece,) = pieces_of(tmp_path / "letter.wav")
    assert piece.last
    assert piece.sha256
    assert not piece.wave.size
    assert "not a sound file" in (piece.error or "")
    monkeypatch.setattr(module, "stream_audio", lambda path: 1 / 0)
    (piece,) = pieces_of(tmp_path / "letter.wav")
    assert piece.error == "unexpected ZeroDivisionError: division by zero"


@pytest.mark.parametrize("decoders", [0, 1, 3])
def test_every_recording_is_decoded_whatever_the_number_of_decoders(tmp_path: Path, decoders: int) -> None:
    paths = [write(tmp_path / f"{i:0{i + 1}}.wav", 0.5 + i / 10) for i in range(7)]
    paths.insert(3, tmp_path / "gone.wav")
    found = gathered(paths, decoders)
    assert sorted(found) == list(range(8))
    for place, (piece,) in found.items():
        if place == 3:
            assert "gone.wav does not exist" in (piece.error or "")
        else:
            np.testing.assert_array_equal(piece.wave, load_audio(paths[place]))


def test_a_decoder_that_dies_costs_one_file(tmp_path: Path) -> None:
    """A named pipe that nobody writes to holds its decoder fast until it is killed."""
    os.mkfifo(tmp_path / "never.wav")
    paths = [tmp_path / "never.wav", *(write(tmp_path / f"{i}.wav", 0.5) for i in range(3))]
    pool = module._Pool(paths, 2)
    found = {}
    for place, piece in pool.pieces():
        found[place] = piece.error
        if len(found) == 3:  # all others are done
            (stuck,) = pool._busy.values()
            os.kill(stuck.process.pid or 0, signal.SIGKILL)
    assert found.keys() == {0, 1, 2, 3}
    assert "brought its decoder down" in found[0]
    assert {found[place] for place in (1, 2, 3)} == {None}


def test_a_decoder_that_is_stuck_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.2)
    os.mkfifo(tmp_path / "never.wav")
    ((place, piece),) = decoded([tmp_path / "never.wav"], 1)
    assert (place, piece.last) == (0, True)
    assert "took too long" in (piece.error or "")


def test_whoever_stops_early_leaves_no_decoder_behind(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.wav", 0.5) for i in range(40)]
    before = set(threading.enumerate())
    pieces = decoded(paths, 2)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert not [child for child in module.multiprocessing.active_children() if child.is_alive()]


def test_the_reader_never_runs_far_ahead() -> None:
    taken: list[int] = []

    def items():
        for i in range(1_000):
            taken.append(i)
            yield i

    ahead = module._ahead(items(), 4)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + 4 + 2  # handed over, in the queue, on the way in
    assert list(ahead) == list(range(3, 1_000))


def test_an_error_of_the_reader_reaches_the_taker() -> None:
    def items():
        yield 1
        raise ValueError("as it should")

    ahead = module._ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="as it should"):
        next(ahead)
