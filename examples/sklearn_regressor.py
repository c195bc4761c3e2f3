"""GENNAPE among scikit-learn's regressors: a few labels, cross-validation, a pipeline.

    python examples/sklearn_regressor.py --labels nasbench201.jsonl.gz --column c10_test_acc_200ep

Without labels it only turns architectures into features.
"""

import argparse
import random

from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gennape_plugin.families import family
from gennape_plugin.hosts.sklearn import GennapeFeatures, GennapeRegressor
from gennape_plugin.labels import accuracies, read_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="nasbench201")
    parser.add_argument("--labels", help="labels file, .jsonl(.gz)")
    parser.add_argument("--column", default="accuracy", help="column of the accuracies, percent")
    parser.add_argument("--count", type=int, default=100, help="architectures to use")
    args = parser.parse_args()

    space, rng = family(args.family), random.Random(0)
    if args.labels is None:
        cells = [str(space.sample(rng)) for _ in range(args.count)]
        found = GennapeFeatures(family=args.family).fit_transform(cells)
        print(f"{found.shape[0]} architectures of {space.title}, {found.shape[1]} features each")
        return
    archs, percent = accuracies(read_labels(args.labels, space), args.column, args.labels)
    chosen = rng.sample(range(len(archs)), min(args.count, len(archs)))
    cells, y = [str(archs[i]) for i in chosen], [percent[i] for i in chosen]
    regressors = {
        "GennapeRegressor": GennapeRegressor(family=args.family),
        "GennapeFeatures, ridge": make_pipeline(
            GennapeFeatures(family=args.family), StandardScaler(), RidgeCV(alphas=[1, 10, 100])
        ),
    }
    for name, regressor in regressors.items():
        scores = cross_val_score(regressor, cells, y, cv=4, scoring="r2")
        print(f"{name:24s} R2 {scores.mean():.3f} +- {scores.std():.3f} over 4 folds")


if __name__ == "__main__":
    main()
