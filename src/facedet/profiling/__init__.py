"""What networks cost: parameters and multiply-adds, and times that can be compared."""
