-- episode_countries: which episodes of the bucket were played in which country. Not additive: the same pair comes from
-- many buckets.
--   in:  played   viewer × episode × country × language
select distinct episode_id, country from played
