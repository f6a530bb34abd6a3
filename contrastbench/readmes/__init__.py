"""Keeps what READMEs say equal to the rows: their tables, and the numbers in their sentences."""
