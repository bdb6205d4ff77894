"""Names of pupils that are watched for, for a while."""
