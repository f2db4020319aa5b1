"""The equations as slow, obvious NumPy loops, written without a look at the library."""
