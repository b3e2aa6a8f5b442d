"""Object stores, in a local folder or in S3, with one interface."""
