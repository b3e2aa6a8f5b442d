"""A made-up streaming service: a programme schedule over HTTP and play events, with known answers planted in them."""
