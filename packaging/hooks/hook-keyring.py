"""keyring: only this system's backend, named in contents.py; the stock hook brings all of them."""
