"""The tables against facts worked out by hand or by another route, not taken from the files."""

import math

import pytest

from lib.slides import TABLES, classify_era, era_ranges, example, load_table, parse_range, parse_size
from lib.slides.decks import DIRECTORY
from lib.slides.schema import Column

SHAPES = {
    "masking_rate": (4, 10), "gpt_models": (6, 4), "gpt3_data": (5, 3), "gpt3_sizes": (8, 4), "llama": (8, 8),
    "llama3_arch": (3, 12), "bart_rouge": (7, 7), "t5_nlu": (6, 4), "t5_generation": (6, 5),
    "foundation_models": (19, 8), "memory": (4, 5), "glue": (6, 11), "lora_gpt3": (8, 8), "eras": (3, 7),
}  # fmt: skip

EMPTY_ON_THE_SLIDE = {
    "masking_rate": 3 + 2 + 1,  # no difference at 15 %; no rate, example and perplexity at random
    "bart_rouge": 3,  # UniLM on XSum
    "foundation_models": 2 + 5 + 5,  # GPT-4's size and text; Claude 2 and PaLM 2 have a name and nothing else
    "glue": 1,  # no average of the numbers of examples
    "lora_gpt3": 4,  # rows without bold
}


def test_all_fourteen_tables_are_there_beside_claims_titles_and_excuses_and_no_other():
    assert set(TABLES) == set(SHAPES)
    assert {path.stem for path in DIRECTORY.glob("*.csv")} == set(TABLES) | {"claims", "titles", "excused"}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_columns_and_empty_cells_are_those_of_the_slide(name):
    table = load_table(name)
    assert table.shape == SHAPES[name]
    assert list(table.columns) == [column.name for column in TABLES[name].columns]
    assert table.isna().sum().sum() == EMPTY_ON_THE_SLIDE.get(name, 0)


@pytest.mark.parametrize("name", SHAPES)
def test_dtypes_are_those_that_the_kinds_promise(name):
    table = load_table(name)
    for column in TABLES[name].columns:
        expected = {"whole": "i", "number": "f", "month": "M", "flag": "b"}.get(column.kind)
        if expected:
            assert table[column.name].dtype.kind == expected
        else:
            assert table[column.name].dropna().map(type).eq(str).all()


def test_a_changed_frame_does_not_change_the_next():
    table = load_table("gpt3_data")
    table.loc[0, "tokens_billion"] = 0
    assert load_table("gpt3_data").tokens_billion[0] == 410


def test_masking_rate_differences_are_those_to_the_first_row():
    table = load_table("masking_rate")
    for score, difference in (("mnli", "d_mnli"), ("qnli", "d_qnli"), ("squad_f1", "d_squad")):
        assert (table[score] - table[score][0])[1:].round(6).tolist() == table[difference][1:].tolist()
    assert table.ppl.dropna().is_monotonic_increasing


def test_gpt_models_grow_and_follow_in_time():
    table = load_table("gpt_models")
    sizes = table.params.map(parse_size)
    assert table.date.is_monotonic_increasing and sizes.is_monotonic_increasing
    assert [round(b / a, 2) for a, b in zip(sizes[:2], sizes[1:3])] == [12.82, 116.67]
    assert sizes.iloc[-1] == 1_760_000_000_000
    months = table.date.dt.year * 12 + table.date.dt.month
    assert months.diff().dropna().tolist() == [8, 15, 20, 10, 4]


def test_gpt3_mixture_sums_to_499_billion_tokens_and_to_101_percent():
    table = load_table("gpt3_data")
    assert table.tokens_billion.sum() == 499 and table.weight_pct.sum() == 101
    epochs = (table.weight_pct / 100 * 300 / table.tokens_billion).round(2)
    assert epochs.tolist() == [0.44, 3.47, 2.0, 0.44, 3.0]


def test_gpt3_sizes_follow_from_their_layers_within_two_percent():
    for row in load_table("gpt3_sizes").itertuples():
        d = row.d_model_ext
        recount = 50257 * d + 2048 * d + row.layers_ext * (12 * d * d + 13 * d) + 2 * d
        assert abs(recount / parse_size(row.params) - 1) < 0.02


def test_llama_peak_rates_and_grouped_heads_go_with_size():
    table = load_table("llama")
    assert table[table.gqa].params.tolist() == ["34B", "70B"]
    tokens_per_parameter = table.tokens.map(parse_size) / table.params.map(parse_size)
    assert tokens_per_parameter.round(1).tolist() == [142.9, 76.9, 42.4, 21.5, 285.7, 153.8, 58.8, 28.6]
    assert set(table.peak_lr) == {3e-4, 1.5e-4}


def test_llama3_counts_follow_from_its_own_table():
    counts = [
        2 * r.vocabulary * r.model_dim + r.model_dim + r.layers * (
            2 * r.model_dim**2 + 2 * r.model_dim * r.kv_heads * (r.model_dim // r.attention_heads)
            + 3 * r.model_dim * r.ffn_dim + 2 * r.model_dim)
        for r in load_table("llama3_arch").itertuples()
    ]  # fmt: skip
    assert counts == [8_028_164_096, 70_549_512_192, 405_845_000_192]


def test_bart_gains_about_six_points_on_xsum_over_the_best_before():
    table = load_table("bart_rouge").set_index("model")
    gains = (table.loc["BART"] - table.drop("BART").max()).round(2)
    assert gains.tolist() == [0.83, 1.07, 0.39, 6.33, 5.77, 5.98]


def test_t5_tables_improve_with_size_except_in_translation():
    nlu, generation = load_table("t5_nlu")[1:], load_table("t5_generation")[1:]
    assert all(nlu[column].is_monotonic_increasing for column in nlu.columns[1:])
    rising = [column for column in generation.columns[1:] if generation[column].is_monotonic_increasing]
    assert rising == ["bleu_enfr", "cnndm_rouge1"]
    best = load_table("t5_nlu").set_index("model")
    assert (best.loc["T5-11B"] - best.loc["Previous best"]).round(2).tolist() == [0.9, 0.72, 4.3]


def test_foundation_models_have_three_architectures_and_sizes_that_can_be_read():
    table = load_table("foundation_models")
    assert table.arch.value_counts().to_dict() == {
        "Decoder-Only": 7, "Encoder-Decoder": 5, "Encoder-Only": 4, "Close-Sourced": 3}  # fmt: skip
    sizes = table.set_index("model").params.dropna().map(parse_range)
    assert (sizes["T5"].low, sizes["T5"].high) == (60e6, 11e9)
    assert all(sizes[name].high <= 355e6 for name in table[table.arch == "Encoder-Only"].model)


def test_memory_is_two_bytes_to_run_and_three_recipes_to_train():
    table = load_table("memory")
    assert (table.inference_gb / table.params_b).tolist() == [2, 2, 2, 4]
    assert (table.finetune_gb / table.params_b).tolist() == [16, 12, 12, 16]


def test_glue_averages_are_the_means_of_nine_columns_but_for_elmo():
    table = load_table("glue").set_index("system")
    scores = table.drop("train_size")
    means = scores.drop(columns="average").mean(axis=1)
    wrong = scores.index[(means - scores.average).abs() > 0.05 + 1e-9].tolist()
    assert wrong == ["BiLSTM+ELMo+Attn"]
    assert means.round(3).tolist() == [74.0, 70.944, 75.133, 79.6, 82.078]
    assert table.loc["train_size"].drop("mnli_mm").sum() == 950_200


def test_lora_sizes_follow_from_the_ranks():
    table = load_table("lora_gpt3")
    lora = table[table.method == "GPT-3 (LoRA)"].trainable_m.tolist()
    assert [round(96 * 2 * 2 * 12288 * rank / 1e6, 1) for rank in (1, 8)] == lora
    for column in ("wikisql", "mnli_m", "samsum_r1", "samsum_r2", "samsum_rl"):
        bold = table.bold.fillna("").map(lambda cell, column=column: column in cell.split())
        assert table[column].max() in set(table[column][bold])


def test_eras_leave_a_gap():
    assert classify_era(117e6) == "Transfer DL" and classify_era(175e9) == "LLMs"
    assert classify_era(99_999_999) == "Specialized DL" and classify_era(100_000_000) == "Transfer DL"
    assert classify_era(1.5e9) is None and classify_era(1.76e12) is None
    assert list(era_ranges()) == load_table("eras").era.tolist()


@pytest.mark.parametrize("parameters", [0, -1, math.inf, math.nan])
def test_an_impossible_size_has_no_era(parameters):
    with pytest.raises(ValueError, match="parameters must be a positive number"):
        classify_era(parameters)


def test_an_unknown_table_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean gpt_models"):
        load_table("gpt_model")
    with pytest.raises(ValueError, match="known are masking_rate"):
        load_table("?")


@pytest.mark.parametrize("content, complaint", [
    ("dataset,tokens_billion\nA,1\n", "must begin with dataset,tokens_billion,weight_pct"),
    ("dataset,tokens_billion,weight_pct\nA,1\n", "line 2: expected 3 cells, got 2"),
    ("dataset,tokens_billion,weight_pct\nA,1,2\nB,one,2\n", "3: tokens_billion must be a whole, got 'one'"),
    ("dataset,tokens_billion,weight_pct\nA,,2\n", "line 2: tokens_billion is empty"),
    ("dataset,tokens_billion,weight_pct\n", "header and no rows"),
    ("", "must begin with"),
    ('dataset,tokens_billion,weight_pct\n"A,1,2\n', "damaged"),
    (b"\xff\xfe\x00", "damaged"),
    (None, "missing"),
])  # fmt: skip
def test_a_damaged_file_is_a_clear_error(tmp_path, content, complaint):
    path = tmp_path / "gpt3_data.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=complaint) as error:
        load_table("gpt3_data", directory=tmp_path)
    assert "gpt3_data.csv" in str(error.value)


@pytest.mark.parametrize("name, cell, bad, kind", [
    ("gpt_models", "2018-06", "2018.6", "month"), ("gpt_models", "117M", "117 apples", "size"),
    ("llama", ",no,", ",maybe,", "flag"), ("glue", "80.6", "nan", "number"), ("glue", "80.6", "inf", "number"),
])  # fmt: skip
def test_a_cell_of_the_wrong_kind_is_named(tmp_path, name, cell, bad, kind):
    text = (DIRECTORY / f"{name}.csv").read_text().replace(cell, bad, 1)
    (tmp_path / f"{name}.csv").write_text(text)
    with pytest.raises(ValueError, match=f"must be a {kind}, got"):
        load_table(name, directory=tmp_path)


def test_a_column_of_an_unknown_kind_is_refused(unchecked):
    with pytest.raises(ValueError, match="kind must be one of"):
        Column("a", "integer", "a number")


def test_examples_are_found_and_the_nearest_is_named():
    assert example("E2")["text"].split()[3] == "mask" and len(example("E2")["text"].split()) == 13
    assert len(set(example("E9")["texts"])) == 16
    assert all(len(text.split()) == 15 for text in example("E15")["texts"])
    assert len(example("E17")["answers"][1].split()) == 18
    with pytest.raises(ValueError, match="did you mean"):
        example("e3x")


def test_a_damaged_line_of_examples_is_named(tmp_path):
    path = tmp_path / "examples.jsonl"
    path.write_text('{"id": "E1"}\n{"id": \n')
    with pytest.raises(ValueError, match="line 2"):
        example("E1", path=path)
