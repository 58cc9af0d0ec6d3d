"""Every key and score format, and what is said about files that fit none."""

import json
from pathlib import Path

import pytest

from detectors.errors import DetectorError
from detectors.protocols import read_asv_scores, read_paths, read_scores, read_trials

ASVSPOOF_2019 = """\
LA_0039 LA_E_2834763 - A11 spoof
LA_0014 LA_E_8877452 - A14 spoof
LA_0030 LA_E_5849185 - - bonafide
"""
ASVSPOOF_2021_LA = """\
LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval
LA_0020 LA_E_6866159 alaw ita_tx bonafide bonafide notrim eval
LA_0022 LA_E_1066021 none none A08 spoof notrim progress
LA_0023 LA_E_1066022 none none - bonafide trim hidden_track
"""
ASVSPOOF_2021_DF = """\
LA_0043 DF_E_2000026 mp3m4a asvspoof A09 spoof notrim eval traditional_vocoder - - - -
TEF2 DF_E_2000027 low_mp3 vcc2020 - bonafide notrim progress - - - - -
"""
IN_THE_WILD = """\
- 0.wav - - - spoof
- 4.wav - - - bona-fide
- a.b.wav - - - spoof
"""


@pytest.fixture
def write(tmp_path):
    """write(text, name) -> path of a new file; folders in the name are made."""

    def write_file(text: str, name: str = "keys.txt") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


# Keys


def test_asvspoof_2019(write):
    trials = read_trials(write(ASVSPOOF_2019))
    assert trials.format == "ASVspoof 2019"
    assert trials.utt_ids == ["LA_E_2834763", "LA_E_8877452", "LA_E_5849185"]
    assert trials.is_bonafide.tolist() == [False, False, True]
    assert trials.groups == ["A11", "A14", ""]
    assert trials.paths == ["", "", ""]


def test_asvspoof_2021_la_and_its_phases(write):
    path = write(ASVSPOOF_2021_LA, "trial_metadata.txt")
    trials = read_trials(path)
    assert trials.format == "ASVspoof 2021"
    assert trials.is_bonafide.tolist() == [False, True, False, True]
    assert trials.groups == ["A07", "", "A08", ""]
    assert trials.phases == ["eval", "eval", "progress", "hidden"]
    evaluation = read_trials(path, phase="eval")
    assert evaluation.utt_ids == ["LA_E_9332881", "LA_E_6866159"]
    assert evaluation.is_bonafide.tolist() == [False, True]
    assert evaluation.groups == ["A07", ""]


@pytest.mark.parametrize("phase", ["hidden", "hidden_track"])
def test_both_names_of_the_hidden_phase_mean_the_same(write, phase):
    assert read_trials(write(ASVSPOOF_2021_LA), phase=phase).utt_ids == ["LA_E_1066022"]


def test_asvspoof_2021_df_has_more_columns(write):
    trials = read_trials(write(ASVSPOOF_2021_DF))
    assert trials.utt_ids == ["DF_E_2000026", "DF_E_2000027"]
    assert trials.is_bonafide.tolist() == [False, True]
    assert trials.groups == ["A09", ""]


def test_in_the_wild_names_files_so_ids_lose_the_ending_and_paths_are_known(write, tmp_path):
    trials = read_trials(write(IN_THE_WILD))
    assert trials.format == "In-the-Wild"
    assert trials.utt_ids == ["0", "4", "a.b"]
    assert trials.is_bonafide.tolist() == [False, True, False]
    assert trials.groups == ["", "", ""]
    assert trials.paths[0] == str(tmp_path / "0.wav")


def test_csv_with_ids_and_labels_only(write):
    trials = read_trials(write("utt_id,label\na,bonafide\nb,spoof\n", "k.csv"))
    assert (trials.utt_ids, trials.is_bonafide.tolist()) == (["a", "b"], [True, False])
    assert (trials.groups, trials.paths, trials.phases) == (["", ""], ["", ""], ["", ""])


def test_csv_with_paths_sources_and_splits(write, tmp_path):
    text = (
        "path,utt_id,label,split,generator,source\n"
        'audio/1.ogg,x1,bonafide,dev,gt,"Site, A"\n'
        "/data/2.ogg,x2,spoof,dev,vits,Site B\n"
        "audio/3.ogg,x3,spoof,train,vits,Site B\n"
    )
    trials = read_trials(write(text, "sets/manifest.csv"), phase="dev")
    assert trials.utt_ids == ["x1", "x2"]
    assert trials.groups == ["Site, A", "Site B"]
    assert trials.paths == [str(tmp_path / "sets/audio/1.ogg"), "/data/2.ogg"]


def test_csv_column_that_is_blank_gives_way_to_the_next(write):
    trials = read_trials(write("utt_id,label,attack,generator\na,spoof,,vits\n", "k.csv"))
    assert trials.groups == ["vits"]


def test_in_the_wild_meta_csv_takes_ids_from_its_file_column(write):
    trials = read_trials(
        write("file,speaker,label\n0.wav,Alec Guinness,spoof\n1.wav,X,bona-fide\n", "meta.csv")
    )
    assert trials.utt_ids == ["0", "1"]
    assert trials.is_bonafide.tolist() == [False, True]


def test_byte_order_mark_windows_line_ends_and_blank_lines_do_no_harm(tmp_path):
    path = tmp_path / "k.csv"
    path.write_bytes(b"\xef\xbb\xbfUtt_ID,Label\r\na,bonafide\r\n\r\nb,Spoof\r\n")
    assert read_trials(path).utt_ids == ["a", "b"]
    path.write_bytes(ASVSPOOF_2019.replace("\n", "\r\n\r\n").encode())
    assert len(read_trials(path)) == 3


@pytest.mark.parametrize("given", ["", "keys", "keys/LA", "keys/LA/CM"])
def test_keys_may_be_a_folder_of_the_2021_package(write, tmp_path, given):
    write(ASVSPOOF_2021_LA, "keys/LA/CM/trial_metadata.txt")
    write("a b c d e target g eval\n", "keys/LA/ASV/trial_metadata.txt")
    assert len(read_trials(tmp_path / given)) == 4


def test_a_folder_with_several_tracks_is_ambiguous(write, tmp_path):
    write(ASVSPOOF_2021_LA, "keys/LA/CM/trial_metadata.txt")
    write(ASVSPOOF_2021_DF, "keys/DF/CM/trial_metadata.txt")
    with pytest.raises(DetectorError, match=r"several candidates \(DF/CM/trial_metadata.txt, LA/CM/"):
        read_trials(tmp_path / "keys")


def test_a_folder_without_keys(tmp_path):
    with pytest.raises(DetectorError, match=r"holds no CM/trial_metadata\.txt .* give the key file itself"):
        read_trials(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("hello world\n", r"line 1: no known key format\. Expected ASVspoof 2019"),
        ("a b c d fake\n", "line 1: no known key format"),
        ("\n" + ASVSPOOF_2019 + "LA_1 LA_E_1 - - real\n", "line 5: the label is 'real'; expected bonafide"),
        (ASVSPOOF_2019 + "LA_1 LA_E_1 bonafide\n", "line 4: 3 columns; the first line has 5"),
        (
            ASVSPOOF_2019 + "S LA_E_8877452 - - spoof\n",
            "line 4: utterance LA_E_8877452 is there already, on line 2",
        ),
        ("utt_id,label\n", "has a header and nothing below it"),
        ("utt_id,score\na,1\n", "needs the columns label and utt_id or path; it has utt_id, score"),
        ("utt_id,label\na,spoof\nb,maybe\n", "line 3: the label is 'maybe'"),
        ("utt_id,label\na,spoof,x\n", "line 2: 3 columns; the header has 2"),
        ("utt_id,label\na,spoof\n,spoof\n", "line 3: the utterance has no name"),
        ("PK\0\3", "is not a text file"),
    ],
)
def test_bad_keys_name_the_line_and_what_was_expected(write, text, message):
    with pytest.raises(DetectorError, match=message):
        read_trials(write(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DetectorError, match=r"nowhere\.txt cannot be read: No such file"):
        read_trials(tmp_path / "nowhere.txt")


def test_phases_that_do_not_exist(write):
    with pytest.raises(DetectorError, match="no phase 'evil'; they have eval, hidden, progress"):
        read_trials(write(ASVSPOOF_2021_LA), phase="evil")
    with pytest.raises(DetectorError, match=r"\(ASVspoof 2019\) have no phases: leave out --phase"):
        read_trials(write(ASVSPOOF_2019), phase="eval")


# Paths to score


def test_paths_of_a_csv_without_labels(write, tmp_path):
    assert read_paths(write("path\nx/1.wav\ny/1.wav\n", "l.csv")) == [
        ("1", str(tmp_path / "x/1.wav")),
        ("1", str(tmp_path / "y/1.wav")),
    ]
    assert read_paths(write("utt_id,path\nfirst,x/1.wav\n", "l.csv")) == [
        ("first", str(tmp_path / "x/1.wav"))
    ]


def test_paths_of_a_bare_list(write, tmp_path):
    listing = write("clips/a.flac\n/data/b.wav\nLA_E_1\n", "list.txt")
    assert read_paths(listing) == [
        ("a", str(tmp_path / "clips/a.flac")),
        ("b", "/data/b.wav"),
        ("LA_E_1", ""),
    ]


def test_paths_of_protocols(write, tmp_path):
    assert read_paths(write(ASVSPOOF_2019))[0] == ("LA_E_2834763", "")
    assert read_paths(write(IN_THE_WILD))[1] == ("4", str(tmp_path / "4.wav"))


def test_paths_need_a_path_column_and_ids_of_their_own(write):
    with pytest.raises(DetectorError, match="no path column; its columns are utt_id, label"):
        read_paths(write("utt_id,label\na,spoof\n", "l.csv"))
    with pytest.raises(DetectorError, match="line 3: utterance a is there already, on line 2"):
        read_paths(write("utt_id,path\na,1.wav\na,2.wav\n", "l.csv"))


# Scores


def test_score_lines(write):
    table = read_scores(write("a 1.5\nb\t-2e-3\n\nmy clip 3\n"))
    assert table.utt_ids == ["a", "b", "my clip"]
    assert table.scores.tolist() == [1.5, -0.002, 3.0]
    assert table.llrs is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\nb\n", 'line 2: 1 columns; expected "UTT SCORE"'),
        ("utt value\na 1\n", "line 1: the score is 'value'; expected a finite number"),
        ("a 1\nb nan\n", "line 2: the score is 'nan'; expected a finite number"),
        ("a 1\nb -inf\n", "line 2: the score is '-inf'; expected a finite number"),
        ("a 1\nb 2\n\na 3\n", "line 4: utterance a is there already, on line 1"),
    ],
)
def test_bad_score_lines(write, text, message):
    with pytest.raises(DetectorError, match=message):
        read_scores(write(text))


def _jsonl(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_jsonl_scores_leave_out_failed_clips(write):
    text = _jsonl(
        {"path": "x/a.wav", "detector": "sls", "score": 2.0, "llr": 0.5, "error": None},
        {"path": "x/b.wav", "detector": "sls", "score": None, "llr": None, "error": "too short"},
        {"path": "x/c.wav", "utt_id": "C1", "detector": "sls", "score": -1, "llr": -0.25, "error": None},
    )
    table = read_scores(write(text))
    assert table.utt_ids == ["a", "C1"]
    assert table.scores.tolist() == [2.0, -1.0]
    assert table.llrs is not None
    assert table.llrs.tolist() == [0.5, -0.25]


def test_csv_scores(write):
    table = read_scores(
        write("path,utt_id,detector,score,error\nx/a.wav,a,sls,0.5,\nx/b.wav,b,,,too short\n")
    )
    assert (table.utt_ids, table.scores.tolist(), table.llrs) == (["a"], [0.5], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_jsonl({"path": "a.wav", "score": 1}) + "{oops\n", "line 2: not a JSON object"),
        (_jsonl({"path": "a.wav", "score": 1}) + "[1]\n", r"line 2: not a JSON object\."),
        (_jsonl({"path": "a.wav", "score": None, "error": "x"}), "holds no score"),
        (_jsonl({"path": "a", "detector": "sls", "score": 1}, {"path": "a", "detector": "mamba", "score": 1}),
         "holds scores of mamba, sls: evaluate one detector at a time"),
        (_jsonl({"path": "x/a.wav", "score": 1}, {"path": "y/a.wav", "score": 1}), "line 2: utterance a"),
        (_jsonl({"score": 1}), "line 1: neither utt_id nor path says which clip"),
        (_jsonl({"path": "a.wav", "score": "high"}), "line 1: the score is 'high'"),
    ],
)  # fmt: skip
def test_bad_jsonl_scores(write, text, message):
    with pytest.raises(DetectorError, match=message):
        read_scores(write(text))


# ASV scores

ASV_KEYS = """\
LA_0007 LA_E_1 alaw ita_tx bonafide target notrim eval
LA_0008 LA_E_1 alaw ita_tx bonafide nontarget notrim eval
LA_0007 LA_E_2 alaw ita_tx A07 spoof notrim eval
LA_0007 LA_E_3 none none bonafide target notrim hidden_track
"""
ASV_SCORES = "LA_0007 LA_E_1 5.5\nLA_0008 LA_E_1 -4\nLA_0007 LA_E_2 2\nLA_0007 LA_E_3 7\n"


@pytest.mark.parametrize("given", ["", "keys", "keys/LA", "keys/LA/ASV"])
def test_asv_scores_of_the_2021_package(write, tmp_path, given):
    write(ASV_KEYS, "keys/LA/ASV/trial_metadata.txt")
    write(ASV_SCORES, "keys/LA/ASV/ASVTorch_Kaldi/score.txt")
    write(ASVSPOOF_2021_LA, "keys/LA/CM/trial_metadata.txt")
    write("LA_E_9332881 1\n", "keys/LA/CM/LFCC-GMM/score.txt")
    asv = read_asv_scores(tmp_path / given, phase="eval")
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([5.5], [-4.0], [2.0])
    assert read_asv_scores(tmp_path / given).target.tolist() == [5.5, 7.0]


def test_asv_scores_in_another_order_are_matched_by_speaker_and_utterance(write, tmp_path):
    write(ASV_KEYS, "ASV/trial_metadata.txt")
    write("\n".join(reversed(ASV_SCORES.splitlines())), "ASV/ASVtorch_kaldi/score.txt")
    asv = read_asv_scores(tmp_path, phase="eval")
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([5.5], [-4.0], [2.0])


def test_asv_scores_of_2019(write, tmp_path):
    scores = "bonafide target 4.5\nbonafide nontarget -3\nA07 spoof 1\nA08 spoof 2\n"
    file = write(scores, "asv/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
    for given in (file, file.parent, tmp_path):
        asv = read_asv_scores(given)
        assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == (
            [4.5],
            [-3.0],
            [1.0, 2.0],
        )


def test_bad_asv_scores(write, tmp_path):
    with pytest.raises(DetectorError, match="does not exist: give the folder"):
        read_asv_scores(tmp_path / "none")
    with pytest.raises(DetectorError, match="holds neither ASV/trial_metadata"):
        read_asv_scores(tmp_path)
    write(ASV_KEYS, "ASV/trial_metadata.txt")
    with pytest.raises(DetectorError, match=r"has no score\.txt in a folder of its own"):
        read_asv_scores(tmp_path)
    write("LA_0008 LA_E_1 -4\nLA_0007 LA_E_2 2\n", "ASV/k/score.txt")
    with pytest.raises(
        DetectorError, match="lacks 2 of 4 ASV trials, such as speaker LA_0007, utterance LA_E_1"
    ):
        read_asv_scores(tmp_path)
    write("LA_0008 LA_E_1 -4\nLA_0008 LA_E_1 2\n", "ASV/k/score.txt")
    with pytest.raises(DetectorError, match="scores some ASV trial twice"):
        read_asv_scores(tmp_path)
    with pytest.raises(
        DetectorError, match="names ASV trials impostor; expected target, nontarget and spoof"
    ):
        read_asv_scores(write("- target 1\n- impostor 2\n", "asv.txt"))
