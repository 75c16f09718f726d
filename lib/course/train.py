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
RLVR_SEEDS = (0, 1, 2, 3, 4)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train the shipped small models again",
        description="Train the models of data/models, or repeat the runs of data/experiments, on the Wikipedia text. "
        "After an interruption, a second call continues. Started by torchrun, several processes divide each batch among "
        "them; the losses are those of one process.",
        epilog="examples:\n  course train bert-wiki-small\n  course train gpt-wiki-small --out elsewhere\n"
        "  course train bart-wiki-small\n"
        "  course train masking-rate\n  course train masking-design\n  course train rlvr\n  course train peft\n"
        "  course train fine-tuning\n"
        "  torchrun --nproc-per-node 2 -m lib.course train gpt-wiki-small --steps 20 --out elsewhere",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        help=f"bert-wiki-small, gpt-wiki-small, bart-wiki-small, {', '.join([*EXPERIMENTS][:-1])} or {[*EXPERIMENTS][-1]}",
    )
    parser.add_argument("--steps", type=int, help="updates, for a trial run (default: the recipe's)")
    parser.add_argument("--out", type=Path, default=DATA, help="folder of models/ and experiments/ (default: data)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    from lib.training.processes import GroupError, torchrun_group
    from lib.training.recipes import RECIPES

    known = [*RECIPES, *EXPERIMENTS]
    if args.name not in known:
        raise UsageError(f"unknown recipe {args.name!r}; {nearest(args.name, known)}")
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, got {args.steps}")
    try:
        with torchrun_group() as place:
            if args.name in EXPERIMENTS:
                if place.processes > 1:
                    raise UsageError(f"{args.name} runs in one process; start it without torchrun")
                EXPERIMENTS[args.name](args.out / "experiments", args.steps)
            else:
                train_model(args.name, args.out / "models", args.steps)
    except GroupError as error:
        raise CourseError(str(error)) from error
    return 0


def train_model(name: str, folder: Path, steps: int | None = None) -> None:
    """Train the recipe `name` and store model, tokenizer and settings in `folder`."""
    from lib.models import count_parameters, save_small
    from lib.text import load_corpus, train_bpe, train_wordpiece
    from lib.text.passages import with_sentinels
    from lib.training.denoising import SENTINELS
    from lib.training.fit import fit
    from lib.training.processes import place
    from lib.training.recipes import RECIPES, build
    from lib.training.tokens import predicted_tokens

    recipe, (rank, processes) = RECIPES[name], place()
    _check_that_the_batch_divides(recipe, processes)
    if steps is not None:
        recipe = replace(recipe, settings=_shortened(recipe.settings, steps))
    texts = {split: [d.text for d in load_corpus("wikipedia").splits[split]] for split in ("train", "validation")}
    train_tokenizer = train_wordpiece if recipe.kind == "bert" else train_bpe
    tokenizer = train_tokenizer(texts["train"], recipe.vocab_size)
    if recipe.kind == "bart":
        tokenizer = with_sentinels(tokenizer, SENTINELS)
    task = build(recipe, tokenizer, texts["train"], texts["validation"])
    group = "" if processes == 1 else f"-{processes}"  # a run of several goes on with as many
    kept = CACHE / "runs" / f"{name}-{recipe.settings.steps}{group}.pt"
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
    if rank > 0:  # the first process keeps the model for all
        return
    info = {
        "recipe": asdict(recipe),
        "parameters": count_parameters(task.model),
        "validation_loss": [[step, round(loss, 4)] for step, loss in history.evaluations],
        "corpus": "wikipedia",
    }
    save_small(task.model, tokenizer, name, info, folder=folder)
    kept.unlink(missing_ok=True)
    print(f"{name}: validation loss {history.evaluations[-1][1]:.3f} nats after {recipe.settings.steps} steps")


def _check_that_the_batch_divides(recipe, processes: int) -> None:
    size = recipe.batch_size
    if size % processes:
        numbers = " or ".join(str(n) for n in range(2, size + 1) if size % n == 0)
        raise UsageError(
            f"{processes} processes cannot divide the batch of {size} texts of {recipe.name} evenly; start {numbers}"
        )


def masking_rate(folder: Path, steps: int | None = None) -> None:
    """The experiment of slide C07 on our text: a small BERT per rate and seed; appends one row per finished run."""
    from lib.training import append_row

    file, (recipe, texts, tokenizer) = folder / "masking_rate.csv", _masking_material(steps)
    rows = _read_rows(file)
    for seed in MASKING_SEEDS:
        for rate in MASKING_RATES:
            if any(float(row["rate"]) == rate and int(row["seed"]) == seed for row in rows):
                continue
            append_row(file, _masking_run(recipe, rate, seed, tokenizer, texts), key=("rate", "seed"))


def _masking_material(steps: int | None):
    """What both experiments on masking begin with: the recipe, the texts by split, and the tokenizer."""
    from lib.text import load_corpus, train_wordpiece
    from lib.training.recipes import MASKING_RATE

    recipe = MASKING_RATE if steps is None else replace(MASKING_RATE, settings=_shortened(MASKING_RATE.settings, steps))
    corpus = load_corpus("wikipedia")
    texts = {split: [d.text for d in corpus.splits[split]] for split in ("train", "validation")}
    tokenizer = train_wordpiece(texts["train"], recipe.vocab_size)
    return recipe, texts, tokenizer


def masking_design(folder: Path, steps: int | None = None) -> None:
    """What is corrupted, what is predicted, and what stands there: a small BERT per design and seed; appends rows."""
    from lib.training import append_row
    from lib.training.masking_design import DESIGNS, design_run

    file, (recipe, texts, tokenizer) = folder / "masking_design.csv", _masking_material(steps)
    done = {(row["design"], row["seed"]) for row in _read_rows(file)}
    for seed in MASKING_SEEDS:
        for name in DESIGNS:
            if (name, str(seed)) not in done:
                append_row(file, design_run(name, seed, tokenizer, texts, recipe), key=("design", "seed"))


def rlvr(folder: Path, steps: int | None = None) -> None:
    """Teach SmolLM2 sums by a verifiable reward, once for each seed; a finished seed is in rlvr.csv and rlvr.json.

    Rows of the table are updates; the other file holds what was answered before and after.
    """
    import json

    from lib.files import atomic_write
    from lib.models import load_smollm2
    from lib.text import smollm2_tokenizer
    from lib.training import append_row
    from lib.worlds.verifiable import RlvrSettings, report, train_rlvr, with_adapter

    tokenizer, file = smollm2_tokenizer(), folder / "rlvr.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"after": {}}
    for seed in (s for s in RLVR_SEEDS if str(s) not in found["after"]):
        settings = RlvrSettings(seed=seed) if steps is None else RlvrSettings(seed=seed, steps=steps)
        policy = with_adapter(load_smollm2(), settings)
        found["before"] = found.get("before") or report(policy, tokenizer, settings)
        started = time.process_time()
        for row in train_rlvr(policy, tokenizer, settings):
            row["seconds"] = round(time.process_time() - started, 1)
            append_row(folder / "rlvr.csv", row, key=("seed", "step"))
        found["after"][str(seed)] = report(policy, tokenizer, settings)
        with atomic_write(file) as out:
            json.dump(found | {"settings": asdict(settings) | {"seed": None}}, out, indent=1, ensure_ascii=False)
            out.write("\n")


def peft(folder: Path, steps: int | None = None) -> None:
    """The comparison of lecture 14: 25 ways to fine-tune a small BERT; appends one row per finished run."""
    from lib.worlds.swapped_runs import WAYS, run_all

    file = folder / "peft.csv"
    run_all(file, WAYS if steps is None else [way._replace(steps=steps) for way in WAYS])
    print(f"{file.name}: {len(_read_rows(file))} runs")


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


def fine_tuning(folder: Path, steps: int | None = None) -> None:
    """The comparison of lecture 05: six ways to classify film reviews; appends one row per finished run."""
    from lib.worlds.fine_tuning_runs import run_all

    if steps is not None:
        raise UsageError("fine-tuning trains by the number of reviews and takes no --steps")
    run_all(folder / "fine_tuning.csv")
    print(f"fine_tuning.csv: {len(_read_rows(folder / 'fine_tuning.csv'))} runs")


EXPERIMENTS = {
    "masking-rate": masking_rate, "masking-design": masking_design, "rlvr": rlvr, "peft": peft, "fine-tuning": fine_tuning,
}  # fmt: skip
"""What runs what is missing of an experiment, with the files of the given folder."""
