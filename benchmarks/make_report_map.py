"""Write the map of families that `gennape report` draws: of the shipped weights, from samples.

Run it after changing the shipped weights or a family's graphs:

    python benchmarks/make_report_map.py
"""

import json

from gennape_plugin import Gennape
from gennape_plugin.report.embedding_map import ASSET, make_map, to_json


def main() -> None:
    estimator = Gennape.from_pretrained()
    made = make_map(estimator.model, estimator.card["sha256"])
    text = json.dumps(to_json(made), separators=(",", ":"))
    ASSET.write_text(text + "\n", encoding="utf-8")
    print(f"{ASSET.name}: {len(text) / 1024:.1f} KiB, {len(made.families)} families")


if __name__ == "__main__":
    main()
