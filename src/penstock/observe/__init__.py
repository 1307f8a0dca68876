"""What Penstock tells of itself, beside the calls."""
