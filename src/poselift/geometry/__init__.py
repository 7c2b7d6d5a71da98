"""Pure functions on tensors: projection, cameras, rotations, alignment, bones, joint angles, root solvers."""
