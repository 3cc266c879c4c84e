"""What the examples of forecasting promise, on the whole of their data: minutes each."""

import pytest

from conftest import example

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]


def test_m4_hourly(data_dir, tmp_path):
    words = [str(data_dir / "m4-hourly"), "--out", str(tmp_path / "run")]
    found = example("forecast/m4_hourly").main(words)
    assert found.forecasts == 414
    assert found.smape <= 10.0
    assert found.mase <= 0.95


def test_etth1(data_dir, tmp_path):
    words = [str(data_dir / "etth1" / "ETTh1.csv"), "--out", str(tmp_path / "run")]
    found = example("forecast/etth1").main(words)
    assert found.forecasts == 2880 - 96 + 1
    assert found.scaled_mse <= 0.375
    assert found.scaled_mae <= 0.40
