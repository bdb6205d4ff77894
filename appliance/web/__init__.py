"""The web part: three sites (staff, pupil, endpoint) behind one door, told apart by the name in the address."""
