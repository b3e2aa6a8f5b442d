"""What runs: one folder an image, the command, and what looks at all of them."""
