"""Coverage-guided fuzzing of the parsers, by atheris: ``guided.py TARGET|all SECONDS``.

It ends with status 0 when nothing was found. The input that made a parser fail is printed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import seeds


def fuzz(name: str, seconds: str) -> None:
    """Fuzz one target; the process ends with it."""
    import atheris

    with atheris.instrument_imports(include=["whiteout"]):
        import targets

    with tempfile.TemporaryDirectory(prefix=f"whiteout-fuzz-{name}-") as directory:
        corpus = Path(directory, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(seeds.SEEDS[name]):
            (corpus / f"seed{number}").write_bytes(seed)
        options = [
            f"-max_total_time={seconds}",
            "-max_len=32768",
            "-timeout=20",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={directory}/",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], str(corpus), *options], targets.TARGETS[name])
        atheris.Fuzz()


def fuzz_all(seconds: str) -> int:
    """Fuzz every target in a process of its own, and say how often each was called."""
    status = 0
    for name in seeds.SEEDS:
        ended = subprocess.run(
            [sys.executable, __file__, name, seconds], capture_output=True, check=False
        )
        told = (ended.stdout + ended.stderr).decode("utf-8", "replace")
        calls = re.search(r"number_of_executed_units: (\d+)", told)
        print(f"{name:<15} {int(calls[1]) if calls else 0:>9,} inputs", flush=True)
        if ended.returncode != 0 or calls is None:
            print(told[-8000:])
            status = 1
    return status


if __name__ == "__main__":
    target, time = sys.argv[1:]
    if target == "all":
        sys.exit(fuzz_all(time))
    fuzz(target, time)
