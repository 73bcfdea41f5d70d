"""How the set-up commands speak: one line a host for people, and the same facts as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rootcellar import ambient
from rootcellar.hosts.plan import Step
from rootcellar.setup_steps import Outcome


def plan_as_text(planned: Sequence[Step | Outcome]) -> str:
    """The plan: per file what will be done, and the diff."""
    blocks: list[str] = []
    for item in planned:
        if isinstance(item, Outcome):
            blocks.append(_line(item))
            continue
        head = f"{item.place.host.title}: {item.act.value} `{item.name}` in {item.place.name}"
        blocks.append("\n".join(part for part in (head, item.diff()) if part))
    return "\n\n".join(blocks) or "There is nothing to do."


def as_text(outcomes: Sequence[Outcome], note: str) -> str:
    """One line a host, its details under it."""
    lines = [note] if note else []
    for outcome in outcomes:
        lines.append(_line(outcome))
        lines += [f"    {detail}" for detail in outcome.details]
    return "\n".join(lines) or "There is nothing to do."


def _line(outcome: Outcome) -> str:
    status = f"refused: {outcome.refusal}" if outcome.refusal else outcome.status
    where = f"  ({ambient.shown(outcome.file)})" if outcome.file else ""
    return f"{outcome.host.title:<24} {status}{where}"


def as_json(found: Sequence[Step | Outcome] | dict[str, Any]) -> str:
    """The same facts for programs."""
    if isinstance(found, dict):
        return json.dumps(found, indent=2, ensure_ascii=False)
    return json.dumps({"hosts": [facts(item) for item in found]}, indent=2, ensure_ascii=False)


def facts(item: Step | Outcome) -> dict[str, Any]:
    """One planned step or outcome, for programs."""
    if isinstance(item, Step):
        return {
            "host": item.place.host.id, "title": item.place.host.title, "file": item.place.path,
            "scope": item.place.scope.value, "act": item.act.value, "status": "planned", "diff": item.diff(),
        }  # fmt: skip
    told: dict[str, Any] = {
        "host": item.host.id, "title": item.host.title, "file": item.file, "act": item.act,
        "status": "refused" if item.refusal else item.status, "details": list(item.details),
    }  # fmt: skip
    if item.refusal:
        told |= {"why": item.refusal.message, "hint": item.refusal.hint, "reason": item.refusal.reason}
    if item.command:
        told["command"] = list(item.command)
    if item.proof:
        told["proof"] = dataclasses.asdict(item.proof)
    return told
