//! Plain blocking clients and origins, for tests that are programs and not scripts.
