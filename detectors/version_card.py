"""The model card of a version that was fine-tuned here."""

from typing import Any

from detectors.cards import DetectorCard
from detectors.comparison import MAX_DEV_RISE, Comparison

_CARD = """\
# {title}, {preset}, fine-tuned

Made here on {created} from `{origin_weights}` with what people labelled. Everything that the card of the
shipped weights says of the method, its limits and its licence holds for this version too.

## Data

{counts}

Labels: {origin}. The held-back clips took no part in training.

## How

```
{command}
```

Trained: {trained}. {steps} steps of {batch_size} views, seed {seed}. Calibration: {calibrated_on}.
{notes}

## Before and after

{table}

{completed}A version is kept only if its EER on the held-back labelled clips is lower than before and, where
there is a dev part, dev's macro EER is at most {rise:.0f} point higher. "Before" is the version that this one
replaced.
"""
_TRAINED = {
    "heads": "the head",
    "lora": "the head, low-rank additions to the front-end's attention (merged), and the judge of what the "
    "speaker network hears, where there is one",
    "all": "all weights, but for the speaker network's own, where there is one",
}


def version_card(card: DetectorCard, facts: dict[str, Any], comparison: Comparison) -> str:
    """Markdown. card: of the weights that were replaced. facts: as saved in config.json."""
    tuning = facts["tuning"]
    counts = ["| | bona fide | spoof |", "|---|---|---|"] + [
        f"| {name} | {of['bonafide']} | {of['spoof']} |" for name, of in facts["counts"].items()
    ]
    completed = f"The held-back clips lack a class; in its place stand {comparison.completed}.\n\n"
    return _CARD.format(
        title=card.title,
        preset=card.preset,
        created=facts["created"],
        origin_weights=facts["from"],
        counts="\n".join(counts),
        origin=facts["origin"],
        command=facts["command"],
        trained=_TRAINED[tuning["train"]],
        steps=tuning["steps"],
        batch_size=tuning["batch_size"],
        seed=tuning["seed"],
        calibrated_on=facts["calibrated_on"],
        notes="\n".join(facts["notes"]),
        table=comparison.table(),
        completed=completed if comparison.completed else "",
        rise=MAX_DEV_RISE,
    )
