"""report: writes the review of a period, as a page and as a workbook, from the mart."""
