"""Online rules of the literature beside RTRL, for leaky networks on the host: e-prop, OTTT, OSTL, OTPE, S-TLLR, ETLP, DECOLLE.

A rule is an eligibility (`eligibility`) and a learning signal (`signals`); `rules` names the pairs and registers them.
"""
