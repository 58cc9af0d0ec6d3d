"""The evaluate command from files to figures, through the command line."""

import json

import numpy as np
import pytest

from detectors.__main__ import main

# Spoofs of A07 are all below the bona fide trials; of the two of A08 one is above three of four.
KEYS = """\
S b1 - - bonafide
S b2 - - bonafide
S b3 - - bonafide
S b4 - - bonafide
S s1 - A07 spoof
S s2 - A07 spoof
S s3 - A08 spoof
S s4 - A08 spoof
"""
SCORES = "s1 -3\ns2 -2\ns3 -1\nb1 1\nb2 2\nb3 3\ns4 3.5\nb4 4\n"


@pytest.fixture
def files(tmp_path):
    """(score file, key file) with an EER that can be counted by eye."""
    scores, keys = tmp_path / "scores.txt", tmp_path / "keys.txt"
    scores.write_text(SCORES)
    keys.write_text(KEYS)
    return scores, keys


def evaluate_json(capsys, *arguments) -> dict:
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_holds_the_counted_figures(files, capsys):
    scores, keys = files
    report = evaluate_json(capsys, scores, "--keys", keys)
    assert (report["bonafide"], report["spoof"]) == (4, 4)
    # At score 2 one bona fide trial (b1) is rejected and one spoof (s4) accepted.
    assert report["eer"] == 25.0
    assert report["eer_threshold"] == 2.0
    # At 0 no bona fide trial is rejected and s4 accepted: 0.5 / 4, over 0.5.
    assert report["min_dcf"] == pytest.approx(0.25)
    assert (report["threshold"], report["miss_rate"], report["false_alarm_rate"]) == (0.0, 0.0, 25.0)
    # ln(1 + e^-x) of bona fide 1 2 3 4 and ln(1 + e^x) of spoof -3 -2 -1 3.5, in bits
    bonafide = np.log2(1 + np.exp([-1, -2, -3, -4])).mean()
    spoof = np.log2(1 + np.exp([-3, -2, -1, 3.5])).mean()
    assert report["cllr"] == pytest.approx((bonafide + spoof) / 2)
    assert report["cllr_of"] == "score"
    assert report["min_tdcf"] is None


def test_clips_of_one_source_are_also_compared_with_each_other(tmp_path, capsys):
    # The page's humans score below all of the farm's machines, but above its own, five times out of six.
    page = (
        [("bonafide", 1.0 + i) for i in range(6)] + [("spoof", -1.0 - i) for i in range(4)] + [("spoof", 9.0)]
    )
    page.append(("spoof", 0.0))
    farm = [("spoof", 100.0 + i) for i in range(9)]
    rows = [(f"p{i}", *row, "page") for i, row in enumerate(page)]
    rows += [(f"f{i}", *row, "farm") for i, row in enumerate(farm)]
    rows += [(f"n{i}", "bonafide", 50.0, "") for i in range(9)]
    keys, scores = tmp_path / "keys.csv", tmp_path / "scores.txt"
    keys.write_text("utt_id,label,source\n" + "".join(f"{u},{label},{s}\n" for u, label, _, s in rows))
    scores.write_text("".join(f"{u} {score}\n" for u, _, score, _ in rows))
    report = evaluate_json(capsys, scores, "--keys", keys)
    assert report["within_sources"] == {"area": pytest.approx(5 / 6), "sources": 1}
    assert main(["evaluate", str(scores), "--keys", str(keys)]) == 0
    assert "0.8333 area under the ROC" in capsys.readouterr().out


def test_sources_with_few_clips_of_a_class_are_not_compared_within(files, capsys):
    scores, keys = files
    assert evaluate_json(capsys, scores, "--keys", keys)["within_sources"] is None


def test_each_source_stands_against_all_bona_fide_trials(files, capsys):
    scores, keys = files
    report = evaluate_json(capsys, scores, "--keys", keys)
    # A08: at score 3.5 three of four bona fide are rejected and half accepted, at 3 half and half.
    assert report["per_source"] == {"A07": {"eer": 0.0, "spoof": 2}, "A08": {"eer": 50.0, "spoof": 2}}
    assert report["macro_eer"] == 25.0


def test_text_gives_counts_eer_and_the_table_on_stdout_only(files, capsys):
    scores, keys = files
    assert main(["evaluate", str(scores), "--keys", str(keys), "--threshold", "2.5"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "Protocol    ASVspoof 2019\n" in captured.out
    assert "Trials      4 bona fide, 4 spoof\n" in captured.out
    assert "EER         25.00 %  (at score 2); 95 % interval 0.00 - 75.00\n" in captured.out
    assert "50.00 % of bona fide rejected, 25.00 % of spoof accepted\n" in captured.out
    assert "bits of the given scores, read as natural-log LLRs" in captured.out
    assert "A07                     2    0.00  0.00 - 0.00\n" in captured.out
    assert "A08                     2   50.00  0.00 - 100.00\n" in captured.out
    assert "\nMean over 2             4   25.00  0.00 - " in captured.out
    assert "Each source stands against all 4 bona fide trials. Intervals: 1000 bootstrap" in captured.out
    assert "As they are" not in captured.out
    assert "t-DCF" not in captured.out


def test_json_has_the_intervals_of_every_eer(files, capsys):
    scores, keys = files
    report = evaluate_json(capsys, scores, "--keys", keys)
    # A07 lies apart from all bona fide trials however they are drawn; A08 may be drawn as s3 or s4 only.
    assert report["per_source_intervals"] == {"A07": [0.0, 0.0], "A08": [0.0, 100.0]}
    assert report["eer_interval"][0] == 0.0 < 25.0 < report["eer_interval"][1]
    assert report["macro_eer_interval"][0] == 0.0 < 25.0 < report["macro_eer_interval"][1]
    stated = (report["interval_percent"], report["interval_resamples"], report["interval_seed"])
    assert stated == (95, 1000, 1234)
    assert report["without_shortcuts"] is None
    fewer = evaluate_json(capsys, scores, "--keys", keys, "--resamples", 7, "--seed", 3)
    assert (fewer["interval_resamples"], fewer["interval_seed"]) == (7, 3)


def test_no_resamples_are_refused(files, capsys):
    assert main(["evaluate", str(files[0]), "--keys", str(files[1]), "--resamples", "0"]) == 2
    assert "at least 1 resample, not 0" in capsys.readouterr().err


def test_scores_without_shortcuts_stand_beside_the_others(files, tmp_path, capsys):
    scores, keys = files
    without = tmp_path / "without.txt"
    without.write_text(SCORES.replace("s4 3.5", "s4 0.5"))
    both = evaluate_json(capsys, scores, "--keys", keys, "--without-shortcuts", without)
    alone = evaluate_json(capsys, without, "--keys", keys)
    second = both.pop("without_shortcuts")
    assert second == {name: value for name, value in alone.items() if name != "without_shortcuts"}
    assert (both["eer"], second["eer"], second["per_source"]["A08"]) == (25.0, 0.0, {"eer": 0.0, "spoof": 2})
    assert main(["evaluate", str(scores), "--keys", str(keys), "--without-shortcuts", str(without)]) == 0
    printed = capsys.readouterr().out
    assert "\n\nAs they are\nEER         25.00 %" in printed
    assert "\n\nShortcuts removed\nEER         0.00 %" in printed
    assert "A08                     2   50.00  0.00 - 100.00      0.00  0.00 - 0.00\n" in printed


def test_scores_without_shortcuts_must_be_of_the_same_trials(files, tmp_path, capsys):
    without = tmp_path / "without.txt"
    without.write_text(SCORES.replace("s4 3.5\n", ""))
    where = [str(files[0]), "--keys", str(files[1]), "--without-shortcuts", str(without)]
    assert main(["evaluate", *where]) == 2
    assert "1 of 8 trials in the keys have no score (s4)" in capsys.readouterr().err


def test_plots_are_drawn_on_request_and_named_on_stderr(files, tmp_path, capsys):
    folder = tmp_path / "new" / "plots"
    report = evaluate_json(capsys, files[0], "--keys", files[1])
    assert main(["evaluate", str(files[0]), "--keys", str(files[1]), "--json", "--plots", str(folder)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == report
    assert sorted(path.name for path in folder.iterdir()) == ["det.png", "reliability.png"]
    assert captured.err == f"Drawn: {folder / 'det.png'}\nDrawn: {folder / 'reliability.png'}\n"


def test_keys_without_sources_give_no_table(files, tmp_path, capsys):
    keys = tmp_path / "keys.csv"
    bonafide = "".join(f"b{i},bonafide\n" for i in range(1, 5))
    spoof = "".join(f"s{i},spoof\n" for i in range(1, 5))
    keys.write_text("utt_id,label\n" + bonafide + spoof)
    report = evaluate_json(capsys, files[0], "--keys", keys)
    assert (report["eer"], report["per_source"], report["macro_eer"]) == (25.0, {}, None)
    assert (report["macro_eer_interval"], report["per_source_intervals"]) == (None, {})


def test_spoofs_without_a_source_are_kept_apart(files, capsys):
    scores, keys = files
    keys.write_text(KEYS.replace("s4 - A08", "s4 - -"))
    report = evaluate_json(capsys, scores, "--keys", keys)
    # s4 alone: at its score three of four bona fide are rejected and it is accepted, (75 + 100) / 2.
    assert report["per_source"]["(not stated)"] == {"eer": 87.5, "spoof": 1}


def test_missing_and_unknown_utterances_are_counted_and_named(files, capsys):
    scores, keys = files
    scores.write_text(SCORES.replace("b1 ", "x1 ").replace("s1 ", "x2 "))
    assert main(["evaluate", str(scores), "--keys", str(keys)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 of 8 trials in the keys have no score (b1, s1)" in captured.err
    assert "2 scored utterances are not in the keys (x2, x1)" in captured.err


def test_a_long_list_of_missing_utterances_is_cut(files, capsys):
    scores, keys = files
    scores.write_text("b1 1\n")
    assert main(["evaluate", str(scores), "--keys", str(keys)]) == 2
    assert "7 of 8 trials in the keys have no score (b2, b3, b4, s1, s2, ...)" in capsys.readouterr().err


def test_phase_limits_the_trials_and_scores_of_other_phases_do_no_harm(tmp_path, capsys):
    keys, scores = tmp_path / "trial_metadata.txt", tmp_path / "scores.txt"
    keys.write_text(
        "S b1 c t - bonafide notrim eval\nS s1 c t A07 spoof notrim eval\n"
        "S b2 c t - bonafide notrim progress\nS s2 c t A07 spoof notrim progress\n"
    )
    scores.write_text("b1 1\ns1 0\nb2 0\ns2 1\n")
    assert evaluate_json(capsys, scores, "--keys", keys, "--phase", "eval")["eer"] == 0.0
    assert evaluate_json(capsys, scores, "--keys", keys, "--phase", "progress")["eer"] == 100.0
    assert evaluate_json(capsys, scores, "--keys", keys)["eer"] == 50.0
    scores.write_text("b1 1\ns1 0\n")
    assert evaluate_json(capsys, scores, "--keys", keys, "--phase", "eval")["bonafide"] == 1
    assert main(["evaluate", str(scores), "--keys", str(keys)]) == 2
    assert "name it: --phase eval|progress" in capsys.readouterr().err
    scores.write_text("b1 1\ns1 0\nelse 3\n")
    assert main(["evaluate", str(scores), "--keys", str(keys), "--phase", "eval"]) == 2
    assert "1 scored utterances are not in the keys (else)" in capsys.readouterr().err


def test_min_tdcf_with_the_asv_scores_of_a_key_package(tmp_path, capsys):
    # ASV at score 1, just below its EER: no target missed, one nontarget and three spoofs of four accepted.
    asv = {"target": [5, 4, 3, 1], "nontarget": [2, 0, -1, -2], "spoof": [5, 3, 2.5, 0]}
    rows = [(f"{kind}{i}", kind, score) for kind, values in asv.items() for i, score in enumerate(values)]
    folder = tmp_path / "keys" / "LA"
    (folder / "ASV" / "ASVTorch_Kaldi").mkdir(parents=True)
    (folder / "CM").mkdir()
    (folder / "ASV" / "trial_metadata.txt").write_text(
        "".join(f"S {utt} c t a {kind} notrim eval\n" for utt, kind, _ in rows)
    )
    (folder / "ASV" / "ASVTorch_Kaldi" / "score.txt").write_text(
        "".join(f"S {utt} {score}\n" for utt, _, score in rows)
    )
    (folder / "CM" / "trial_metadata.txt").write_text(
        "".join(f"S b{i} c t - bonafide notrim eval\nS s{i} c t A07 spoof notrim eval\n" for i in range(1, 5))
    )
    scores = tmp_path / "scores.txt"
    scores.write_text(SCORES)
    report = evaluate_json(capsys, scores, "--keys", tmp_path / "keys", "--phase", "eval", "--asv", folder)
    # C0 = 0.0095 * 10 / 4, C2 = 0.05 * 10 * 3 / 4 < C1; best CM threshold 1: no miss, one spoof of four in.
    assert report["min_tdcf"] == pytest.approx((0.02375 + 0.375 / 4) / (0.02375 + 0.375))
    assert report["asv_eer"] == 25.0
    assert main(["evaluate", str(scores), "--keys", str(folder), "--asv", str(folder)]) == 0
    assert "min t-DCF   0.2947  (ASVspoof 2021 form; EER of the ASV 25.00 %)" in capsys.readouterr().out


def test_results_of_the_score_command_bring_their_own_llrs(files, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    results.write_text(
        "".join(
            json.dumps({"path": f"{utt}.wav", "detector": "sls", "score": float(score) * 10, "llr": 0.0})
            + "\n"
            for utt, score in (line.split() for line in SCORES.splitlines())
        )
    )
    report = evaluate_json(capsys, results, "--keys", files[1])
    assert (report["eer"], report["cllr_of"], report["cllr"]) == (25.0, "llr", pytest.approx(1.0))


def test_keys_of_one_class_are_refused(files, capsys):
    scores, keys = files
    keys.write_text("".join(KEYS.splitlines(keepends=True)[:4]))
    scores.write_text("b1 1\nb2 2\nb3 3\nb4 4\n")
    assert main(["evaluate", str(scores), "--keys", str(keys)]) == 2
    assert "There is no spoof trial" in capsys.readouterr().err


def test_600_000_trials_in_shuffled_order(tmp_path, capsys):
    # The size of the ASVspoof 2021 DF keys, 100 attacks. Two normals at distance 2: EER = Phi(-1).
    n = 600_000
    rng = np.random.default_rng(0)
    bonafide = np.arange(n) % 20 == 0
    values = np.where(bonafide, 1.0, -1.0) + rng.normal(size=n)
    keys, scores = tmp_path / "trial_metadata.txt", tmp_path / "scores.txt"
    keys.write_text(
        "".join(
            f"S DF_E_{i} nocodec asvspoof - bonafide notrim eval - - - - -\n"
            if is_bonafide
            else f"S DF_E_{i} nocodec asvspoof A{i % 100} spoof notrim eval vocoder - - - -\n"
            for i, is_bonafide in enumerate(bonafide.tolist())
        )
    )
    scores.write_text("".join(f"DF_E_{i} {values[i]:.6f}\n" for i in rng.permutation(n).tolist()))
    report = evaluate_json(capsys, scores, "--keys", keys, "--phase", "eval")
    assert (report["bonafide"], report["spoof"]) == (30_000, 570_000)
    assert report["eer"] == pytest.approx(15.8655, abs=0.5)
    assert len(report["per_source"]) == 95
    assert report["macro_eer"] == pytest.approx(report["eer"], abs=0.5)
    # By the binomial: the rates of 30,000 and 570,000 trials at the EER have errors of 0.21 and 0.05 points.
    lower, upper = report["eer_interval"]
    assert lower < report["eer"] < upper
    assert 0.2 < upper - lower < 0.8
    assert report["interval_resamples"] == 1000
