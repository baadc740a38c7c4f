"""Who may what: tokens and their issuers, and what whoever a token names may do. Knows no engine."""
