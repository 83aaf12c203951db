"""The keys of a script's INI section, as Skytools gave them: `self.cf.get("node")`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from londiste_lite.errors import ConfigError

_UNSET: Any = object()
_FLAGS = {"1": True, "on": True, "yes": True, "true": True, "0": False, "off": False, "no": False, "false": False}


class Keys:
    """Reads keys of one section; every method raises ConfigError for a key that is not there and has no default."""

    def __init__(self, path: str, section: str, values: Mapping[str, str]) -> None:
        self.path = path
        self.section = section
        self._values = values

    def _wrong(self, key: str, text: str) -> ConfigError:
        return ConfigError(f"{self.path}: [{self.section}] {key}: {text}")

    def has_option(self, key: str) -> bool:
        """Tell whether the key is in the section."""
        return key.lower() in self._values

    def options(self) -> list[str]:
        """Return the names of the section's keys."""
        return list(self._values)

    def get(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key's text."""
        if key.lower() in self._values:
            return self._values[key.lower()]
        if default is _UNSET:
            raise self._wrong(key, "is required, but missing")
        return default

    def get_wildcard(self, key: str, values: Sequence[str] = (), default: Any = _UNSET) -> Any:
        """Return the text of the most special key: each `*` of `key` replaced by one of `values`, fewer, or none."""
        special = [key]
        for value in values:
            special.append(special[-1].replace("*", value, 1))
        for name in reversed(special):
            if self.has_option(name):
                return self.get(name)
        return self.get(key, default)

    def _typed(self, key: str, default: Any, convert: Any, expected: str) -> Any:
        text = self.get(key, default)
        if text is default and default is not _UNSET:
            return default
        try:
            return convert(text)
        except (ValueError, KeyError):
            raise self._wrong(key, f'expected {expected}, got "{text[:60]}"') from None

    def getint(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key as a whole number."""
        return self._typed(key, default, int, "a whole number")

    def getfloat(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key as a number."""
        return self._typed(key, default, float, "a number")

    def getboolean(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key as True or False; 1, on, yes and true are True."""
        return self._typed(key, default, lambda text: _FLAGS[text.lower()], "0 or 1")

    def getlist(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key's words between commas."""
        return self._typed(key, default, lambda text: [w.strip() for w in text.split(",") if w.strip()], "a list")

    def getfile(self, key: str, default: Any = _UNSET) -> Any:
        """Return the key as a file name, with `~` expanded."""
        return self._typed(key, default, os.path.expanduser, "a file name")
