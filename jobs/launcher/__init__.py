"""The launcher: runs a Spark stage as a SparkApplication on Kubernetes, and waits for its end."""
