"""What the benchmarks share: the peak memory of a process that they start."""

# For the head of a child's source. ru_maxrss would not do on Linux: it counts what the parent had before the start.
PEAK = '''
def peak():
    """The most memory that this process has had, in bytes."""
    import re, resource, sys
    if sys.platform == "linux":
        return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
'''
