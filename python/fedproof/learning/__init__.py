"""Local training: fixed point, the integer SGD that is proven, and the float FedAvg it is compared with."""
