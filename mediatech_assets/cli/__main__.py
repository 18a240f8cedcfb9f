"""`python -m mediatech_assets.cli`: the command `mediatech`, without its script."""

from mediatech_assets.cli import main

if __name__ == "__main__":
    main()
