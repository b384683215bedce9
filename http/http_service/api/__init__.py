"""The routes: what a request may ask, how it is checked, who answers it."""
