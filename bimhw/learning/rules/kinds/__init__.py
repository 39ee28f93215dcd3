"""Rules of learning beside those of BIM, found by folder."""
