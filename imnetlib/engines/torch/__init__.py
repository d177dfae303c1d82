"""PyTorch: what feeds it from the loader."""
