"""From a trained spiking neural network to an FPGA accelerator that computes exactly the same."""

__version__ = "0.1.0"

__all__ = ["__version__"]
