"""The mart in MySQL or MariaDB."""
