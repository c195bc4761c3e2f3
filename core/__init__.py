"""The numerical core of GENNAPE: graphs, features, models and training."""
