"""What the web filter covers at this moment: each network, and each kind of device."""
