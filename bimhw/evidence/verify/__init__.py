"""`bimhw verify`: the tool proves on the user's machine that it tells the truth."""
