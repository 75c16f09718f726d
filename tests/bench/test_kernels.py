from lib.bench import kernels as bench_kernels


def test_rows_are_medians_of_alternating_runs(monkeypatch):
    asked = []

    def run(module, variant, threads):
        asked.append((variant, threads))
        n = len(asked)
        ours = variant.startswith(("tiled", "chunked"))
        return {"seconds": [3.0, 9.0, 1.0][n % 3] * (1 if ours else 2), "megabytes": 10.0 if ours else 100.0}

    monkeypatch.setattr(bench_kernels, "in_a_process", run)
    time, memory = bench_kernels.loss_rows(threads=2)
    assert asked == [("chunked", 2), ("plain", 2)] * 3
    assert (time.ours, time.theirs, time.ratio, time.unit) == (3, 6, 2, "s")
    assert (memory.ratio, memory.target, memory.met) == (0.1, 0.2, True)
    assert len(bench_kernels.attention_rows(1)) == 16


def test_both_variants_do_the_same_work(monkeypatch):
    monkeypatch.setattr(bench_kernels, "T", 32)
    for work in bench_kernels.WORK:
        for name in bench_kernels.ATTENTION:
            bench_kernels._job(f"{name} {work}", small=True)()
    for name in ("chunked", "plain"):
        bench_kernels._job(name, small=True)()
