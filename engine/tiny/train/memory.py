"""Keep freed memory: by default glibc maps every large tensor afresh and the page faults cost more than the arithmetic."""
import ctypes, ctypes.util


def keep():
    name = ctypes.util.find_library("c")
    libc = ctypes.CDLL(name) if name else None
    if libc and hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)                           # M_MMAP_MAX: no mappings for single allocations
        libc.mallopt(-1, 2 ** 31 - 1)                 # M_TRIM_THRESHOLD
        libc.mallopt(-2, 256 << 20)                   # M_TOP_PAD
