"""A demonstration: the same appliance with an invented school, on which invented things go on happening.

Nothing here is used by a box in earnest. ``start`` refuses a folder that holds anything but a demonstration.
"""
