"""Capture triggers: their generated text, how they are created, refreshed, listed and dropped."""
