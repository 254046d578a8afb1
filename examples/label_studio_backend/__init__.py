"""A machine learning backend of Label Studio: clicks and boxes become masks."""
