"""The limits of the accounting room, on fewer runs and starts."""

import numpy as np

from lib.bench import accounting as bench_accounting


def test_the_rows_are_seconds_against_their_limits(monkeypatch):
    monkeypatch.setattr(bench_accounting, "RUNS", 20)
    monkeypatch.setattr(bench_accounting, "STARTS", 2)
    fit, counts = bench_accounting.rows(1)
    assert (fit.theirs, counts.theirs) == (10.0, 1.0) and fit.unit == counts.unit == "s"
    assert fit.ratio == 10 / fit.ours and counts.met
    assert "20 runs, 2 starts" in fit.name


def test_the_runs_lie_near_the_surface():
    N, D, loss = bench_accounting.synthetic_runs(50)
    assert N.shape == D.shape == loss.shape == (50,)
    noise = np.log(loss / bench_accounting.chinchilla_loss(N, D))
    assert 0.005 < noise.std() < 0.02
