// Logged in again: the window that waits hears of it, and sends what it kept.

localStorage.setItem("audiotag/back", String(Date.now()));
