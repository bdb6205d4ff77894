"""The core of the safeguarding appliance. It knows no feature by name; features are plugins."""

__version__ = "0.1.0"
