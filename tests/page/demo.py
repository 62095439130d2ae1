#!/usr/bin/env python3
"""Starts `tidemark demo` on free ports, looks at its wall in a real browser, and stops it.

    demo.py [--shot FILE] [--settle-ms MS]

What is checked is in wall.mjs: the page shows what the server says at the same cut, loads nothing
from elsewhere, complains of nothing, overflows nowhere. Then SIGTERM must end the demo with exit 0.
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from process import Server  # noqa: E402

BROWSER = "/usr/bin/chromium"
LOOK_SECONDS_MAX = 120


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--shot", default="")
    ask.add_argument("--settle-ms", default="3000")
    args = ask.parse_args()
    if not os.path.exists(BROWSER) or shutil.which("node") is None:
        print(f"skipped: no node, or no browser at {BROWSER}; install with: apt-get install chromium")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shot = pathlib.Path(args.shot or folder / "wall.png").resolve()
        shot.parent.mkdir(parents=True, exist_ok=True)
        failed = look(folder, shot, args.settle_ms)
        print(f"the picture is {shot}" if args.shot else f"a picture of {shot.stat().st_size} bytes"
              if shot.exists() else "no picture")
    print(f"{2 - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


def look(folder, shot, settle_ms):
    """How many of the two checks failed: the page, and the end of the demo."""
    failed = 0
    with Server(["demo"], folder) as demo:
        page = [
            "node", str(ROOT / "tests/page/wall.mjs"), "--url", demo.url, "--shot", str(shot),
            "--settle-ms", settle_ms, "--timeout-ms", "40000",
        ]
        failed += subprocess.run(page, timeout=LOOK_SECONDS_MAX).returncode != 0
        code = demo.stop(signal.SIGTERM)
        if code != 0:
            print(f"FAIL SIGTERM ended the demo with exit {code}")
            failed += 1
    return failed


if __name__ == "__main__":
    main()
