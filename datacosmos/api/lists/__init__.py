"""Lists on their way out, whoever asked: their JSON (`columns`, `encoding`), their turns, where they wait (`spool`)."""
