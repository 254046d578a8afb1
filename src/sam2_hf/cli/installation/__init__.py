"""Commands about the installation: doctor, completion, space."""
