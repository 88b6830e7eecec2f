"""Wire formats that several kinds share: pure code, bytes in and out."""
