"""What is kept for a person to judge: sealed when it comes, listed by its facts, opened by those who may."""
