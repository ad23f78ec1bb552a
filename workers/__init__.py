"""The thin shell that joins the two halves: tasks, heartbeat, supervisor, heavy commands."""
