"""What the benchmark measures: a pool of labelled networks each."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Task:
    """One pool.

    Attributes:
        name: Short name, used for files.
        family: Family of its networks.
        title: Name for people.
        target: Label column; the family's default where empty.
        subset: Part of the labels; the family's default where empty.
        paper: Whether the paper's figures of the family stand beside.
        tuned: Whether fine-tuning with 50 labels is measured too.
    """

    name: str
    family: str
    title: str
    target: str = ""
    subset: str = ""
    paper: bool = False
    tuned: bool = True


TASKS: Final = (
    Task("nb101", "nasbench101", "NB-101, validation 2, from 80 %",
         subset="validation_2_from_80", paper=True, tuned=False),
    Task("nb201", "nasbench201", "NB-201", paper=True),
    Task("nb201-c100", "nasbench201", "NB-201, CIFAR-100", target="c100_test_acc_200ep"),
    Task("nb201-in16", "nasbench201", "NB-201, ImageNet16-120", target="in16_test_acc_200ep"),
    Task("nb201-all", "nasbench201", "NB-201, all cells", subset="all"),
    Task("nb301", "nasbench301", "NB-301", paper=True),
    Task("pn", "ofa_proxyless", "ProxylessNAS", paper=True),
    Task("mbv3", "ofa_mobilenetv3", "OFA-MobileNetV3", paper=True),
    Task("rn50", "ofa_resnet50", "OFA-ResNet50", paper=True),
    Task("hiaml", "hiaml", "HiAML", paper=True),
    Task("inception", "inception", "Inception", paper=True),
    Task("two_path", "two_path", "Two-Path", paper=True),
    Task("macro", "nasbench_macro", "NAS-Bench-Macro"),
    Task("transnas-object", "transnas101_micro", "TransNAS micro, object"),
    Task("transnas-scene", "transnas101_micro", "TransNAS micro, scene",
         target="val_class_scene"),
    Task("transnas-macro", "transnas101_macro", "TransNAS macro, object"),
)  # fmt: skip
