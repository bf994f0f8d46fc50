"""The jobs of the user as a table, their results and previews in glue, without Qt."""
