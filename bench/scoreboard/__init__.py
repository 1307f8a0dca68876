"""The reliability scoreboard: what becomes of calls while an upstream misbehaves, for Penstock and for the bare SDK."""
