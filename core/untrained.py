"""Graph networks with random weights, whose embeddings the few-label regressions also read.

A graph network that was never trained still maps unlike graphs to unlike vectors (random
features; Rahimi and Recht, 2007, show why regressions on such can do well). Regressions on
several embeddings err differently, and their mean ranks better than any of them
(docs/results.md). They cost no label, and some of a tuned score's time only.
"""

from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch
from .encoder import CLEncoder, EncoderConfig
from .segment_network import SegmentNetwork
from .training import seeded

#: One draw for everyone: outputs are then the same for every set of labels.
_SEED = 0


class UntrainedNetworks(nn.Module):
    """An encoder and a network over segments as they are before any training.

    Their weights are kept and saved like all others, since a generator need not give the
    same numbers in another version of torch.
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Draw the weights, always the same; the global random state is left alone.

        Args:
            config: Sizes of the encoder.
        """
        super().__init__()
        with seeded(_SEED):
            self.encoder = CLEncoder(config)
            self.segments = SegmentNetwork()
        self.segments.head = nn.Sequential()  # only its embeddings are read

    def forward(self, batch: GraphBatch) -> tuple[Float[Tensor, "graphs _"], ...]:
        """Each network's embeddings."""
        return self.encoder(batch), self.segments.embed(batch)
