"""``python -m niwaki`` is the command ``niwaki``."""

from .app import main

if __name__ == "__main__":
    main()
