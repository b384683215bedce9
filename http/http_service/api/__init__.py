"""The routes: what a request may ask, how it is checked, and the resources."""
