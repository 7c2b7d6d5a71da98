"""Training sets as Clips and as resident tensors: `datasets.DATASETS` is the table."""
