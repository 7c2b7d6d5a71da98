"""Networks only: lifters, their input frames, weights and ONNX."""
