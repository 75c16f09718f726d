"""python -m lib.plots.explorables: write the pages anew."""

from lib.plots.explorables import write

if __name__ == "__main__":
    for path in write():
        print(f"{path.name}: {path.stat().st_size:,} bytes")
