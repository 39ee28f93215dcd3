"""Component diagrams of brain reference architectures: components and interfaces to a skeleton network, held against anatomy."""
