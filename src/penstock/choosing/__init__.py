"""Which model a call goes to: rules first, then the arm of a split, then what its feature says; and what is copied."""
