"""Who may sign in to the staff pages: accounts, passwords, second factors, sessions, and how somebody joins."""
