import pytest
import torch
from gennape_plugin.core.batch import GraphBatch, Kinds
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.layers import CONVOLUTIONS, GraphLayers, NodeEmbedding, mean_readout
from gennape_plugin.core.ops import PAPER_INDEX, PAPER_LABELS
from gennape_plugin.core.paper import PaperOp
from gennape_plugin.core.quotient import quotient, unmerged
from small_models import chain, store_of
from torch_geometric.nn import GCNConv, GINConv, GraphConv

SIZE = (32.0, 16.0, 32.0, 16.0, 64.0, 128.0)
CONV = PaperOp(PAPER_INDEX["Conv"], SIZE, (3, 5), bias=False)
CONV_BIAS = PaperOp(PAPER_INDEX["Conv"], SIZE, (3, 5), bias=True)
RELU = PaperOp(PAPER_INDEX["ReLU"], SIZE)


class TestNodeEmbedding:
    def test_the_split_of_the_published_code(self):
        embedding = NodeEmbedding(32)
        assert embedding.regular_op.embedding_dim == 24
        assert embedding.weighted_op.embedding_dim == 14
        assert embedding.resolution.out_features == 8
        assert (embedding.kernel.num_embeddings, embedding.kernel.embedding_dim) == (8, 4)
        assert embedding.regular_op.num_embeddings == len(PAPER_LABELS) == 32

    @pytest.mark.parametrize("width", [32, 64])
    def test_every_part_lies_where_it_should(self, width):
        embedding = NodeEmbedding(width)
        plain, biased, relu = embedding(Kinds.of([CONV, CONV_BIAS, RELU]))
        # H and W over 256, C over 512 (method, point 10)
        scaled = torch.tensor([32 / 256, 16 / 256, 32 / 256, 16 / 256, 64 / 512, 128 / 512])
        resolution = embedding.resolution(scaled)
        op = embedding.weighted_op.weight[CONV.label]
        kernel = torch.cat([embedding.kernel.weight[3], embedding.kernel.weight[5]])
        for found, bias in ((plain, [1.0, 0.0]), (biased, [0.0, 1.0])):
            torch.testing.assert_close(
                found, torch.cat([op, resolution, kernel, torch.tensor(bias)])
            )
        torch.testing.assert_close(
            relu, torch.cat([embedding.regular_op.weight[RELU.label], resolution])
        )

    def test_regular_operations_do_not_train_the_weighted_table(self):
        embedding = NodeEmbedding(32)
        embedding(Kinds.of([RELU])).sum().backward()
        assert embedding.weighted_op.weight.grad.abs().max() == 0
        assert embedding.regular_op.weight.grad[RELU.label].abs().min() > 0

    @pytest.mark.parametrize("width", [24, 36, 0, -32])
    def test_impossible_widths(self, width):
        with pytest.raises(InvalidInputError, match="multiple of 8 from 32"):
            NodeEmbedding(width)


class TestGraphLayers:
    def test_kgnn_equals_graph_conv_on_the_whole_graph(self):
        batch = store_of("nasbench101", 4).batch(range(4))
        layers, x = GraphLayers(32, 3), torch.randn(len(batch.kinds), 32)
        plan = quotient(batch, 3)
        merged = layers(x, batch, plan)[plan.classes]
        whole = x[batch.kind]
        for layer in layers.layers:
            own = GraphConv(32, 32)
            own.load_state_dict(layer.state_dict())
            whole = torch.tanh(own(whole, batch.edges))
        torch.testing.assert_close(merged, whole, rtol=1e-5, atol=1e-5)

    def test_kgnn_is_the_equation(self):
        """Morris et al. (2019): ``x W1 + sum over producers of x W2``, messages downstream."""
        batch = GraphBatch.of([chain(2)])
        layers, x = GraphLayers(32, 1), torch.randn(len(batch.kinds), 32)
        layer, plan = layers.layers[0], unmerged(batch, 1)
        nodes = x[batch.kind]
        adjacency = torch.zeros(batch.num_nodes, batch.num_nodes)
        adjacency[batch.edges[1], batch.edges[0]] = 1
        expected = torch.tanh(
            nodes @ layer.lin_root.weight.T
            + adjacency @ nodes @ layer.lin_rel.weight.T
            + layer.lin_rel.bias
        )
        torch.testing.assert_close(layers(x, batch, plan), expected, rtol=1e-5, atol=1e-5)

    def test_gin_equals_the_whole_graph(self):
        batch = store_of("nasbench201", 2).batch(range(2))
        layers, x = GraphLayers(32, 2, convolution="gin"), torch.randn(len(batch.kinds), 32)
        plan = quotient(batch, 2)
        whole = x[batch.kind]
        for layer in layers.layers:
            assert isinstance(layer, GINConv)
            whole = torch.tanh(layer(whole, batch.edges))
        torch.testing.assert_close(
            layers(x, batch, plan)[plan.classes], whole, rtol=1e-4, atol=1e-5
        )

    def test_gcn_sees_the_whole_graph(self):
        batch = store_of("nasbench101", 2).batch(range(2))
        layers, x = GraphLayers(32, 2, convolution="gcn"), torch.randn(len(batch.kinds), 32)
        whole = x[batch.kind]
        for layer in layers.layers:
            assert isinstance(layer, GCNConv)
            whole = torch.tanh(layer(whole, batch.edges))
        torch.testing.assert_close(layers(x, batch, unmerged(batch, 2)), whole)

    def test_which_ones_merge(self):
        merging = [name for name in CONVOLUTIONS if GraphLayers(32, 1, convolution=name).merges]
        assert merging == ["kgnn", "gin"]

    def test_unknown_convolution(self):
        with pytest.raises(InvalidInputError, match="choose from kgnn, gcn, gin"):
            GraphLayers(32, 1, convolution="gat")

    @pytest.mark.parametrize("layers", [0, -1])
    def test_no_layers(self, layers):
        with pytest.raises(InvalidInputError, match="at least 1"):
            GraphLayers(32, layers)


def test_the_readout_is_a_mean_over_nodes():
    batch = store_of("nasbench101", 3).batch(range(3))
    plan = quotient(batch, 2)
    x = torch.randn(int(plan.classes.max()) + 1, 32)
    nodes = x[plan.classes]
    expected = [nodes[batch.graph == i].mean(0) for i in range(3)]
    torch.testing.assert_close(mean_readout(x, plan, batch), torch.stack(expected))
