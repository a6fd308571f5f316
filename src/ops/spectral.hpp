// Fourier transforms. Complex tensors have a last axis of size 2: real and imaginary part.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

// DFT and IDFT. Inputs: data [..., 2], axes (negative ones count from the axis before the last), signal size for each
// axis (optional; -1 keeps it): data are cut or padded with zeros to it. IDFT divides by the product of the sizes.
struct DFT {
  HONE_OP("DFT") HONE_NO_GRAD("not offered yet")
};
struct IDFT {
  HONE_OP("IDFT") HONE_NO_GRAD("not offered yet")
};
/// Of real data [...]: output [..., 2] with size / 2 + 1 entries along the last of the axes.
struct RDFT {
  HONE_OP("RDFT") HONE_NO_GRAD("not offered yet")
};
/// The inverse of RDFT: data [..., 2], output real. Without a signal size the last of the axes gets 2 * (size - 1)
/// entries.
struct IRDFT {
  HONE_OP("IRDFT") HONE_NO_GRAD("not offered yet")
};
/// Inputs: signal [N, length] or [length], window (shorter windows are centred in the frame), frame size, frame step
/// (scalars). Output: [N, frames, frame size / 2 + 1, 2], or [N, frame size / 2 + 1, frames, 2] with
/// `transpose_frames`.
struct STFT {
  bool transpose_frames = false;
  static void fields(auto& o, auto&& f) { f("transpose_frames", o.transpose_frames); }
  HONE_OP("STFT") HONE_NO_GRAD("not offered yet")
};
/// The inverse of STFT with `transpose_frames`: overlapping frames are added and divided by the summed squares of the
/// window. Inputs: data [N, bins, frames, 2], window, frame size, frame step, signal length (optional). With `center`
/// half a frame is cut at both ends; with `normalized` data were divided by the square root of the frame size.
struct ISTFT {
  bool center = false;
  bool normalized = false;
  static void fields(auto& o, auto&& f) {
    f("center", o.center);
    f("normalized", o.normalized);
  }
  HONE_OP("ISTFT") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
