"""Every loss as a pure function."""
