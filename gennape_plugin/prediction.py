"""What a score says: numbers with their meaning, never a bare float."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

#: What a score is, in words.
_BASIS: Final = {
    "members": "standard deviations above the average NAS-Bench-101 cell\n"
    "            (of predicted accuracy)",
    "size": "standard deviations above the average NAS-Bench-101 cell\n"
    "            (of size and depth alone: members are not trusted this far from training)",
    "population": "normal score among the networks given together",
    "labels": "accuracy predicted from the labels of fine-tuning, a fraction",
}


@dataclass(frozen=True)
class Prediction:
    """The prediction for one network.

    Attributes:
        name: Name of the network, as given.
        score: Higher is better; this is what ranks. ``basis`` says what it is made of.
        accuracy: Mean predicted accuracy of the ensemble's trained members, in percent, cut
            to 0 to 100; not to be relied on at a distance above 1.
        accuracy_std: Standard deviation of the predictions of all members that predict an
            accuracy, in percentage points. Disagreement, not a calibrated error.
        interval: Where the accuracy lies with 90 % coverage, in percent: by NAS-Bench-101 cells
            held out (familiar networks), by the stretched errors of four other families
            (others; another data set may lie outside), or after fine-tuning by the labels
            left out in turn; ``None`` where nothing was held out, or too little.
        dataset: Data set that the accuracy refers to.
        unit: What exactly the accuracy estimates.
        basis: ``"members"``: standard deviations of predicted accuracy above the average
            NAS-Bench-101 cell; ``"size"``: the same of the size prior, for networks at a
            distance above 1 (the order between the two kinds has not been evaluated);
            ``"population"``: rank among the networks given together; ``"labels"``: accuracy
            predicted from fine-tuning, as a fraction.
        flops: FLOPs of one forward pass at batch size 1, ``2 x multiply-adds``, counting
            convolutions and matrix products.
        params: Learned parameters.
        members: Each member's own output: accuracies in percent; ``flops`` in GFLOPs; scores
            without a unit of the other members in ``orders``. Differences of scores of
            ``...pairwise`` are logits of the first network being the better one.
        distance: Distance of its embeddings from those of the training graphs (the largest
            of the encoder's and the segment network's); 99 % of those stay below 1.
        unseen: Share of its operations whose label was never trained on.
        graph_hash: Canonical hash of the computation graph.
        notes: Ways in which the network lies outside of what the weights were trained on,
            one sentence each; empty where none is known.
        orders: Names of the members whose outputs are no accuracies.
        label_distance: After fine-tuning, distance from the labelled networks: 99 % of those
            stay below 1 when they are left out. ``None`` before.
    """

    name: str
    score: float
    accuracy: float
    accuracy_std: float
    dataset: str
    unit: str
    basis: str
    flops: int
    params: int
    members: Mapping[str, float]
    distance: float
    graph_hash: str
    notes: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    unseen: float = 0.0
    orders: tuple[str, ...] = ()
    label_distance: float | None = None

    @property
    def familiar(self) -> bool:
        """Whether the network is like those that the accuracy was learned from.

        Those are the training graphs: ``distance`` up to 1 and nothing unseen; after
        fine-tuning the labelled networks: ``label_distance`` up to 1.
        """
        if self.label_distance is not None:
            return self.label_distance <= 1
        return self.distance <= 1 and self.unseen <= 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        interval = None if self.interval is None else list(self.interval)
        lists = {"notes": list(self.notes), "orders": list(self.orders), "interval": interval}
        return {**asdict(self), **lists}

    def _unit(self, member: str) -> str:
        if member == "flops":
            return " GFLOPs"
        return "" if member in self.orders else " %"

    def __str__(self) -> str:
        members = "  ".join(
            f"{name} {value:.2f}{self._unit(name)}" for name, value in self.members.items()
        )
        accuracy = f"{self.accuracy:.2f} % +- {self.accuracy_std:.2f}"
        if self.label_distance is None:
            accuracy += " among members"
        if not self.familiar:
            accuracy = f"{self.accuracy:.2f} %, extrapolated: do not rely on it"
        if self.interval is not None:
            low, high = self.interval
            accuracy += f"\n            90 % interval {low:.1f} to {high:.1f} %"
        labelled = (
            ""
            if self.label_distance is None
            else f"            {self.label_distance:.2f} from the labelled networks (likewise)\n"
        )
        unseen = f"; {self.unseen:.0%} of the operations never trained on" if self.unseen else ""
        return (
            f"{self.name}\n"
            f"  score     {self.score:+.3f}  {_BASIS[self.basis]}\n"
            f"  accuracy  {accuracy}\n"
            f"            ({self.unit})\n"
            f"  distance  {self.distance:.2f}  (99 % of the training graphs stay below 1){unseen}\n"
            f"{labelled}"
            f"  cost      {engineering(self.flops)}FLOPs (2 x multiply-adds), "
            f"{engineering(self.params)}parameters\n"
            f"  members   {members}" + "".join(f"\n  note      {note}" for note in self.notes)
        )


def engineering(value: float) -> str:
    """``81.62 M`` for 81,620,000: four digits and a prefix."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g} {prefix}"
    return f"{value:.4g} "


def table(predictions: list[Prediction]) -> str:
    """A ranking as text, in the given order."""
    header = ("rank", "network", "score", "accuracy %", "+-", "distance", "FLOPs", "params")
    rows = [
        (
            str(place),
            p.name,
            f"{p.score:+.3f}",
            f"{p.accuracy:.2f}",
            f"{p.accuracy_std:.2f}" if p.familiar else "?",
            f"{p.distance:.2f}",
            engineering(p.flops).strip(),
            engineering(p.params).strip(),
        )
        for place, p in enumerate(predictions, start=1)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
