"""Frameworks that train: what any of them shares lies here, a folder holds one."""
