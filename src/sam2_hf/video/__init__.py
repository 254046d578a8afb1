"""Video segmentation: sessions, memory and masklets."""
