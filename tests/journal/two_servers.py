"""One of several servers that change and undo in the same place at once: `two_servers.py PLACE NUMBER CALLS`."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from journal.cellar import Cellar
from rootcellar.confine import Overwrite
from rootcellar.errors import Refusal
from rootcellar.journal.changes import Filter, State
from rootcellar.journal.undo import Chain


def main(place: Path, number: int, calls: int) -> Counter[str]:
    """What was done."""
    os.environ["XDG_DATA_HOME"] = str(place / "data")
    random.seed(number)
    counts: Counter[str] = Counter()
    cellar = Cellar(place)
    acts = [
        lambda r: r.entry("f").edit(lambda data: data + b"%d" % number),
        lambda r: r.entry("g").replace(os.urandom(50_000)),
        lambda r: r.entry("f").append(b"%d" % number),
        lambda r: r.entry("d").move(r.entry("e")),
        lambda r: r.entry("e").move(r.entry("d")),
        lambda r: r.entry("d").trash(),
        lambda r: r.entry("g").move(r.entry("f"), Overwrite.REPLACE),
        lambda r: r.entry("f").copy(r.entry("g"), Overwrite.REPLACE),
        lambda r: r.entry(f"own{number}").create(b"x"),
    ]
    for _ in range(calls):
        try:
            if random.random() < 0.4:
                standing = [c.id for c in cellar.store.changes(Filter(), count=30).changes if c.state is State.DONE]
                cellar.undo(random.choice(standing), chain=random.choice(list(Chain)))
                counts["undone"] += 1
            else:
                counts["made"] += cellar.do(random.choice(acts)) is not None
        except (Refusal, IndexError) as refusal:
            counts[type(refusal).__name__] += 1
    cellar.close()
    return counts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
