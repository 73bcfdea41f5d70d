"""A deterministic project tree to measure on: sources, a dependency tree, an ignored build, one huge log.

`python tests/text/corpus.py DIR [--files 20000] [--log-mb 200]` writes it; the counts it returns are
exact, so that a search can be checked against them. The same arguments always give the same bytes.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field
from pathlib import Path

NEEDLE = "NEEDLE_7f3a"  # a literal on 40 lines of src, 25 of node_modules, 3 of the log (at full size)
FUNCTION = r"def process_[a-z]+_batch\("  # a regex that many .py files of src match
WORDS = (  # noqa: SIM905 - a sentence reads better than a list
    "value item result config handler buffer stream index offset length parse render update node tree cache token "
    "request response session user account order invoice price total count first last next state event queue worker"
).split()
SEED = 20_261_120


@dataclass(slots=True)
class Counts:
    """What the tree holds, for checking answers against."""

    files: int = 0
    directories: int = 0
    needles_src: int = 0
    needles_dependencies: int = 0
    needles_log: int = 0
    functions: int = 0
    python_files: int = 0
    size: int = 0
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Writer:
    base: Path
    rng: random.Random
    counts: Counts = field(default_factory=Counts)
    made: set[Path] = field(default_factory=set)

    def file(self, name: str, text: str) -> None:
        path = self.base / name
        if path.parent not in self.made:
            path.parent.mkdir(parents=True, exist_ok=True)
            parent = path.parent
            while parent != self.base and parent not in self.made:
                self.made.add(parent)
                self.counts.directories += 1
                parent = parent.parent
        data = text.encode()
        path.write_bytes(data)
        self.counts.files += 1
        self.counts.size += len(data)

    def python(self, lines: int) -> str:
        rng, out = self.rng, ["import os", "import sys", ""]
        while len(out) < lines:
            a, b, c = rng.choices(WORDS, k=3)
            if rng.random() < 0.02:
                out.append(f"def process_{a}_batch({b}, {c}):")
                self.counts.functions += 1
            else:
                out.append(f"    {a} = {b}.{c}({rng.randrange(10_000)}, key={b!r})  # {c} of {a}")
        return "\n".join(out) + "\n"

    def script(self, lines: int) -> str:
        rng = self.rng
        rows = (rng.choices(WORDS, k=4) for _ in range(lines))
        return "\n".join(f"  const {a}_{b} = require('./{c}').{d}({a}, {b});" for a, b, c, d in rows) + "\n"


def _plant(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = f"{lines[at]}  // {NEEDLE} planted"
    return "\n".join(lines)


def _sources(writer: _Writer, amount: int) -> None:
    rng, needles = writer.rng, max(1, 40 * amount // 8_500)
    planted = set(rng.sample(range(amount), needles))
    for n in range(amount):
        group, part = f"pkg{n % 61:02d}", f"mod{n // 61 % 9}"
        python = n % 2 == 0
        text = writer.python(rng.randrange(20, 150)) if python else writer.script(rng.randrange(20, 120))
        if n in planted:
            text = _plant(text, rng)
            writer.counts.needles_src += 1
        writer.counts.python_files += python
        suffix = "py" if python else rng.choice(("ts", "ts", "md", "json", "css"))
        writer.file(f"src/{group}/{part}/file_{n:05d}.{suffix}", text)


def _dependencies(writer: _Writer, amount: int) -> None:
    rng, needles = writer.rng, max(1, 25 * amount // 11_300)
    planted = set(rng.sample(range(amount), needles))
    for n in range(amount):
        package = f"node_modules/dep-{n // 45:03d}"
        inner = ("", "lib/", "dist/", "dist/cjs/", "src/util/")[n % 5]
        text = writer.script(rng.randrange(10, 100))
        if n in planted:
            text = _plant(text, rng)
            writer.counts.needles_dependencies += 1
        writer.file(f"{package}/{inner}f{n:05d}.{('js', 'js', 'js', 'ts', 'json')[n % 5]}", text)


def write_log(path: Path, size: int, counts: Counts) -> int:
    """A log of about `size` bytes with three needles; the number of its lines."""
    rng, lines = random.Random(SEED), 0
    quads = zip(*[iter(WORDS * 60)] * 4, strict=False)
    block = [f"{w} {x} took {rng.randrange(9_999)} ms for {y} {z}" for w, x, y, z in quads]
    path.parent.mkdir(parents=True, exist_ok=True)
    marks = {size // 7, size // 2, size - size // 9}
    with path.open("wb") as out:
        done = 0
        while done < size:
            rows = [f"2026-11-20T10:00:00.{n % 1000:03d}Z [{n:09d}] INFO {row}" for n, row in enumerate(block, lines)]
            for mark in sorted(marks):
                if done <= mark:
                    break
                rows[0] += f" {NEEDLE}"
                marks.discard(mark)
                counts.needles_log += 1
            lines += len(rows)
            done += out.write(("\n".join(rows) + "\n").encode())
    counts.size += done
    return lines


def write_corpus(base: Path, files: int = 20_000, log_mb: int = 200) -> Counts:
    """Writes the tree below `base`, which must not hold one yet."""
    writer = _Writer(base, random.Random(SEED))
    fixed = min(200, files // 20)
    dependencies = files * 11_300 // 20_000
    _dependencies(writer, dependencies)
    for n in range(fixed):
        writer.file(f"data/fixed_{n:03d}.txt", writer.script(400)[:10_239] + "\n")
    writer.file(".gitignore", "node_modules/\nbuild/\n*.log\n!keep.log\n/tmp\n")
    writer.file("src/.gitignore", "generated_*\n")
    writer.file(".env", "SECRET=do-not-read\n")
    writer.file(".git/config", "[core]\n\tbare = false\n")
    writer.file(".git/HEAD", "ref: refs/heads/main\n")
    writer.file("README.md", "# A tree to measure on\n")
    writer.file("big_source.py", writer.python(16_000))
    _sources(writer, max(1, files - writer.counts.files - (1 if log_mb else 0)))
    if log_mb:
        write_log(base / "logs" / "big.log", log_mb * 1_048_576, writer.counts)
        writer.counts.files += 1
        writer.counts.directories += 1
    return writer.counts


def main() -> None:
    """Writes a tree from the command line and prints its counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--log-mb", type=int, default=200)
    args = parser.parse_args()
    args.directory.mkdir(parents=True)
    print(write_corpus(args.directory, args.files, args.log_mb))


if __name__ == "__main__":
    main()
