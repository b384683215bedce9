"""The toolkit of faults does what it says, and undoes it."""
