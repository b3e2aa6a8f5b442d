"""The engines that run kernels: this machine's cores, or Spark."""
