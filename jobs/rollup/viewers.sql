-- Viewers of users: the first 64 bits of HMAC-SHA256 of each user id.
--
-- in:   users (n, user_id: a JSON text with its quotes)
--       $inner_block, $outer_block   the key, padded to a block of SHA-256, XOR the inner and outer pad of RFC 2104
-- out:  user: n, viewer
select
    n,
    ('0x' || left(sha256($outer_block || unhex(sha256($inner_block || encode(user_id[2:-2])))), 16))::ubigint as viewer
from users
