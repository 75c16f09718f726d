"""`course train`: train the shipped small models again from real text, and repeat a measured experiment."""

import argparse
import csv
import time
from dataclasses import asdict, replace
from pathlib import Path

from lib import CACHE, DATA
from lib.errors import CourseError, UsageError
from lib.names import nearest

MASKING_RATES = (0.15, 0.40, 0.80)  # slide C07
MASKING_SEEDS = (0, 1, 2)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train the shipped small models again",
        description="Train the models of data/models, or repeat the runs of data/experiments, on the Wikipedia text. "
        "After an interruption, a second call continues.",
        epilog="examples:\n  course train bert-wiki-small\n  course train gpt-wiki-small --out elsewhere\n"
        "  course train masking-rate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="bert-wiki-small, gpt-wiki-small or masking-rate")
    parser.add_argument("--steps", type=int, help="updates, for a trial run (default: the recipe's)")
    parser.add_argument("--out", type=Path, default=DATA, help="folder of models/ and experiments/ (default: data)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    from lib.training.recipes import RECIPES

    known = [*RECIPES, "masking-rate"]
    if args.name not in known:
        raise UsageError(f"unknown recipe {args.name!r}; {nearest(args.name, known)}")
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, got {args.steps}")
    if args.name == "masking-rate":
        masking_rate(args.out / "experiments" / "masking_rate.csv", args.steps)
    else:
        train_model(args.name, args.out / "models", args.steps)
    return 0


def train_model(name: str, folder: Path, steps: int | None = None) -> None:
    """Train the recipe `name` and store model, tokenizer and settings in `folder`."""
    from lib.models import count_parameters, save_small
    from lib.text import load_corpus, train_bpe, train_wordpiece
    from lib.training.fit import fit
    from lib.training.recipes import RECIPES, build
    from lib.training.tokens import predicted_tokens

    recipe = RECIPES[name]
    if steps is not None:
        recipe = replace(recipe, settings=_shortened(recipe.settings, steps))
    texts = {split: [d.text for d in load_corpus("wikipedia").splits[split]] for split in ("train", "validation")}
    train_tokenizer = train_bpe if recipe.kind == "gpt" else train_wordpiece
    tokenizer = train_tokenizer(texts["train"], recipe.vocab_size)
    task = build(recipe, tokenizer, texts["train"], texts["validation"])
    kept = CACHE / "runs" / f"{name}-{recipe.settings.steps}.pt"
    history = fit(
        task.model,
        task.loss_fn,
        task.sample_batch,
        recipe.settings,
        evaluate=task.evaluate,
        count_tokens=predicted_tokens,
        checkpoint=kept,
        description=name,
    )
    info = {
        "recipe": asdict(recipe),
        "parameters": count_parameters(task.model),
        "validation_loss": [[step, round(loss, 4)] for step, loss in history.evaluations],
        "corpus": "wikipedia",
    }
    save_small(task.model, tokenizer, name, info, folder=folder)
    kept.unlink(missing_ok=True)
    print(f"{name}: validation loss {history.evaluations[-1][1]:.3f} nats after {recipe.settings.steps} steps")


def masking_rate(file: Path, steps: int | None = None) -> None:
    """The experiment of slide C07 on our text: a small BERT per rate and seed; appends one row per finished run."""
    from lib.text import load_corpus, train_wordpiece
    from lib.training import append_row
    from lib.training.recipes import MASKING_RATE

    recipe = MASKING_RATE if steps is None else replace(MASKING_RATE, settings=_shortened(MASKING_RATE.settings, steps))
    corpus = load_corpus("wikipedia")
    texts = {split: [d.text for d in corpus.splits[split]] for split in ("train", "validation")}
    tokenizer = train_wordpiece(texts["train"], recipe.vocab_size)
    rows = _read_rows(file)
    for seed in MASKING_SEEDS:
        for rate in MASKING_RATES:
            if any(float(row["rate"]) == rate and int(row["seed"]) == seed for row in rows):
                continue
            append_row(file, _masking_run(recipe, rate, seed, tokenizer, texts), key=("rate", "seed"))


def _masking_run(recipe, rate: float, seed: int, tokenizer, texts: dict[str, list[str]]) -> dict:
    """Train at `rate`; measure the validation loss at the same rate (as in C07's table) and at 15 % (for all runs)."""
    from lib.training.fit import fit
    from lib.training.recipes import build
    from lib.training.tokens import predicted_tokens

    run = replace(recipe, rate=rate, settings=replace(recipe.settings, seed=seed))
    task = build(run, tokenizer, texts["train"], texts["validation"])
    common = build(replace(run, rate=0.15), tokenizer, texts["train"], texts["validation"])
    started = time.monotonic()
    history = fit(
        task.model,
        task.loss_fn,
        task.sample_batch,
        run.settings,
        evaluate=task.evaluate,
        count_tokens=predicted_tokens,
        description=f"rate {rate:.2f}, seed {seed}",
    )
    task.model.eval()
    return {
        "rate": rate,
        "seed": seed,
        "steps": run.settings.steps,
        "loss_at_own_rate": round(history.evaluations[-1][1], 4),
        "loss_at_15": round(_without_gradient(common.evaluate, task.model), 4),
        "seconds": round(time.monotonic() - started),
    }


def _without_gradient(evaluate, model) -> float:
    import torch

    with torch.no_grad():
        return evaluate(model)


def _read_rows(file: Path) -> list[dict]:
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    if any(None in row or None in row.values() for row in rows):
        raise CourseError(f"{file.name} has an incomplete row; repair the file or move it away")
    return rows


def _shortened(settings, steps: int):
    return replace(settings, steps=steps, warmup_steps=min(settings.warmup_steps, steps // 10))
