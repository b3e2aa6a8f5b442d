-- episode_countries: episode × country with a play in the bucket. Not additive: several buckets may have the same pair.
--   in:  played   viewer × episode × country × language
select distinct episode_id, country from played
