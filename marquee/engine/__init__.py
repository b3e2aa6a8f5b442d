"""What computes: this machine's cores, or Spark."""
