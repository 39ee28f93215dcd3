"""Front ends, one light file each; `bimhw.frontends.registry` says how to add one."""
