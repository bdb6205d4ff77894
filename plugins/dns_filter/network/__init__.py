"""What the box sees on the network: devices, and attempts to go round the filter."""
