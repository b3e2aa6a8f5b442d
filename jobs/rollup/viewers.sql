-- Viewers of users: HMAC-SHA256 of each user id, its first 64 bits.
--
-- in:   users (n, user_id: a JSON text, still in its quotes)
--       $inner, $outer   the key, padded to a block of SHA-256, with either pad of RFC 2104
-- out:  user: n, viewer
select
    n,
    ('0x' || left(sha256($outer || unhex(sha256($inner || encode(user_id[2:-2])))), 16))::ubigint as viewer
from users
