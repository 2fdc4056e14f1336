"""Who is at the door: passwords, sessions, second factor, one-time links, and limits of attempts."""
