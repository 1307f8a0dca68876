"""What resilience is made of: attempts, waits between them, circuits, hops, and what is said instead."""
