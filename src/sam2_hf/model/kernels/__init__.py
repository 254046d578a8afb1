"""Fast paths of the model: when they may be taken, and kernels for CPU and GPU."""
