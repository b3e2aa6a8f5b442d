-- Viewers of users: the first 64 bits of HMAC-SHA256 of each user id.
--
-- in:   users (n, user_id: the bytes of the user id in UTF-8, or of the viewer under the key before)
--       $inner_block, $outer_block   the key, padded to a block of SHA-256, XOR the inner and outer pad of RFC 2104
-- out:  user: n, viewer
select
    n,
    ('0x' || left(sha256($outer_block || unhex(sha256($inner_block || user_id))), 16))::ubigint as viewer
from users
