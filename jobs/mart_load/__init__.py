"""mart_load: fills a kiosk, the mart of one period, from the lake, and answers questions from it."""
