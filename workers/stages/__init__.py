"""What a task does between the database half and the arithmetic half, one module a stage."""
