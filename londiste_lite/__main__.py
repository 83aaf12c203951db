"""`python -m londiste_lite`, and what the installed programs call."""

from __future__ import annotations

from londiste_lite.cli import main

if __name__ == "__main__":
    main()
