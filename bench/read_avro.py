"""Reads the .avro files of a folder into dictionaries, and does nothing with them: ``python read_avro.py FOLDER``."""

import sys
from pathlib import Path

import fastavro

if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).glob("*.avro")):
        with path.open("rb") as file:
            for _ in fastavro.reader(file):
                pass
