"""What a responsible adult must look at: opened, brought to somebody, taken, and passed on if nobody takes it."""
