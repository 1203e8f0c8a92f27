"""Faults done to real processes, again and again, and the books that must balance afterwards."""
