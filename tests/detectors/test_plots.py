"""What the plots draw, against figures counted by hand, and that files are real PNGs."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, ndtri

from detectors.errors import DetectorError
from detectors.metrics import operating_points
from detectors.plots import (
    POINTS,
    det_curve,
    det_figure,
    png,
    reliability,
    reliability_figure,
    save_plots,
)
from detectors.protocols import ScoreTable


def test_det_points_of_a_small_set_are_all_its_operating_points():
    # Thresholds 0, 1, 2, 3 and above: one more trial is rejected at each step.
    curve = det_curve([1, 3], [0, 2])
    assert curve.miss_rates.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.false_alarm_rates.tolist() == [1, 0.5, 0.5, 0, 0]
    assert (curve.eer, curve.bonafide, curve.spoof) == (0.5, 2, 2)


def test_a_long_det_curve_is_thinned_to_true_points_close_together():
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 50_000), rng.normal(-1, 1, 90_000)
    curve = det_curve(bonafide, spoof)
    assert POINTS < len(curve.miss_rates) <= 2 * POINTS + 2
    points = operating_points(bonafide, spoof)
    true = set(zip(points.false_alarm_rates.tolist(), points.miss_rates.tolist(), strict=True))
    assert set(zip(curve.false_alarm_rates.tolist(), curve.miss_rates.tolist(), strict=True)) <= true
    assert (curve.miss_rates[0], curve.false_alarm_rates[0]) == (0, 1)
    assert (curve.miss_rates[-1], curve.false_alarm_rates[-1]) == (1, 0)
    for rates in (curve.miss_rates, curve.false_alarm_rates):
        shown = (rates > 0.001) & (rates < 0.999)
        assert np.abs(np.diff(ndtri(rates[shown]))).max() < 0.03


def test_reliability_can_be_counted_by_hand():
    # P(spoof) 0.2 and 0.4 lie in the lower half, 0.6 and 0.9 in the upper one.
    bonafide = [-np.log(p / (1 - p)) for p in (0.2, 0.2, 0.2, 0.6)]
    spoof = [-np.log(p / (1 - p)) for p in (0.4, 0.9)]
    found = reliability(bonafide, spoof, bins=2)
    assert found.bonafide.tolist() == [3, 1]
    assert found.spoof.tolist() == [1, 1]
    # At prior 0.5 a bona fide trial weighs 1/8 and a spoof 1/4.
    assert found.observed == pytest.approx([0.25 / (0.375 + 0.25), 0.25 / (0.125 + 0.25)])
    assert found.forecast == pytest.approx(
        [(0.375 * 0.2 + 0.25 * 0.4) / 0.625, (0.125 * 0.6 + 0.25 * 0.9) / 0.375]
    )


def test_the_prior_moves_forecast_and_share_alike():
    # LLR 0 for everything: the forecast is the prior, and so is the share of spoofs.
    found = reliability([0.0] * 3, [0.0] * 5, prior_spoof=0.05)
    assert found.forecast[0] == pytest.approx(0.05)
    assert found.observed[0] == pytest.approx(0.05)
    assert np.isnan(found.forecast[1:]).all()
    assert (found.bonafide.sum(), found.spoof.sum()) == (3, 5)


def test_calibrated_llrs_lie_on_the_diagonal_and_overconfident_ones_do_not():
    # Normals at +1 and -1 with variance 1: the LLR is twice the score.
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 1, 40_000), rng.normal(-1, 1, 20_000)
    good = reliability(2 * bonafide, 2 * spoof)
    np.testing.assert_allclose(good.observed, good.forecast, atol=0.03)
    bold = reliability(6 * bonafide, 6 * spoof)
    assert bold.observed[0] > bold.forecast[0] + 0.05
    assert bold.observed[-1] < bold.forecast[-1] - 0.05


def test_extreme_llrs_stay_in_the_outermost_bins():
    found = reliability([1e6], [-1e6])
    assert (found.bonafide[0], found.spoof[-1]) == (1, 1)
    assert (found.observed[0], found.observed[-1]) == (0, 1)


def test_figures_hold_the_curves_and_their_counts():
    rng = np.random.default_rng(0)
    curve = det_curve(rng.normal(1, 1, 300), rng.normal(-1, 1, 200))
    axis = det_figure({"raw": curve}).axes[0]
    line = next(line for line in axis.lines if "raw" in str(line.get_label()))
    inside = (curve.miss_rates > 0.01) & (curve.miss_rates < 0.9)
    np.testing.assert_allclose(line.get_ydata()[inside], ndtri(curve.miss_rates[inside]))
    assert np.isfinite(line.get_xydata()).all()
    assert line.get_label() == f"raw: EER {100 * curve.eer:.1f} %, 300 bona fide, 200 spoof"
    found = reliability(rng.normal(1, 1, 300), rng.normal(-1, 1, 200))
    line = reliability_figure({"raw": found}).axes[0].lines[1]
    np.testing.assert_array_equal(line.get_xydata()[:, 1], found.observed[~np.isnan(found.observed)])


def test_plots_are_written_as_png_images(tmp_path):
    rng = np.random.default_rng(0)
    is_bonafide = np.arange(60) < 20
    names = [str(i) for i in range(60)]
    tables = {
        condition: ScoreTable(names, np.where(is_bonafide, 1.0, -1.0) + rng.normal(size=60))
        for condition in ("raw", "shortcuts removed")
    }
    paths = save_plots(tmp_path / "plots", tables, is_bonafide, name="sls")
    assert [path.name for path in paths] == ["sls-det.png", "sls-reliability.png"]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        image = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
        colours = {tuple(colour) for colour in np.unique(image, axis=0).tolist()}
        assert {(0x1F, 0x5F, 0xA8), (0xC2, 0x57, 0x0C)} <= colours  # both curves are there


def test_llrs_are_drawn_where_a_table_has_them(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr("detectors.plots.png", lambda figure: b"")
    monkeypatch.setattr("detectors.plots.det_figure", lambda curves: drawn.update(det=curves))
    monkeypatch.setattr("detectors.plots.reliability_figure", lambda curves, of: drawn.update(rel=curves))
    is_bonafide = np.array([True, False])
    table = ScoreTable(["a", "b"], np.array([1.0, 0.0]), np.array([-2.0, 2.0]))
    save_plots(tmp_path, {"raw": table}, is_bonafide)
    assert drawn["det"]["raw"].eer == 0.0
    filled = ~np.isnan(drawn["rel"]["raw"].forecast)
    assert drawn["rel"]["raw"].forecast[filled] == pytest.approx([expit(-2.0), expit(2.0)])


def test_classes_that_lie_apart_and_single_trials_can_be_drawn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bonafide, spoof in (([2.0, 3.0], [0.0, 1.0]), ([0.0], [1.0]), ([0.0], [0.0])):
            for figure in (
                det_figure({"raw": det_curve(bonafide, spoof)}),
                reliability_figure({"raw": reliability(bonafide, spoof)}),
            ):
                assert Image.open(io.BytesIO(png(figure))).size[0] > 400


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    table = ScoreTable(["a", "b"], np.array([1.0, 0.0]))
    with pytest.raises(DetectorError, match=r"cannot be written to .*taken"):
        save_plots(taken, {"raw": table}, np.array([True, False]))
