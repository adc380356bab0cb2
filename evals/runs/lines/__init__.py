"""Lines of records: their checksums, the fields that each may have, and the one reader of them."""
