"""Objects by key, in a local folder or in S3, behind one interface."""
