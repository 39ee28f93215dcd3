"""ReckOn: a recurrent net with on-chip e-prop, its random generators and its cycles."""
