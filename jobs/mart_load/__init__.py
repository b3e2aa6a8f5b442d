"""mart_load: loads new and changed periods from the lake into the mart."""
