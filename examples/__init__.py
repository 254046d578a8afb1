"""Examples of using the package beside other tools."""
