"""The review of a period: the answers of a mart as findings, one HTML page, and a workbook."""
