-- audience_genre: period × genre × country, and period × genre with $worldwide, from the sums of all buckets.
--   in:  genre_counts    see show_counts.py, all buckets
--        $unknown_genre  its rows have only reach and seconds, because its episodes belong to many unknown shows
--   out: the columns of the dataset audience_genre, in their units
select
    genre,
    country,
    sum(reach)::bigint as reach,
    sum(watched_seconds)::bigint as watched_seconds,
    case when genre <> $unknown_genre then sum(sole_viewers)::bigint end as sole_viewers
from genre_counts
group by genre, country
