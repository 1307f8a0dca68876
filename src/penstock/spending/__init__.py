"""What calls may cost and will cost: budgets and their periods, ceilings, and the hold of one call."""
