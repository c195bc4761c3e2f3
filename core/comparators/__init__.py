"""Predictors that the paper compares with in its Table 3, on NAS-Bench-101 cells.

NPN (Wen et al., 2020), BANANAS (White et al., 2021) and TNASP (Lu et al., 2021) read the cell,
a graph of at most seven vertices, not the network's computation graph. They are written from
the publications and take plain matrices and operation names.
"""
