"""The explorables: one file each, for every reader, and each number is the library's for the same input."""

import html
import json
import math
import re

import numpy as np
import pytest
import torch

from lib import NOTEBOOKS
from lib.accounting.activations import activation_bytes
from lib.accounting.allocation import compute_optimal, isoflop_fit
from lib.accounting.cache import kv_cache_bytes
from lib.accounting.memory import training_memory
from lib.accounting.parameters import parameter_breakdown
from lib.accounting.scaling import BESIROGLU
from lib.accounting.units import gpus_needed
from lib.accounting.zero import zero_memory
from lib.generation.warpers import warp
from lib.models import preset
from lib.objectives import optimal_policy, regularised_objective
from lib.plots.explorables import FOLDER, PAGES, data_of, page
from lib.plots.explorables.pages import MODELS, RECIPES
from lib.text import bert_tokenizer, mask_tokens
from tests.browser import AXE, TOLD, needs_browser, opened, told_by
from tests.nightly import by_day

LARGEST = 100_000  # bytes
RULES = {"color-contrast", "label", "button-name", "heading-order", "document-title", "html-has-lang"}
SET = """
function set(id, value) {
  const input = document.getElementById(id);
  if (input.type === "checkbox") input.checked = value; else input.value = value;
  input.dispatchEvent(new Event("input", {bubbles: true}));
}
function pick(name, value) {
  const input = document.querySelector(`input[name=${name}][value="${value}"]`);
  input.checked = true;
  input.dispatchEvent(new Event("input", {bubbles: true}));
}
const full = element => +element.dataset.value;
const all = selector => [...document.querySelectorAll(selector)];
"""


def text_of(name):
    return (FOLDER / f"{name}.html").read_text(encoding="utf-8")


def driven(tmp_path, name, script, scheme="light"):
    """What a script tells that is run in a page; nothing may be logged on the console."""
    dom, console = opened(tmp_path, text_of(name).replace("</body>", f"<script>{TOLD}{SET}{script}</script></body>"),
                          scheme=scheme)  # fmt: skip
    assert console == []
    return told_by(dom)


def near(shown, expected):
    """Equal to six digits."""
    return shown == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_folder_has_these_pages_and_no_others():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{name}.html" for name in PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_file_that_loads_nothing(name):
    text = text_of(name)
    assert len(text.encode()) < LARGEST
    assert not re.findall(r"https?:|\bsrc=|@import|url\(|<link|<iframe|fetch\(|import\(", text)
    assert '<html lang="en">' in text and re.search(r"<title>[^<]{5,}</title>", text)
    assert "Trust HTML" in re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)[1]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_templates_make_of_its_data(name):
    assert page(name, data_of(text_of(name))) == text_of(name), "python -m lib.plots.explorables writes it anew"


@pytest.mark.parametrize("name", PAGES)
def test_the_data_are_what_lib_computes(name):
    stored, fresh = data_of(text_of(name)), json.loads(json.dumps(PAGES[name]()))
    assert _same(stored, fresh), "python -m lib.plots.explorables writes it anew"


def _same(a, b):
    """Equal, but for the last digit that other machines round otherwise."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=2e-4) if isinstance(a, float) else a == b


@pytest.mark.parametrize("name", PAGES)
def test_a_lecture_opens_it(name):
    lectures = [path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("*.ipynb")]
    assert any(f"(explorables/{name}.html)" in text for text in lectures)


def test_page_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match="next_token"):
        page("next_tokens", {})
    with pytest.raises(ValueError, match="JSON compliant"):
        page("next_token", {"x": math.nan})
    with pytest.raises(ValueError, match="const DATA"):
        data_of("<html></html>")
    data = {"x": '</script><!-- " \\ é'}
    assert data_of(page("next_token", data)) == data and "</script><!" not in page("next_token", data)


@needs_browser
@pytest.mark.parametrize(
    "name, scheme", by_day(2, zip([*PAGES, *PAGES], ["light", "dark"] * 3 + ["dark", "light"] * 3))
)
def test_axe_finds_nothing_and_every_control_has_its_name(tmp_path, name, scheme):
    axe = f"</script><script>{AXE.read_text(encoding='utf-8')}</script><script>"
    told = driven(tmp_path, name, axe + """
      for (const button of all("button")) button.click();
      const unnamed = all("input, select").filter(x => !x.labels.length).map(x => x.id);
      const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
      const focusable = all("button, input, select").filter(x => x.tabIndex < 0 && !x.closest("#words")).length;
      axe.run().then(found => tell({unnamed, wide, focusable, passes: found.passes.map(p => p.id),
        violations: found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120)).slice(0, 3)])}));
    """, scheme)  # fmt: skip
    assert told["violations"] == [] and told["unnamed"] == [] and not told["wide"] and told["focusable"] == 0
    assert RULES - {"label", "button-name"} <= set(told["passes"])


@needs_browser
@pytest.mark.parametrize("name", by_day(1, PAGES))
def test_a_page_fits_on_400_pixels(tmp_path, name):
    script = """
      for (const button of all("button")) button.click();
      const {scrollWidth, clientWidth} = document.documentElement;
      tell({width: window.innerWidth, beyond: scrollWidth - clientWidth});
    """
    page = text_of(name).replace("</body>", f"<script>{TOLD}{SET}{script}</script></body>")
    frame = f'<iframe width="400" height="800" style="border:0" srcdoc="{html.escape(page)}"></iframe>'
    assert told_by(opened(tmp_path, f"<!doctype html><body>{frame}</body>")[0]) == {"width": 400, "beyond": 0}


def random_numbers(seed):
    """mulberry32, as the pages have it: numbers from 0 to 1."""

    def imul(a, b):
        return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF) & 0xFFFFFFFF

    while True:
        seed = (seed + 0x6D2B79F5) & 0xFFFFFFFF
        t = imul(seed ^ seed >> 15, 1 | seed)
        t = (t + imul(t ^ t >> 7, 61 | t)) & 0xFFFFFFFF ^ t
        yield (t ^ t >> 14) / 2**32


@needs_browser
def test_next_token_warps_as_lib_does_and_draws_from_that(tmp_path):
    kept = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100, 200]
    cases = [
        (0, 1.0, 15, 1.0),
        (0, 0.2, 15, 1.0),
        (1, 2.0, 2, 1.0),
        (1, 1.0, 15, 0.9),
        (2, 0.7, 12, 0.8),
        (2, 0.0, 15, 0.5),
        (0, 1.5, 0, 0.01),
    ]
    told = driven(tmp_path, "next_token", f"""
      const seen = {json.dumps(cases)}.map(([prompt, T, k, p]) => {{
        pick("prompt", prompt); set("temperature", T); set("k", k); set("p", p); set("seed", 7);
        at("hundred").click();
        return {{kept: full(at("kept")), entropy: full(at("entropy")), choices: full(at("choices")), last,
                 counts: counts.slice(), bars: all("#bars td[data-value]").map(full)}};
      }});
      tell(seen);
    """)  # fmt: skip
    for (number, T, k, p), seen in zip(cases, told):
        logits = torch.tensor(data_of(text_of("next_token"))["prompts"][number]["logits"], dtype=torch.float64)
        expected = warp(logits, temperature=T, top_k=kept[k], top_p=p).softmax(dim=-1)
        assert seen["kept"] == (expected > 0).sum()
        assert near(seen["bars"], [*expected[:12].tolist(), expected[12:].sum().item()])
        entropy = torch.special.entr(expected).sum().item()
        assert near([seen["entropy"], seen["choices"]], [entropy, math.exp(entropy)])
        us = torch.tensor([u for u, _ in zip(random_numbers(7), range(100))], dtype=torch.float64)
        drawn = torch.searchsorted(expected.cumsum(0), us, right=True).clamp(max=expected.nonzero().max())
        assert seen["counts"] == drawn.bincount(minlength=200).tolist() and seen["last"] == drawn[-1]


@needs_browser
def test_will_it_fit_counts_as_lib_does(tmp_path):
    cases = [  # model, recipe, log2 of context and batch, GB of a GPU, recompute
        ("Llama 2 7B", "inference-fp16", 11, 0, 80, False), ("Llama 3 70B", "inference-int4", 13, 5, 24, False),
        ("Llama 2 7B", "adam-mixed", 11, 2, 80, False), ("Llama 2 7B", "adam-mixed", 12, 4, 80, True),
        ("GPT-3 175B", "adam-fp32", 11, 0, 141, True), ("Llama 2 7B", "adam-mixed", 12, 7, 80, False),
        ("GPT-2", "sgd-momentum-fp32", 10, 3, 16, False), ("Llama 3 405B", "adam-8bit", 13, 0, 141, False),
        ("SmolLM2 135M", "adam-bf16", 7, 0, 16, False), ("Llama 2 70B", "adam-bf16", 7, 0, 24, False),
    ]  # fmt: skip
    numbered = [(list(MODELS).index(m), list(RECIPES).index(r), *rest) for m, r, *rest in cases]
    told = driven(tmp_path, "will_it_fit", f"""
      tell({json.dumps(numbered)}.map(values => {{
        ["model", "recipe", "context", "batch", "gpu", "recompute"].forEach((id, i) => set(id, values[i]));
        return {{n: full(at("verdict")) || null, cells: all("#items td[data-value]").map(full)}};
      }}));
    """)  # fmt: skip
    for (model, recipe, context, batch, gpu, recompute), seen in zip(cases, told):
        config, size = preset(MODELS[model]), 4 if recipe.endswith("fp32") else 2
        parameters, sizes = sum(parameter_breakdown(config).values()), (2**batch, 2**context)
        if recipe.startswith("inference"):
            budget = training_memory(parameters, recipe, kv_cache=kv_cache_bytes(config, *sizes))
            n = gpus_needed(budget.total, gpu * 1e9)
            each = [-(-count // n) for count in budget.items().values() if count]
        else:
            kept = sum(activation_bytes(config, *sizes, bytes_per_value=size, recompute=recompute).values())
            budget = training_memory(parameters, recipe, activations=kept)
            n, share = fewest(parameters, recipe, kept, gpu * 10**9)
            each = [count for count in share.items().values() if count]
        expected = [count for count in budget.items().values() if count]
        assert seen["n"] == n and seen["cells"][:-2:2] == expected and seen["cells"][-2] == budget.total
        assert seen["cells"][1:-2:2] == each and seen["cells"][-1] == sum(each)


def fewest(parameters, recipe, activations, gpu):
    """The fewest GPUs that ZeRO's stage 3 needs, found by trying, and what each holds; None where no number is enough."""
    for n in range(1, 2000):
        share = zero_memory(parameters, recipe, devices=n, stage=3 if n > 1 else 0, activations=activations)
        if share.total <= gpu:
            return n, share
    return None, zero_memory(parameters, recipe, devices=1, stage=0, activations=activations)


@needs_browser
def test_attention_heads_shows_the_weights_of_the_chosen_word(tmp_path):
    heads = data_of(text_of("attention_heads"))["heads"]
    told = driven(tmp_path, "attention_heads", """
      const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
      const read = () => [all("#words b").map(full), full(all("#told .value")[0]), all("#map line").length];
      const word = (_, i) => { choose(i); return read(); };
      const seen = [0, 1, 2, 3].map(head => { pick("head", head); return DATA.tokens.map(word); });
      all("#words button")[chosen].focus(); press("ArrowDown");
      const round = chosen; press("ArrowUp");
      tell({seen, round, back: chosen});
    """)  # fmt: skip
    for head, rows in zip(heads, told["seen"]):
        for weights, (row, most, lines) in zip(head["weights"], rows):
            assert row == weights and most == max(weights) and lines == sum(weight > 0 for weight in weights)
            assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert told["round"] == 0 and told["back"] == len(heads[0]["weights"]) - 1


@needs_browser
def test_masking_dice_expects_what_lib_does(tmp_path):
    rates = [0, 1, 15, 40, 60, 100]
    told = driven(tmp_path, "masking_dice", f"""
      tell([0, 1].flatMap(sentence => {json.dumps(rates)}.map(rate => {{
        pick("sentence", sentence); set("rate", rate); at("throw").click();
        const strip = all(".place").map(x => x.className.split(" ")[1]);
        at("thousand").click();
        const cells = all("#counts td[data-value]").map(full);
        const [expected, mean] = [0, 1].map(odd => cells.filter((_, i) => i % 2 === odd));
        return {{strip, expected, mean, empty: full(at("empty"))}};
      }})));
    """)  # fmt: skip
    sentences = data_of(text_of("masking_dice"))["sentences"]
    for number, seen in enumerate(told):
        tokens, rate = sentences[number // len(rates)], rates[number % len(rates)] / 100
        N = len(tokens) - 2
        assert near(seen["expected"], [N * rate * 0.8, N * rate * 0.1, N * rate * 0.1, N * (1 - rate)])
        measured = means_of_lib(tokens, rate, throws=4000)
        for expected, lib, here in zip(seen["expected"], measured, seen["mean"]):
            spread = 5 * (expected * (1 - expected / N)) ** 0.5 + 1e-9  # 5 standard deviations of a binomial count
            assert abs(lib - expected) <= spread / 4000**0.5 and abs(here - expected) <= spread / 1001**0.5
        assert near(seen["empty"], (1 - rate) ** N)
        assert seen["strip"][0] == seen["strip"][-1] == "special" and "special" not in seen["strip"][1:-1]


def means_of_lib(tokens, rate, *, throws):
    """How many tokens `mask_tokens` gives each fate, on average over many throws."""
    bert = bert_tokenizer()
    ids = torch.tensor([[bert.id_of(token) for token in tokens]]).expand(throws, -1)
    batch = mask_tokens(
        ids, mask_id=bert.mask_id, vocab_size=bert.vocab_size, special_ids=bert.special_ids, rate=rate,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    chosen, masked, same = batch.labels != -100, batch.input_ids == bert.mask_id, batch.input_ids == ids
    fates = [chosen & masked, chosen & ~masked & ~same, chosen & same, ~chosen]
    return [fate[:, 1:-1].sum().item() / throws for fate in fates]


@needs_browser
def test_budget_finds_the_bottoms_that_lib_finds(tmp_path):
    cases = [(21, [9, 9.5, 10]), (24, [9.5, 10.25, 11, 12]), (18.5, [7, 8, 8.5, 9])]  # log10 of C and of the sizes
    told = driven(tmp_path, "budget", f"""
      const train = size => {{ set("size", size); at("train").click(); }};
      const cells = () => all("#rows td").map(full);
      const seen = {json.dumps(cases)}.map(([C, sizes]) => {{ set("budget", C); sizes.forEach(train); return cells(); }});
      set("budget", 21);
      const before = at("told").textContent;
      [7, 7.5, 8].forEach(train);
      tell({{seen, before, words: at("told").textContent, rows: all("#rows tr").length}});
    """)  # fmt: skip
    rows = []
    for C, sizes in cases:
        N = 10.0 ** np.array(sizes)
        rows += [(10.0**C, n, BESIROGLU(n, 10**C / 6 / n)) for n in N]
    fit = isoflop_fit(*map(np.array, zip(*rows)))
    order = sorted(range(3), key=lambda i: cases[i][0])  # lib sorts the budgets
    for i, (C, sizes) in enumerate(cases):
        C, N = 10.0**C, 10.0 ** sizes[-1]
        at, (best, tokens) = order.index(i), compute_optimal(BESIROGLU, C)
        found = fit.parameters[at]
        expected = [N, C / 6 / N, C / 6 / N**2, BESIROGLU(N, C / 6 / N)]
        expected += [found, C / 6 / found, C / 6 / found**2, fit.loss[at]]
        expected += [best, tokens, tokens / best, BESIROGLU(best, tokens)]
        assert near(told["seen"][i], [float(value) for value in expected])
    assert told["before"].startswith("Train at 3 sizes") and "no bottom" in told["words"] and told["rows"] == 2
    with pytest.raises(ValueError, match="no bottom|both sides"):
        N = 10.0 ** np.array([7, 7.5, 8])
        isoflop_fit([1e21] * 3 + [1e24] * 3, [*N, *N], [*BESIROGLU(N, 1e21 / 6 / N), *BESIROGLU(N, 1e24 / 6 / N)])


@needs_browser
def test_reward_and_kl_shows_the_optimal_policy(tmp_path):
    steps = [-1, -0.5, 0, 0.26, 0.5, 1.2]
    told = driven(tmp_path, "reward_and_kl", f"""
      tell({json.dumps(steps)}.map(step => {{
        set("beta", step);
        return [all("#bars td[data-value]").map(full), ...["proxy", "gold", "kl", "objective"].map(id => full(at(id)))];
      }}));
    """)  # fmt: skip
    data = data_of(text_of("reward_and_kl"))
    reference, proxy, gold = (torch.tensor(data[key], dtype=torch.float64) for key in ("reference", "proxy", "gold"))
    human = []
    for step, (policy, *shown) in zip(steps, told):
        expected = optimal_policy(reference, proxy, beta=10**-step)
        objective = regularised_objective(expected, reference, proxy, beta=10**-step).item()
        reward = (expected * proxy).sum().item()
        human.append((expected * gold).sum().item())
        assert near(policy, expected.tolist())
        assert near(shown, [reward, human[-1], (reward - objective) * 10**step, objective])
    assert max(human) > human[0] + 0.5 and human[-1] < human[0] - 0.5, "the human's opinion rises, then falls"
