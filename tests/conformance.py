#!/usr/bin/env python3
"""Flink's window cases through `tidemark run`, folded 1, 3 and 8,192 records at a time.

The cases and their runner lie beside the project, in shared/conformance; without them this suite is
skipped (exit 77). TIDEMARK names the binary, TIDEMARK_SHARED the folder. The rows must be the same
for every batch size, so a case that passes at one and fails at another is a bug of the engine.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("TIDEMARK_SHARED", ROOT.parent / "shared"))
BINARY = os.environ.get("TIDEMARK", str(ROOT / "target/release/tidemark"))
BATCH_RECORDS = (1, 3, 8192)
SECONDS_MAX = 180


def run(batch_records, folder):
    """Counts of one pass over all cases: passed, failed, skipped."""
    wrapper = folder / f"tidemark-{batch_records}"
    # `run.py` calls `tidemark run job.sql …`; the option goes after the subcommand.
    wrapper.write_text(f'#!/bin/sh\nshift\nexec "{BINARY}" run --batch-records {batch_records} "$@"\n')
    wrapper.chmod(0o755)
    runner = [sys.executable, str(SHARED / "conformance/run.py"), "--tidemark", str(wrapper)]
    done = subprocess.run(runner, stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
    print(f"batch of {batch_records}:", done.stdout, end="", flush=True)
    counts = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*$", done.stdout)
    return tuple(map(int, counts.groups())) if counts else (0, 1, 0)


def main():
    if not (SHARED / "conformance/run.py").exists():
        print(f"skipped: the conformance cases are not at {SHARED / 'conformance'}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        totals = [run(batch_records, pathlib.Path(name)) for batch_records in BATCH_RECORDS]
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    if skipped:
        print("skipped: cases the runner itself leaves out (changelog input, local time zones)")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
