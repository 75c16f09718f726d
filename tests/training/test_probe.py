import pytest
import torch

from lib.training.probe import fit_probe


def drawn(N=60, D=5, C=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator)
    return x, torch.arange(N) % C, x.double()


@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_the_probe_is_scikit_learns(l2):
    linear = pytest.importorskip("sklearn.linear_model")
    x, labels, wide = drawn()
    ours = fit_probe(x, labels, 3, l2=l2)
    theirs = linear.LogisticRegression(C=1 / (l2 * len(x)), tol=1e-10, max_iter=10_000).fit(
        wide.numpy(), labels.numpy()
    )
    expected = torch.from_numpy(theirs.predict_proba(wide.numpy()))
    assert torch.allclose(ours(x).softmax(dim=1), expected, atol=1e-5)


def test_bad_input_is_named(unchecked):
    x, labels, _ = drawn()
    with pytest.raises(ValueError, match="none of class 3"):
        fit_probe(x, labels, 4)
    with pytest.raises(ValueError, match="l2"):
        fit_probe(x, labels, 3, l2=0)
    with pytest.raises(ValueError, match="labels"):
        fit_probe(x, labels[:5], 3)
    with pytest.raises(ValueError, match="finite"):
        fit_probe(x.where(x > -1, torch.tensor(torch.nan)), labels, 3)
