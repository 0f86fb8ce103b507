"""``python -m snnhw``."""

from snnhw.cli import main

if __name__ == "__main__":
    main()
