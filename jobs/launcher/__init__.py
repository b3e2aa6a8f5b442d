"""The launcher: runs a Spark stage as a SparkApplication on Kubernetes, for as long as that takes."""
