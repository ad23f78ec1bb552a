"""Work of the tasks between the database half and the arithmetic half, one module a stage."""
