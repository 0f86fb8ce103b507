"""What layers of a user's network are called, and which of them are looked into."""

from torch import nn

__all__ = ["TRANSPARENT", "where"]

# Modules whose functions are followed one by one; every other module of torch and snntorch is one thing.
TRANSPARENT = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout)


def where(name: str, module: nn.Module) -> str:
    """Return how a layer is called in messages."""
    kind = type(module).__name__.removeprefix("Parametrized")
    if isinstance(module, nn.Linear):
        return f"layer {name!r} ({kind}, {module.in_features} → {module.out_features})"
    return f"layer {name!r} ({kind})"
