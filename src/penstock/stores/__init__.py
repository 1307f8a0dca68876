"""What is remembered between calls: the ledger and the virtual keys."""
