"""The shell that joins the two halves: tasks, jobs, processes, and heavy commands."""
