"""Public French data, turned into datasets ready for search engines and chatbots.

The flow, one asset a box, one package a stage:

    upstream -> raw -> documents -> chunks -> embeddings -> index -> release

Each layer reads the one before it and works on what changed. `datasets/` holds one module a dataset,
`orchestration/` makes Dagster assets of stages and datasets, `cli/` is the command `mediatech`.
"""

__version__ = "0.1.0"
