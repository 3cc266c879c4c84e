"""The endpoints, a file a subject. Each reads its own body, bounded."""
