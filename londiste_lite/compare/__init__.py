"""Comparing tables of both sides at one moment, and repairing what differs, while replay runs and users write."""
