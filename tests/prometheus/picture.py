"""Draws the dashboard's panels from the answers to their queries: picture.py ANSWERS PICTURE."""

import io
import json
import re
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402
from PIL import Image  # noqa: E402

COLUMNS = 24
ROW_HEIGHT = 0.3
# More lines than these say nothing at this size.
MAX_LEGEND = 6
UNITS = {
    "s": lambda value, _: f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms",
    "reqps": lambda value, _: f"{value:g}/s",
    "percentunit": lambda value, _: f"{value * 100:g} %",
    "short": lambda value, _: f"{value:g}",
}


def named(legend, labels):
    """The legend of a series, as Grafana makes it."""
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()
    return text.removeprefix("agb.gateway.v1.") or "no error"


def draw(axes, panel, answers, begin, seconds):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    # Ports differ from run to run.
    series = [
        (re.sub(r"127\.0\.0\.1:\d+", lambda found: replica(found[0]), named(answer["legend"], one["metric"])), one["values"])
        for answer in answers
        for one in answer["series"]
    ]
    for number, (name, values) in enumerate(series):
        points = [(at - begin, float(value)) for at, value in values]
        label = name[:44] if number < MAX_LEGEND else None
        axes.plot(*zip(*points), linewidth=1.1, label=label)
    axes.set_title(panel["title"], fontsize=7.5, loc="left")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, seconds)
    axes.tick_params(labelsize=5.5, length=2)
    axes.yaxis.set_major_formatter(FuncFormatter(UNITS[unit]))
    axes.grid(linewidth=0.3, alpha=0.6)
    axes.legend(fontsize=4.8, loc="upper left", framealpha=0.6, borderpad=0.3, labelspacing=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


REPLICAS = {}


def replica(address):
    return REPLICAS.setdefault(address, f"replica {len(REPLICAS) + 1}")


def main():
    answers_file, picture = sys.argv[1:]
    with open(answers_file, encoding="utf-8") as file:
        data = json.load(file)
    by_title = {}
    for answer in data["answers"]:
        by_title.setdefault(answer["title"], []).append(answer)
    times = [at for answer in data["answers"] for one in answer["series"] for at, _ in one["values"]]
    begin, end = min(times), max(times)
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in data["panels"])
    figure = plt.figure(figsize=(13, height * ROW_HEIGHT))
    for panel in data["panels"]:
        place = panel["gridPos"]
        top = 1 - place["y"] / height
        if panel["type"] == "row":
            figure.text(0.01, top - 0.7 / height, panel["title"], fontsize=9, weight="bold")
            continue
        left, width = place["x"] / COLUMNS + 0.035, place["w"] / COLUMNS - 0.045
        bottom = top - (place["h"] - 0.9) / height
        axes = figure.add_axes((left, bottom, width, (place["h"] - 2.4) / height))
        draw(axes, panel, by_title[panel["title"]], begin, end - begin)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=85)
    # Few colours make a small file.
    Image.open(drawn).convert("RGB").quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    main()
