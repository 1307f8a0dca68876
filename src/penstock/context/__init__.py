"""How much of a conversation goes to the model: what belongs together, what is left out, and what stands for it."""
