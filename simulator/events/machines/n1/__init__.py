"""Catalyst N1: routers, core, learning microcode and the two ways in which its cores are connected."""
