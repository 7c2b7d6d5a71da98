"""The path from keypoints to files: cameras, lifting, the root, gaps, output."""
