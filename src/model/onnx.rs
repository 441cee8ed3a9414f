//! The graph under ONNX Runtime.
