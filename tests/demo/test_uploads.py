"""What comes out of dropped files and zips, and what is stopped."""

import zipfile
from pathlib import Path

import pytest

from demo.uploads import Arrival, Limits, arrivals


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def taken(paths: list[Path], folder: Path, limits: Limits | None = None) -> list[tuple[str, bytes | str]]:
    """(name, bytes or the reason why not) of each arrival, read while its file is there."""
    return [
        (each.name, each.path.read_bytes() if each.path else each.refusal)
        for each in arrivals(paths, folder, limits)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "unpacking"
    made.mkdir()
    return made


def test_files_and_zips_arrive_in_order(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"A")
    members = {"in/b.MP3": b"B", "__MACOSX/in/._b.mp3": b"-", ".hidden.wav": b"-", "in/c.flac": b"C"}
    dropped = [tmp_path / "a.wav", zip_of(tmp_path / "more.zip", members)]
    assert taken(dropped, folder) == [("a.wav", b"A"), ("b.MP3", b"B"), ("c.flac", b"C")]


def test_what_is_no_sound_file_is_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    dropped = [tmp_path / "notes.txt", zip_of(tmp_path / "z.zip", {"inner.zip": b"", "a.wav": b"A"})]
    (notes, why), (inner, _), (name, data) = taken(dropped, folder)
    assert (notes, inner, name, data) == ("notes.txt", "inner.zip", "a.wav", b"A")
    assert "not a sound file" in str(why)


def test_a_member_cannot_leave_the_folder(tmp_path: Path, folder: Path) -> None:
    zipped = zip_of(tmp_path / "z.zip", {"../../evil.wav": b"E", "/etc/abs.wav": b"F"})
    paths = [each.path for each in arrivals([zipped], folder)]
    assert {path.parent for path in paths if path} == {folder}
    assert not (tmp_path / "evil.wav").exists()


def test_what_comes_out_of_all_zips_is_limited(tmp_path: Path, folder: Path) -> None:
    bomb = zip_of(tmp_path / "bomb.zip", {"a.wav": bytes(600), "b.wav": bytes(10_000_000)})
    other = zip_of(tmp_path / "other.zip", {"c.wav": bytes(500)})
    *got, (name, why), (last, _) = taken([bomb, other], folder, Limits(unpacked=1000))
    assert got == [("a.wav", bytes(600))]
    assert (name, last) == ("bomb.zip", "other.zip")
    assert "more than 1000 bytes came out of the zips" in str(why)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1000


def test_a_zip_that_lies_about_its_sizes_is_counted_by_what_comes_out(tmp_path: Path, folder: Path) -> None:
    path = zip_of(tmp_path / "liar.zip", {"a.wav": bytes(5000)})
    raw = path.read_bytes().replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(raw)
    ((_, outcome),) = taken([path], folder, Limits(unpacked=1000))
    assert outcome == bytes(10) or isinstance(outcome, str)


def test_the_number_of_files_is_limited(tmp_path: Path, folder: Path) -> None:
    zipped = zip_of(tmp_path / "z.zip", {f"{n}.wav": b"x" for n in range(5)})
    *got, (name, why) = taken([zipped], folder, Limits(files=2))
    assert [each for each, _ in got] == ["0.wav", "1.wav"]
    assert name == "2.wav"
    assert "at most 2 sound files" in str(why)


def test_damaged_and_encrypted_zips_say_so(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK not a zip")
    good = zip_of(tmp_path / "bad.zip", {"a.wav": b"A" * 100, "b.wav": b"B"}).read_bytes()
    flagged = bytearray(good)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flagged[good.index(signature) + offset] |= 1  # the first member claims to be encrypted
    (tmp_path / "bad.zip").write_bytes(flagged)
    found = list(arrivals([tmp_path / "no.zip", tmp_path / "bad.zip"], folder))
    assert found[0] == Arrival("no.zip", refusal=found[0].refusal)
    assert "damaged" in found[0].refusal
    assert (found[1].name, found[1].path) == ("a.wav", None)
    assert "encrypted" in found[1].refusal
    assert (found[2].name, found[2].refusal) == ("b.wav", "")  # the rest still arrives
